#!/bin/sh
# Starts the server in a container. Its health check asks the operations port, which wants a token where there is a secret:
# one that nobody knows, if none is given.
set -eu

if [ -z "${GATEWAY_CONFIG:-}${GATEWAY_OPERATIONS_TOKEN:-}${GATEWAY_OPERATIONS_TOKEN_FILE:-}" ]; then
    GATEWAY_OPERATIONS_TOKEN=$(head -c 24 /dev/urandom | base64)
    export GATEWAY_OPERATIONS_TOKEN
fi
exec gateway-server "$@"
