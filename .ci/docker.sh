#!/usr/bin/env bash
# A Docker engine where none answers: bash .ci/docker.sh start, and later: bash .ci/docker.sh stop
# An engine that answers already is used and never stopped; ours runs with its files in $run and
# is told apart by them. A run of CI stops only the engine that it started itself.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"

cache=${COURSE_CACHE:-$HOME/.cache/backend-by-experiment}
log=$cache/dockerd.log
run=/run/backend-by-experiment-docker # short: the path of a socket has 107 characters at most
deadline=90                           # seconds until it must answer

answers() { timeout 20 docker version >/dev/null 2>&1; } # without a server's part it fails

# Names a process only if it is one of that program; a number alone may be another's by now.
process_of() { # PID-FILE PROGRAM
    local pid
    pid=$(cat "$1" 2>/dev/null) && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$2" ]] && echo "$pid"
}

# What a killed engine leaves: containerd, its shims, and the containers under them.
leftovers() {
    local pid
    for pid in $(grep -lzF "$run/exec/" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
            containerd-shim*)
                # shellcheck disable=SC2046 # process ids
                echo "$pid" $(cat /proc/"$pid"/task/*/children 2>/dev/null)
                ;;
            containerd | dockerd) echo "$pid" ;;
        esac
    done
}

is_gone() { # PID: it has ended, or is a zombie that nobody has asked after
    [[ ! -d /proc/$1 ]] || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}
an_engine_is_there() { ps -C dockerd -o stat= | grep -qv '^Z'; }

clear_away() {
    local left
    left=$(leftovers)
    [[ -z $left ]] || kill -9 $left 2>/dev/null || true
    # Deepest first. Containers' roots are nobody's now: there is no engine.
    an_engine_is_there ||
        awk -v run="$run/" 'index($2, run) == 1 || $2 ~ "^/var/lib/docker(/|$)" { print $2 }' \
            /proc/mounts | sort -r | xargs -r -n 1 umount -l 2>/dev/null || true
    rm -rf "$run/exec" "$run/dockerd.pid"
}

start() {
    if answers; then
        say "an engine answers: it is used"
        return
    fi
    [[ -z ${DOCKER_HOST:-} ]] || die "DOCKER_HOST=$DOCKER_HOST does not answer"
    [[ $(id -u) == 0 ]] || die "no engine answers here, and only root can start one"
    # What docker.io only recommends, but cannot do without where the kernel has AppArmor.
    local needs=(docker.io)
    [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) != Y ]] || needs+=(apparmor)
    command -v dockerd >/dev/null || install_missing "${needs[@]}"
    command -v docker >/dev/null || install_missing docker-cli

    mkdir -p "$run" "$cache"
    exec 9>"$run/.lock"
    flock -w "$deadline" 9 || die "another start is under way and does not come to an end"
    local began=$SECONDS
    while an_engine_is_there; do # somebody's, still at its start
        ! answers || return 0
        ((SECONDS - began < deadline)) || die "there is a dockerd, but it does not answer"
        sleep 0.5
    done
    clear_away
    # Servers size their tables by the limit on open files, which can be a thousand million. Nobody
    # may be allowed to raise it either.
    local files
    files=$(ulimit -Hn)
    [[ $files != unlimited ]] && ((files < 65536)) || files=65536
    # A session of its own, so that no terminal's Ctrl-C reaches it.
    setsid dockerd --host unix:///var/run/docker.sock --exec-root "$run/exec" \
        --pidfile "$run/dockerd.pid" --shutdown-timeout 5 --default-ulimit "nofile=$files:$files" \
        </dev/null >"$log" 2>&1 9>&- &
    local engine=$!
    disown
    began=$SECONDS
    until answers; do
        if is_gone $engine || ((SECONDS - began > deadline)); then
            tail -n 20 "$log" >&2
            is_gone $engine || kill $engine
            die "the engine did not start within $((SECONDS - began)) s (its last lines are above)"
        fi
        sleep 0.3
    done
    say "an engine runs, $((SECONDS - began)) s"
}

stop() {
    local engine
    if engine=$(process_of "$run/dockerd.pid" dockerd); then
        if [[ -n ${COURSE_CI_RUN:-} ]] &&
            ! grep -qzxF "COURSE_CI_RUN=$COURSE_CI_RUN" "/proc/$engine/environ"; then
            return # somebody else's
        fi
        # What ignores SIGTERM would take 10 s each; what they hold is not to be kept.
        timeout 10 docker ps -q | timeout 20 xargs -r docker kill >/dev/null 2>&1 || true
        kill "$engine" 2>/dev/null || true
        for _ in {1..200}; do
            is_gone "$engine" && break
            sleep 0.1
        done
        is_gone "$engine" || kill -9 "$engine" 2>/dev/null || true
        sleep 0.1
    fi
    [[ ! -d $run/exec ]] || clear_away
    rm -rf "$run"
}

case ${1:-} in
    start | stop) "$1" ;;
    *) die "bash .ci/docker.sh start | stop" ;;
esac
