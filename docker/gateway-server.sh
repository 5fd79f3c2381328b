#!/bin/sh
# gateway-server of the image. The operations port wants a token where there is a secret, and the health check, `docker exec …
# gateway-server status` and `connections` ask it: if none is given, the server gets a random one, and who asks finds it in a file that
# only its user may read.
set -eu

server=/usr/local/libexec/gateway-server
kept=/run/push-gateway/operations_token
# In a container that is read-only, or has another user, this is still a place that can be written.
elsewhere=/dev/shm/push-gateway

if [ -z "${GATEWAY_CONFIG:-}${GATEWAY_OPERATIONS_TOKEN:-}${GATEWAY_OPERATIONS_TOKEN_FILE:-}" ]; then
    case ${1:-} in
        check | help | -h | --help | -V | --version) ;;
        status | health | connections)
            [ -r "$kept" ] || kept=$elsewhere/operations_token
            if [ -r "$kept" ]; then
                GATEWAY_OPERATIONS_TOKEN=$(cat "$kept")
                export GATEWAY_OPERATIONS_TOKEN
            fi
            ;;
        *)
            GATEWAY_OPERATIONS_TOKEN=$(head -c 24 /dev/urandom | base64)
            export GATEWAY_OPERATIONS_TOKEN
            keep() (umask 077 && echo "$GATEWAY_OPERATIONS_TOKEN" >"$1") 2>/dev/null
            # Somebody else's folder of that name is not written to; where nothing can be written the server starts all the same.
            keep "$kept" || { { mkdir -m 700 "$elsewhere" 2>/dev/null || [ -O "$elsewhere" ]; } && keep "$elsewhere/operations_token"; } || true
            ;;
    esac
fi
exec "$server" "$@"
