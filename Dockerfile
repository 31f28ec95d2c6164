# One image with the three binaries; Compose picks which to run. Build and final stage are both Debian 12: the same glibc.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches outlive the build, so a changed source file does not recompile the dependencies. They are not part of the
# layer, hence the copy. They are shared by all builds of this machine, hence a name of its own. Cargo judges
# by file times, and COPY keeps the checkout's: without the touch, sources older than the last build would pass for built.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=model-health-target,target=/build/target \
    find crates scenarios -type f -exec touch {} + \
    && cargo build --release --locked --bin inference --bin loadgen --bin driftsim \
    && mkdir /out \
    && cp target/release/inference target/release/loadgen target/release/driftsim /out/

# The library of ONNX Runtime, which its Python package contains (28 MB). It is loaded only if an ONNX model is served.
FROM python:3.13-slim-bookworm AS onnxruntime
RUN pip download --no-cache-dir --no-deps --dest /wheel onnxruntime==1.32.0 \
    && python -m zipfile -e /wheel/*.whl /wheel \
    && cp /wheel/onnxruntime/capi/libonnxruntime.so.1.32.0 /libonnxruntime.so

# Only the C libraries and the binaries (about 20 MB): no shell, no package manager. Its `nonroot` user is 65532. The
# binaries speak plain HTTP and embed the model, the API documentation and the scenarios.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/ /usr/local/bin/
COPY --from=onnxruntime /libonnxruntime.so /usr/local/lib/
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so
# A scratch place to work in; scenario files are mounted here, under scenarios/.
WORKDIR /drill
# Other containers cannot reach the loopback address of this one.
ENV INFERENCE_LISTEN=0.0.0.0:8000
EXPOSE 8000
# The image holds no curl, so the binary itself asks /readyz at the address in INFERENCE_LISTEN.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/inference", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/inference"]
CMD ["serve"]
