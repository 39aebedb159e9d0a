# The image that is mounted beside a target: docker build -t sidebox .   or   podman build -t sidebox .
# For another architecture: --platform linux/arm64, which emulates the build. With a binary already built: tests/image.

FROM docker.io/library/rust:1-slim-bookworm AS build
WORKDIR /src
# The compiler for the C in ring (TLS).
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools
COPY . .
# The links in /bin are relative, because the image lies at /dbg when it is used.
RUN target="$(uname -m)-unknown-linux-musl" \
    && rustup target add "$target" \
    && cargo build --release --locked --bin sidebox --target "$target" \
    && install -D "target/$target/release/sidebox" /image/bin/sidebox \
    && /image/bin/sidebox --install /image/bin

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENV PATH=/bin
CMD ["/bin/sh"]
