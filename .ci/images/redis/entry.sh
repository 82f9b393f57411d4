#!/bin/bash
# The official image's contract: a command that is the server's, or only its options; data in /data;
# reachable from outside without a password.
set -euo pipefail

[[ ${1:-} != -* && ${1:-} != *.conf ]] || set -- redis-server "$@"
[[ ${1:-redis-server} == redis-server ]] || exec "$@"
shift || true
file=()
if [[ ${1:-} == *.conf ]]; then # it must come first
    file=("$1")
    shift
fi
as=()
[[ $(id -u) != 0 ]] || as=(setpriv --reuid=redis --regid=redis --init-groups)
exec "${as[@]}" redis-server "${file[@]}" --protected-mode no "$@"
