#!/usr/bin/env bash
# Runs the demo in the Compose stack or natively: `demo.sh [auto|compose|native]`, which `just demo` calls.
set -euo pipefail
cd "$(dirname "$0")/.."

# The oldest versions that the stack was tried with. The engine's is also the first that knows `start_interval` of health checks.
least_engine=25.0
least_compose=2.26
# Compose 5 does not build without this plug-in.
least_buildx=0.17

# A project of its own, begun afresh: alerts look back for up to an hour, and yesterday's samples would dilute what the demo
# does. A stack that was started with `docker compose up` keeps its samples.
project=model-vitals-demo

fail() {
    echo "error: $1" >&2
    exit 1
}

# Succeeds if version $1 is $2 or later.
at_least() {
    [ "$(printf '%s\n' "$2" "$1" | sort --version-sort | head -n 1)" = "$2" ]
}

# Prints what the Compose stack needs and this machine lacks, or nothing.
lacking() {
    local engine compose buildx
    if ! command -v docker >/dev/null; then
        echo "the program docker is not installed"
    elif ! engine=$(docker version --format '{{.Server.Version}}' 2>&1); then
        echo "no Docker engine answers: $(tail -n 1 <<<"$engine")"
    elif ! at_least "$engine" "$least_engine"; then
        echo "Docker Engine $least_engine or later is needed, this one is $engine"
    elif ! compose=$(docker compose version --short 2>/dev/null); then
        echo "docker has no plug-in \`compose\` (Debian's package docker-compose, Docker's docker-compose-plugin)"
    elif compose=${compose#v} && ! at_least "$compose" "$least_compose"; then
        echo "Docker Compose $least_compose or later is needed, this one is $compose"
    elif at_least "$compose" 3; then
        buildx=$(docker buildx version 2>/dev/null | awk '{ print $2 }') || true
        if [ -z "$buildx" ] || ! at_least "${buildx#v}" "$least_buildx"; then
            echo "Docker Compose $compose builds images with the plug-in \`buildx\` $least_buildx or later," \
                "this docker has ${buildx:-none}"
        fi
    fi
}

# Sets a variable of docker-compose.yml to the port that it has in the environment, in .env or by default, or if that one is
# taken, to the next free one.
choose_port() { # variable, default, purpose
    local wanted=${!1:-} port
    if [ -z "$wanted" ] && [ -f .env ]; then
        wanted=$(sed -n "s/^ *$1 *= *[\"']\{0,1\}\([^\"' #]*\).*/\1/p" .env | tail -n 1)
    fi
    wanted=${wanted:-$2}
    [[ $wanted =~ ^[1-9][0-9]{0,4}$ && $wanted -lt 65536 ]] || fail "$1: expected a port from 1 to 65535, got $wanted"
    port=$wanted
    while [[ $chosen == *" $port "* ]] || (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((port + 1))
    done
    [ "$port" -lt 65536 ] || fail "$1: no port from $wanted on is free"
    [ "$port" = "$wanted" ] || echo "Port $wanted is taken: $3 gets port $port ($1)."
    chosen+="$port "
    export "$1=$port"
}

compose() {
    docker compose --project-name "$project" "$@"
}

run_in_compose() {
    local out status=0
    # The scenario is about the built-in model, as in a native run, and asks for faults, whatever .env says.
    export MODEL="" PROFILE="" MODEL_DIR="" RECEIPT_KEY_FILE="" INFERENCE_ALLOW_FAULT_INJECTION=true
    # Its own earlier stack would take the ports.
    compose down --volumes --remove-orphans
    chosen=" "
    choose_port INFERENCE_PORT 8000 "the service"
    choose_port PROMETHEUS_PORT 9090 "Prometheus"
    choose_port ALERTMANAGER_PORT 9093 "Alertmanager"
    choose_port GRAFANA_PORT 3000 "Grafana"
    choose_port LOADGEN_PORT 5665 "the live page"

    if ! compose up --detach --build --wait; then
        # Half a stack would hold its ports.
        compose logs --tail 10 >&2 || true
        compose down --volumes --remove-orphans
        fail "the Compose stack did not start, see above; \`just demo native\` runs the demo without containers"
    fi
    echo
    echo "service       http://localhost:$INFERENCE_PORT"
    echo "Grafana       http://localhost:$GRAFANA_PORT"
    echo "Prometheus    http://localhost:$PROMETHEUS_PORT"
    echo "Alertmanager  http://localhost:$ALERTMANAGER_PORT"
    echo

    out="${CARGO_TARGET_DIR:-target}/demo"
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    # The container's user does not exist here, so the report is written to a folder that every user may write, and copied. In
    # the container, the folder has the path that the report is copied to, because loadgen prints it.
    work=$(mktemp -d "$out/XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 777 "$work"
    # By its name Prometheus finds it, and by its ports a browser its live page.
    compose run --rm --use-aliases --service-ports --volume "$work:$out:z" loadgen \
        run --scenario demo --target http://inference:8000 --prometheus http://prometheus:9090 \
        --dashboard "0.0.0.0:$LOADGEN_PORT" --metrics-listen 0.0.0.0:9464 \
        --json "$out/report.json" --report "$out/report.html" || status=$?
    if cp "$work/report.json" "$work/report.html" "$out/" 2>/dev/null; then
        echo "reports: $out/report.html $out/report.json"
    fi
    echo "Grafana is at http://localhost:$GRAFANA_PORT;" \
        "'docker compose --project-name $project down --volumes --remove-orphans' ends the stack."
    return "$status"
}

run_natively() {
    local status=0
    just rehearse demo || status=$?
    case $status in
        # The demo ran: passed, missed, interrupted or invalid.
        0 | 99 | 105 | 106) ;;
        *) echo "The demo could not run natively; \`just demo compose\` runs it in containers, with a Docker engine." >&2 ;;
    esac
    return "$status"
}

case ${1:-auto} in
    auto)
        lack=$(lacking)
        if [ -z "$lack" ]; then
            echo "A Docker engine answers: the demo runs in the Compose stack (\`just demo native\` runs it without)."
            run_in_compose
        else
            echo "The demo runs natively, not in the Compose stack: $lack."
            run_natively
        fi
        ;;
    compose)
        lack=$(lacking)
        [ -z "$lack" ] || fail "$lack; \`just demo native\` runs the demo without containers"
        run_in_compose
        ;;
    native) run_natively ;;
    *) fail "expected native or compose, got $1: \`just demo\` chooses by itself, \`just demo native\` and \`just demo compose\` do not" ;;
esac
