#!/bin/sh
# Start the agent in its container, with the given options. Other hosts cannot reach a container's
# loopback, so without --listen the agent listens on all interfaces, if a token is mounted or
# --token-file or --no-auth is given. Otherwise it listens on loopback.
set -eu
token=/run/secrets/golo-agent-token
listens=no authenticates=no
for word; do
    case $word in
    --listen | --listen=*) listens=yes ;;
    --token-file | --token-file=* | --no-auth) authenticates=yes ;;
    esac
done
if [ $authenticates = no ] && [ -e $token ]; then
    set -- --token-file $token "$@"
    authenticates=yes
fi
if [ $listens = no ]; then
    if [ $authenticates = yes ]; then
        set -- --listen tcp:8081:interface=0.0.0.0 "$@"
    else
        echo "golo-agent: listening on the container's own loopback only, which -p does not reach:" \
            "mount a token at $token, or give --no-auth" >&2
    fi
fi
exec /opt/golo-agent/bin/twistd --nodaemon --pidfile= golo-agent "$@"
