#!/usr/bin/env bash
# What trial.sh runs inside a bare Debian whose first process is systemd.
set -euo pipefail
step() { echo "-- $*"; }
fail() {
    echo "error: $*" >&2
    journalctl --unit model-vitals --no-pager --lines 20 >&2 || true
    exit 1
}

# Sends a request without curl, which a bare system does not have, and prints the answer.
request() { # port, method, path, body
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
        "$2" "$3" "${#4}" "$4" >&3
    cat <&3
    exec 3>&-
}
metrics() { request 8001 GET /metrics ''; }
until_true() { # what, command…
    local what=$1
    shift
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "not within 30 s: $what"
}
ready() { inference healthcheck --url http://127.0.0.1:8001/readyz; }
served() { metrics | sed -n 's/^model_info{.*version="\([^"]*\)".*/\1/p'; }
reloaded() { metrics | grep -q '^model_reloads_total{outcome="changed"} 1'; }
# Generated rows as a table to train on, so that a model by path is served.
train() { # seed
    driftsim generate --rows 400 --seed "$1" | cut -d , -f 1-5 >/tmp/table.csv
    inference train --data /tmp/table.csv --target class --name flowers --out /etc/model-vitals/model.json >/tmp/train.log 2>&1 \
        || { cat /tmp/train.log; exit 1; }
}
listing() {
    find / \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /root -o -path /tmp -o -path /var/tmp -o -path /var/lib/dpkg \
        -o -path /var/lib/apt -o -path /var/log -o -path /var/cache \) -prune -o -print | sort
}

before=$(listing)

step "install"
apt-get install --yes --no-install-recommends /root/package.deb >/tmp/install.log 2>&1 || { cat /tmp/install.log; exit 1; }
dpkg --verify model-vitals || fail "files differ from those of the package"
[ "$(stat -c '%a %U' /etc/model-vitals/receipt-key)" = "600 root" ] || fail "the receipt key is not readable by root only"
dpkg-query --show --showformat '${Package} ${Version}, ${Installed-Size} KiB, needs ${Depends}\n' model-vitals

step "programs, manual pages, completions"
for program in inference loadgen driftsim driftbench; do
    "$program" --version | paste -sd ' '
    [ -s "/usr/share/man/man1/$program.1.gz" ] || fail "no manual page of $program"
    bash -n "/usr/share/bash-completion/completions/$program"
done
loadgen check /usr/share/model-vitals/scenarios/*.yaml >/dev/null
driftsim generate --preset giant --rows 2

step "the unit"
# A bare system does not have the program `man`.
systemd-analyze verify --man=no /usr/lib/systemd/system/model-vitals.service
systemd-analyze security --offline=yes --no-pager /usr/lib/systemd/system/model-vitals.service | tail -n 1
if systemctl --quiet is-enabled model-vitals 2>/dev/null; then fail "the unit is enabled"; fi

step "start, with a model by path"
train 1
echo "INFERENCE_MODEL=/etc/model-vitals/model.json" >>/etc/model-vitals/inference.env
systemctl enable --now model-vitals 2>&1
until_true "the service is ready" ready
process=$(systemctl show --property MainPID --value model-vitals)
user=$(stat -c %u "/proc/$process")
[ "$user" -ge 61184 ] || fail "the service runs as user $user, not as a dynamic one"
journalctl --unit model-vitals --no-pager --output cat --lines 8

step "predict"
request 8000 POST /predict '{"features":[5.1,3.5,1.4,0.2]}' | tail -n 1 | tee /tmp/answer
echo
grep -q '"class":"setosa"' /tmp/answer || fail "no prediction"

step "scrape"
metrics >/tmp/page
grep -E '^(inference_build_info|model_info|process_start_time_seconds|process_max_fds)' /tmp/page || fail "metrics are missing"
[ "$(grep -c '^process_' /tmp/page)" = 8 ] || fail "the sandbox hides metrics of the process"
grep -q '^inference_requests_total{method="POST",endpoint="/predict",status="200"} 1' /tmp/page || fail "the request was not counted"

step "reload"
former=$(served)
train 2
systemctl reload model-vitals
until_true "the new model is served" reloaded
[ -n "$(served)" ] && [ "$(served)" != "$former" ] || fail "the model is still $former"
echo "version $former, then $(served)"

step "drill"
# With fewer than 30 requests, a busy machine does not make the run invalid.
cat >/tmp/smoke.yaml <<'YAML'
name: smoke
payloads: { usual: { source: { model: {} }, feedback: { after: 1s, share: 1 } } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 9, duration: 3s }
thresholds: { unexpected_rate: ["count==0"] }
YAML
loadgen run --scenario /tmp/smoke.yaml --target http://127.0.0.1:8000 >/tmp/drill.log 2>&1 || { cat /tmp/drill.log; fail "the drill"; }
tail -n 1 /tmp/drill.log

step "restart, after which feedback on earlier predictions is accepted"
id=$(request 8000 POST /predict '{"features":[5.1,3.5,1.4,0.2]}' | grep -o '"prediction_id":"[^"]*"')
systemctl restart model-vitals
until_true "the service is ready again" ready
request 8000 POST /feedback "{$id,\"label\":\"setosa\"}" | tail -n 1 | tee /tmp/feedback
echo
grep -q '"accepted":1' /tmp/feedback || fail "the receipt key did not survive the restart"

step "stop"
start=$SECONDS
systemctl stop model-vitals
[ "$(systemctl show --property Result --value model-vitals)" = success ] || fail "the service did not stop in time"
echo "stopped after $((SECONDS - start)) s"

step "install again, then remove"
apt-get install --yes --reinstall /root/package.deb >/tmp/install.log 2>&1 || { cat /tmp/install.log; exit 1; }
grep -q model.json /etc/model-vitals/inference.env || fail "the settings were overwritten"
rm /etc/model-vitals/model.json
apt-get purge --yes model-vitals >/tmp/purge.log 2>&1 || { cat /tmp/purge.log; exit 1; }
left=$(comm -13 <(echo "$before") <(listing))
[ -z "$left" ] || fail "left behind: $left"
echo "nothing is left"
