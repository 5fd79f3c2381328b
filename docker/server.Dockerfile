# The server alone. Build it from the project's root:
#
#   docker build -f docker/server.Dockerfile -t gateway-server .
#   docker run --network host -e GATEWAY_SECRET_KEY=… gateway-server
#
# Inside a network of its own the register port must be reachable by PHP's containers, and then it must have a secret:
#
#   docker run -p 8282:8282 -e GATEWAY_REGISTER=0.0.0.0:1238 -e GATEWAY_SECRET_KEY=… gateway-server
#
# Or PHP's containers share its network, as in compose.yaml, and are started again whenever it was. How it is doing:
#
#   docker exec CONTAINER gateway-server status
#
# It needs no root, no capabilities and nothing that it may write: --read-only --cap-drop ALL.
#
# What it is built on is named by tags, which move. A build that is to be repeated names it by digests:
# --build-arg DEBIAN=debian@sha256:… --build-arg RUST=rust@sha256:…

ARG RUST=rust:1.95-slim-bookworm
ARG DEBIAN=debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${RUST} AS build
WORKDIR /build
COPY . .
# The workspace pins its toolchain; the image has it already.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN RUSTFLAGS=$(scripts/release-flags) cargo build --release --locked -p gateway-server

# hadolint ignore=DL3006
FROM ${DEBIAN}
RUN useradd --system gateway
COPY --from=build /build/target/release/gateway-server /usr/local/libexec/gateway-server
COPY docker/gateway-server.sh /usr/local/bin/gateway-server
RUN install -d -o gateway -g gateway -m 700 /run/push-gateway
USER gateway
ENV GATEWAY_OPERATIONS=127.0.0.1:1239
EXPOSE 8282 1238
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["gateway-server", "health"]
ENTRYPOINT ["gateway-server"]
