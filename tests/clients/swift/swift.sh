#!/bin/sh
# swift.sh COMMAND...
# Runs a command with Debian 13's /usr, from .clients/swift, in the place of this machine's. Only
# the command and its children see it, in a mount namespace of their own. It needs no root, but a
# kernel that lets a user make namespaces, and a system whose /lib and /lib64 are links into /usr.
here=$(cd "$(dirname "$0")" && pwd)
exec unshare --map-root-user --mount sh -c 'mount --bind "$0" /usr && exec "$@"' \
    "$here/../../../.clients/swift/usr" "$@"
