#!/usr/bin/env bash
# Builds the programs and makes the packages from them, in target/dist. What differs between machines is left out of them: paths,
# times, users and modes.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
out=${CARGO_TARGET_DIR:-target}/dist
mkdir -p "$out"
out=$(cd "$out" && pwd)

if [ -z "${MODEL_VITALS_COMMIT:-}" ] && [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$root" ]; then
    if [ -n "$(git status --porcelain)" ]; then
        echo "error: there are changes that are not committed, so the packages would not be those of a commit; commit or" \
            "stash them, or set MODEL_VITALS_COMMIT=unknown" >&2
        git status --short >&2
        exit 1
    fi
    MODEL_VITALS_COMMIT=$(git rev-parse HEAD)
fi
export MODEL_VITALS_COMMIT="${MODEL_VITALS_COMMIT:-unknown}"

# Panic messages contain the paths of source files, which would differ between machines. The last match counts.
remap=("$root=/model-vitals" "${CARGO_HOME:-$HOME/.cargo}=/cargo" "$out/build=/target")
flags=$(printf -- '--remap-path-prefix=%s\x1f' "${remap[@]}")
export CARGO_ENCODED_RUSTFLAGS=${flags%$'\x1f'}
cargo build --locked --release --target-dir "$out/build" --package inference --package loadgen --package driftsim --package driftbench

rm -f "$out"/model-vitals* "$out/SHA256SUMS"
deploy/package/assemble.sh "$out/build/release" "$out"
systemd=deploy/package/model-vitals.service
if command -v systemd-analyze >/dev/null; then
    systemd-analyze security --offline=yes --no-pager "$systemd" | tail -n 1
fi
echo "$out:"
ls -l "$out" | grep -v build
