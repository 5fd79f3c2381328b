#!/bin/sh
# gateway-server of the image. The operations port wants a token where there is a secret, and the health check, `docker exec …
# gateway-server status` and `connections` ask it: if none is given, the server gets a random one, and who asks finds it in a file that
# only its user may read.
set -eu

server=/usr/local/libexec/gateway-server
kept=/run/push-gateway/operations_token

if [ -z "${GATEWAY_CONFIG:-}${GATEWAY_OPERATIONS_TOKEN:-}${GATEWAY_OPERATIONS_TOKEN_FILE:-}" ]; then
    case ${1:-} in
        check | help | -h | --help | -V | --version) ;;
        status | health | connections)
            if [ -r "$kept" ]; then
                GATEWAY_OPERATIONS_TOKEN=$(cat "$kept")
                export GATEWAY_OPERATIONS_TOKEN
            fi
            ;;
        *)
            GATEWAY_OPERATIONS_TOKEN=$(head -c 24 /dev/urandom | base64)
            export GATEWAY_OPERATIONS_TOKEN
            # Where nothing can be written, as in a container that is read-only, the server starts all the same.
            (umask 077 && echo "$GATEWAY_OPERATIONS_TOKEN" >"$kept") 2>/dev/null || true
            ;;
    esac
fi
exec "$server" "$@"
