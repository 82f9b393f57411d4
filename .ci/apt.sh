# shellcheck shell=bash
# Sourced by the scripts of this folder: Debian packages, where they are missing.

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { say "$@"; exit 1; }

missing_packages() { # NAME…
    local name
    for name; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
    done
}

# Nothing that a package brings is started, whether or not the machine has a rule about that. One
# at a time: apt waits for dpkg's lock, not for that of its own lists.
install_missing() { # NAME…
    local wanted=() policy=/usr/sbin/policy-rc.d
    command -v dpkg-query >/dev/null || die "this machine has no dpkg; install: $*"
    mapfile -t wanted < <(missing_packages "$@")
    ((${#wanted[@]})) || return 0
    [[ $(id -u) == 0 ]] || die "only root can install: ${wanted[*]}"
    say "installing ${wanted[*]}"
    local log
    log=$(mktemp)
    (
        flock -w 900 8 || exit
        if [[ ! -e $policy ]]; then
            trap 'rm -f "$policy"' EXIT
            trap 'exit 143' INT TERM HUP PIPE
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0
            -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5)
        # A second try after a fresh index: a mirror may change under us.
        for _ in 1 2; do
            "${get[@]}" update || true # one broken repository of the machine's is not ours
            ! "${get[@]}" install -y --no-install-recommends "${wanted[@]}" || exit 0
            sleep 5
        done
        exit 1
    ) >"$log" 2>&1 </dev/null 8>/run/backend-by-experiment-apt.lock || {
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt could not install ${wanted[*]} (its last lines are above)"
    }
    rm -f "$log"
}

# Where the machine's own apt takes Debian from: addresses of mirrors that have this suite.
mirrors_with() { # SUITE
    local address scratch
    scratch=$(mktemp -d)
    mkdir -p "$scratch/lists/partial"
    # What apt would ask for, which it says without having asked yet. The machine's other
    # repositories are in it too; they lack the suite's folder.
    apt-get -o Dir::State::lists="$scratch/lists" --print-uris update |
        sed -nE "s|^'([^']*)/dists/[^']*'.*|\\1|p" | grep -v security | sort -u |
        while read -r address; do
            /usr/lib/apt/apt-helper -o Acquire::Retries=3 download-file \
                "$address/dists/$1/InRelease" "$scratch/InRelease" >/dev/null 2>&1 </dev/null || continue
            ! grep -qx 'Origin: Debian' "$scratch/InRelease" || echo "$address"
        done
    rm -rf "$scratch"
}
