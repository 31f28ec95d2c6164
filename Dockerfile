# syntax=docker/dockerfile:1
# One image with the three binaries; Compose picks which to run. Build and final stage are both Debian 13: the same glibc.
#
# Base images are pinned by tag only, here, in monitoring/ and in grafana/: no digest of theirs was verified against its registry.
# To pin one by digest as well, append what `docker buildx imagetools inspect IMAGE:TAG --format '{{.Manifest.Digest}}'` prints:
# `IMAGE:TAG@sha256:…`.

# The commit, for the labels and for what the programs print and export. Its default does not change with each commit, because
# another image recreates the containers of a running stack.
ARG REVISION=unknown

FROM rust:1.95-slim-trixie AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY scenarios scenarios
ARG REVISION
# The caches outlive the build, so a changed source file does not recompile the dependencies. They are not part of the
# layer, hence the copy. They are shared by all builds of this machine, hence a name of its own, and one build at a time. Cargo
# judges by file times, and COPY keeps the checkout's: without the touch, sources older than the last build would pass for built.
# Benchmarks are not part of the context, so they must not be declared either.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=model-vitals-target,target=/build/target,sharing=locked \
    sed -i '/^\[\[bench\]\]/,/^$/d' crates/*/Cargo.toml \
    && find crates scenarios -type f -exec touch {} + \
    && MODEL_VITALS_COMMIT="$REVISION" cargo build --release --locked --bin inference --bin loadgen --bin driftsim \
    && mkdir -p /out/bin /out/root \
    && mkdir -m 1777 /out/root/models \
    && cp target/release/inference target/release/loadgen target/release/driftsim /out/bin/

# The library of ONNX Runtime, which its Python package contains (28 MB). It is loaded only if an ONNX model is served.
FROM python:3.13-slim-trixie AS onnxruntime
RUN pip download --no-cache-dir --no-deps --dest /wheel onnxruntime==1.32.0 \
    && python -m zipfile -e /wheel/*.whl /wheel \
    && cp /wheel/onnxruntime/capi/libonnxruntime.so.1.32.0 /libonnxruntime.so

# Only the C libraries and the binaries (about 20 MB): no shell, no package manager. Its `nonroot` user is 65532. The
# binaries speak plain HTTP and embed the model, the API documentation and the scenarios.
FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /out/bin/ /usr/local/bin/
COPY --from=onnxruntime --chmod=0755 /libonnxruntime.so /usr/local/lib/
# Models are mounted here. A volume takes the mode of this folder, so that any user can write a trained model into it.
COPY --from=build /out/root/ /
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so
# Files of scenarios are mounted here.
WORKDIR /drill
# Other containers cannot reach the loopback address of this one. Change the address by this variable and not by the flag
# --listen: the health check reads the variable, too.
ENV INFERENCE_LISTEN=0.0.0.0:8000
EXPOSE 8000
# The image holds no curl, so the binary itself asks /readyz at the address in INFERENCE_LISTEN.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["/usr/local/bin/inference", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/inference"]
CMD ["serve"]
# The last instruction, because the labels change most often. SOURCE is the address of the repository that the image is built from.
ARG REVISION SOURCE=unknown
LABEL org.opencontainers.image.title="Model Vitals" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
