#!/usr/bin/env bash
# The native tier's servers as Debian has them: bash .ci/services.sh
# The course starts them itself, each in a folder of its own; none is to run as a system service.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"

packages=(postgresql mariadb-server redis-server memcached pgbouncer nginx)
[[ -n $(missing_packages "${packages[@]}") ]] || exit 0 # what runs here then is not our doing
install_missing "${packages[@]}"
for file in /run/postgresql/*.pid /run/mysqld/*.pid /run/redis/*.pid /run/memcached/*.pid /run/nginx.pid; do
    [[ ! -s $file || ! -d /proc/$(head -n 1 "$file") ]] ||
        die "a package has started its server, against the machine's policy ($file)"
done
