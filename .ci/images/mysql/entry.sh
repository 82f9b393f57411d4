#!/bin/bash
# For MySQL and MariaDB, the official images' contract as far as the course needs it: MYSQL_ (or
# MARIADB_) ROOT_PASSWORD, ROOT_HOST, DATABASE, USER, PASSWORD, and a command that is the server's.
# What differs: the data folder is a part of the image, and accounts and database are made by
# --init-file, before the server listens, so that nothing starts twice.
set -euo pipefail

[[ ${1:-} != -* ]] || set -- "$COURSE_SERVER" "$@"
case ${1:-mysqld} in
    mysqld | mariadbd | initialise) ;;
    *) exec "$@" ;;
esac
data=/var/lib/mysql
if [[ $(id -u) == 0 ]]; then
    install -d -o mysql -g mysql $data # a mounted folder may be root's
    exec setpriv --reuid=mysql --regid=mysql --init-groups "${BASH_SOURCE[0]}" "$@"
fi

# An empty database. The init-file's last statement drops it: while its folder is there, accounts
# are to be made, even if a start before was killed.
untouched=$data/untouched
socket=/run/mysqld/initialise.sock
client=(mysql)
[[ $COURSE_SERVER != mariadbd ]] || client=(mariadb)
client+=(--no-defaults --user=root --socket="$socket")

initialise() {
    if [[ $COURSE_SERVER == mariadbd ]]; then
        mariadb-install-db --datadir=$data --skip-test-db \
            --auth-root-authentication-method=normal >/dev/null
    else
        mysqld --initialize-insecure --skip-log-bin --datadir=$data
    fi
    # One start now makes what the first start makes (TLS keys), and loads the time zones.
    "$COURSE_SERVER" --datadir=$data --skip-log-bin --skip-networking --socket="$socket" &
    local server=$! zones
    until "${client[@]}" -e 'select 1' >/dev/null 2>&1; do
        kill -0 $server
        sleep 0.1
    done
    zones=$(command -v mariadb-tzinfo-to-sql mysql_tzinfo_to_sql | head -n 1)
    "$zones" /usr/share/zoneinfo 2>/dev/null | "${client[@]}" mysql
    if [[ $COURSE_SERVER == mariadbd ]]; then # root of this building machine, without a password
        "${client[@]}" mysql -e "delete from global_priv where User = 'root' and Host <> 'localhost';
            delete from proxies_priv where Host <> 'localhost'"
    fi
    "${client[@]}" -e 'create database untouched'
    kill $server
    wait $server
    rm -f $data/auto.cnf # the server's UUID: every container makes its own
}
name() { printf '`%s`' "${1//\`/\`\`}"; }
text() {
    local quoted=${1//\\/\\\\}
    printf "'%s'" "${quoted//\'/\'\'}"
}
variable() { # NAME: MARIADB_NAME or MYSQL_NAME
    local first=MARIADB_$1 second=MYSQL_$1
    printf %s "${!first:-${!second:-}}"
}

if [[ ${1:-} == initialise ]]; then
    initialise
    exit
fi
[[ -d $data/mysql ]] || initialise # an empty volume

arguments=()
if [[ -d $untouched ]]; then
    password=$(variable ROOT_PASSWORD) database=$(variable DATABASE) user=$(variable USER)
    if [[ -z $password$(variable ALLOW_EMPTY_PASSWORD)$(variable ALLOW_EMPTY_ROOT_PASSWORD) ]]; then
        echo "entry: ${COURSE_SERVER^^}: set MYSQL_ROOT_PASSWORD, or MYSQL_ALLOW_EMPTY_PASSWORD=1" >&2
        exit 1
    fi
    if [[ -n $(ls -A /docker-entrypoint-initdb.d) ]]; then
        echo 'entry: this image runs no scripts of /docker-entrypoint-initdb.d' >&2
        exit 1
    fi
    statements=/run/mysqld/initialise.sql
    host=$(variable ROOT_HOST)
    root="'root'@$(text "${host:-%}")"
    (
        umask 077
        {
            echo 'SET SESSION sql_log_bin = 0;' # a replica has accounts of its own
            echo "CREATE USER IF NOT EXISTS $root IDENTIFIED BY $(text "$password");"
            echo "GRANT ALL ON *.* TO $root WITH GRANT OPTION;"
            [[ -z $database ]] || echo "CREATE DATABASE IF NOT EXISTS $(name "$database");"
            if [[ -n $user ]]; then
                account="$(text "$user")@'%'"
                echo "CREATE USER IF NOT EXISTS $account IDENTIFIED BY $(text "$(variable PASSWORD)");"
                [[ -z $database ]] || echo "GRANT ALL ON $(name "${database//_/\\_}").* TO $account;"
            fi
            echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(text "$password");"
            echo 'DROP DATABASE untouched;'
        } >"$statements"
    )
    arguments=(--init-file="$statements")
    # testcontainers waits for ": ready for connections" twice: the official image starts twice.
    echo 'entry: the data folder: ready for connections when the server says so' >&2
fi
shift || true
exec "$COURSE_SERVER" --datadir=$data "$@" "${arguments[@]}"
