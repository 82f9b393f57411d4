#!/bin/bash
# The official image's contract as far as the course needs it: POSTGRES_USER, _PASSWORD, _DB,
# _INITDB_ARGS, _HOST_AUTH_METHOD, and a command that is the server's. What differs: the data folder
# is a part of the image, and single-user mode names role and database, so nothing starts twice.
set -euo pipefail

[[ ${1:-} != -* ]] || set -- postgres "$@"
case ${1:-postgres} in
    postgres | initialise) ;;
    *) exec "$@" ;;
esac
if [[ $(id -u) == 0 ]]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA" # a mounted folder may be root's
    exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
fi

untouched=$PGDATA/untouched # no server has run on it yet
begun=$PGDATA/begun         # a start was killed while it named role and database
initialise() { # INITDB'S OPTION…
    find "$PGDATA" -mindepth 1 -delete
    initdb --pgdata="$PGDATA" --username=postgres --encoding=UTF8 --auth=trust --no-sync \
        -c listen_addresses='*' "$@" >/dev/null
    # A start only renames this one: 0.04 s instead of 0.4 s. Single-user mode would give it an OID
    # of the system's range.
    pg_ctl -D "$PGDATA" -w -s -o "-c listen_addresses='' -c fsync=off" start >/dev/null
    createdb --username=postgres spare
    pg_ctl -D "$PGDATA" -w -s -m fast stop
    touch "$untouched"
}
name() { printf '"%s"' "${1//\"/\"\"}"; }
text() { printf "'%s'" "${1//\'/\'\'}"; }

if [[ ${1:-} == initialise ]]; then
    initialise
    exit
fi

options=()
[[ -z ${POSTGRES_INITDB_ARGS:-} ]] || eval "options=($POSTGRES_INITDB_ARGS)"
if [[ ! -s $PGDATA/PG_VERSION || -e $begun || -e $untouched && ${#options[@]} != 0 ]]; then
    initialise "${options[@]}" # an empty volume, half of a start, or other options than the image's
fi

if [[ -e $untouched ]]; then
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [[ -z ${POSTGRES_PASSWORD:-} && $method != trust ]]; then
        echo 'entry: POSTGRES_PASSWORD is empty; set it, or POSTGRES_HOST_AUTH_METHOD=trust' >&2
        exit 1
    fi
    if [[ -n $(ls -A /docker-entrypoint-initdb.d) ]]; then
        echo 'entry: this image runs no scripts of /docker-entrypoint-initdb.d' >&2
        exit 1
    fi
    mv "$untouched" "$begun"
    echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
    {
        # The first role cannot be renamed by itself; initdb would have given it this name.
        [[ $user == postgres ]] || echo "UPDATE pg_authid SET rolname = $(text "$user") WHERE oid = 10"
        [[ -z ${POSTGRES_PASSWORD:-} ]] ||
            echo "ALTER ROLE $(name "$user") PASSWORD $(text "$POSTGRES_PASSWORD")"
        if [[ $database == postgres ]]; then
            echo 'DROP DATABASE spare'
        else
            echo "ALTER DATABASE spare RENAME TO $(name "$database")"
        fi
    } | postgres --single -D "$PGDATA" -c exit_on_error=on -c fsync=off postgres >/dev/null
    rm "$begun"
fi
shift || true
exec postgres "$@"
