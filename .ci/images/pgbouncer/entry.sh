#!/bin/bash
# The contract of edoburu/pgbouncer as far as the course needs it: DB_HOST, DB_PORT, DB_USER,
# DB_PASSWORD, DB_NAME, LISTEN_PORT, AUTH_TYPE, ADMIN_USERS, and these settings in capitals.
set -euo pipefail
settings=(
    auth_hba_file auth_user auth_query pool_mode max_client_conn default_pool_size min_pool_size
    reserve_pool_size reserve_pool_timeout max_db_connections max_user_connections
    server_round_robin disable_pqexec application_name_add_host max_prepared_statements
    log_connections log_disconnections log_pooler_errors log_stats stats_period verbose stats_users
    server_reset_query server_reset_query_always server_check_delay server_check_query
    server_lifetime server_idle_timeout server_connect_timeout server_login_retry
    client_login_timeout autodb_idle_timeout query_timeout query_wait_timeout client_idle_timeout
    idle_transaction_timeout
)
folder=/etc/pgbouncer
type=${AUTH_TYPE:-md5}
if [[ ! -e $folder/userlist.txt ]]; then
    secret=${DB_PASSWORD:-}
    case $type in
        plain | scram-sha-256) ;;
        *) secret=md5$(printf %s "$secret${DB_USER:-}" | md5sum | cut -d ' ' -f 1) ;;
    esac
    [[ -z ${DB_USER:-} ]] || printf '"%s" "%s"\n' "$DB_USER" "$secret" >$folder/userlist.txt
    touch $folder/userlist.txt
fi
if [[ ! -e $folder/pgbouncer.ini ]]; then
    {
        echo '[databases]'
        echo "${DB_NAME:-*} = host=${DB_HOST:?is not set} port=${DB_PORT:-5432}" \
            "auth_user=${DB_USER:-postgres}"
        echo '[pgbouncer]'
        echo "listen_addr = ${LISTEN_ADDR:-0.0.0.0}"
        echo "listen_port = ${LISTEN_PORT:-5432}"
        echo 'unix_socket_dir ='
        echo "auth_file = $folder/userlist.txt"
        echo "auth_type = $type"
        echo "admin_users = ${ADMIN_USERS:-postgres}"
        echo "ignore_startup_parameters = ${IGNORE_STARTUP_PARAMETERS:-extra_float_digits}"
        for setting in "${settings[@]}"; do
            variable=${setting^^}
            [[ -z ${!variable:-} ]] || echo "$setting = ${!variable}"
        done
    } >$folder/pgbouncer.ini
fi
exec "$@"
