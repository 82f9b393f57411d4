#!/bin/sh
# The official image's contract: a command, or only the server's options.
set -eu
case ${1:-} in
    -*) set -- memcached "$@" ;;
esac
exec "$@"
