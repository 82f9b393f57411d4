#!/usr/bin/env bash
# The container tier's images, made of Debian's packages, for machines that reach a mirror of Debian
# but no image registry: bash .ci/images/build.sh [FOLDER…]
# Each gets its official name behind course.local/, to be used with
# TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX=course.local/ in the environment. An image whose inputs
# (Dockerfile, what it copies, base) are unchanged is left alone.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../apt.sh"

prefix=course.local/
suite=trixie
base=${prefix}debian:$suite
label=backend-by-experiment.inputs
cache=${COURSE_CACHE:-$HOME/.cache/backend-by-experiment}/images

wanted=("$@")
if ((${#wanted[@]} == 0)); then
    wanted=("$here"/*/Dockerfile)
    wanted=("${wanted[@]%/Dockerfile}")
    wanted=("${wanted[@]##*/}")
fi

official() { sed -n '1s/^# //p' "$here/$1/Dockerfile"; } # FOLDER: the image's name
is_current() { # IMAGE INPUTS
    [[ $(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null) == "$2" ]]
}
checksum() { sha256sum | cut -c 1-32; }
base_inputs() { { declare -f make_base; cat "$here/packages"; } | checksum; }
inputs() { # FOLDER
    local copied
    copied=$(sed -nE 's/^COPY ([^ ]+) .*/\1/p' "$here/$1/Dockerfile")
    (cd "$here" && { base_inputs; cat "$1/Dockerfile" $copied; } | checksum)
}

# In a mount namespace of its own: what debootstrap mounts goes with it, however it ends.
make_base() { # INPUTS
    local root=$work/root mirror attempt include
    for attempt in 1 2 3; do
        for mirror in $(mirrors_with $suite); do
            rm -rf "$root"
            include=()
            [[ $mirror != https:* ]] || include=(--include=ca-certificates)
            ! unshare --mount debootstrap --variant=minbase "${include[@]}" \
                $suite "$root" "$mirror" || break 2
            tail -n 20 "$root/debootstrap/debootstrap.log" || true
        done
        [[ $attempt != 3 ]] || { echo 'no mirror gave a base system'; return 1; }
        sleep $((attempt * 5))
    done
    # Servers are to be installed, not started; what nobody reads in a container stays out.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    cp "$here/packages" "$root/usr/local/sbin/packages"
    printf '%s\n' force-unsafe-io 'path-exclude /usr/share/doc/*' 'path-include /usr/share/doc/*/copyright' \
        'path-exclude /usr/share/man/*' 'path-exclude /usr/share/info/*' \
        'path-exclude /usr/share/locale/*/*' >"$root/etc/dpkg/dpkg.cfg.d/slim"
    printf '%s;\n' 'APT::Install-Recommends "false"' 'Acquire::Languages "none"' \
        'Acquire::Retries "5"' 'Acquire::PDiffs "false"' 'Dpkg::Use-Pty "0"' \
        >"$root/etc/apt/apt.conf.d/slim"
    # How the machine reaches its mirror.
    [[ $mirror != https:* ]] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    apt-config dump --format '%f "%v";%n' Acquire::http::Proxy Acquire::https::Proxy \
        >"$root/etc/apt/apt.conf.d/proxy"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
        "$root"/usr/share/{man,info,locale}/*
    find "$root/usr/share/doc" -type f ! -name copyright -delete
    tar -C "$root" --numeric-owner -c . | docker import -c 'ENV LANG=C.UTF-8' \
        -c "LABEL $label=$1" - "$base"
    rm -rf "$root"
}

build() { # FOLDER IMAGE INPUTS
    local former
    former=$(docker image inspect -f '{{.Id}}' "$2" 2>/dev/null || true)
    docker build --force-rm --network host --label "$label=$3" --tag "$2" \
        --file "$here/$1/Dockerfile" "$here" || return
    # What had the name until now would stay without one; it does stay if a container uses it.
    [[ -z $former ]] || docker image rm "$former" >/dev/null 2>&1 || true
}

find_todo() {
    local folder
    todo=()
    for folder in "${wanted[@]}"; do
        [[ -f $here/$folder/Dockerfile ]] || die "there is no $folder/Dockerfile"
        is_current "$prefix$(official "$folder")" "$(inputs "$folder")" || todo+=("$folder")
    done
    ((${#todo[@]})) || say "${#wanted[@]} images are there"
}
docker version >/dev/null 2>&1 || die "no Docker engine answers"
find_todo
((${#todo[@]})) || exit 0

mkdir -p "$cache"
exec 9>"$cache/.lock"
if ! flock -n 9; then
    say "another build is running; waiting for it"
    flock 9
    find_todo
    ((${#todo[@]})) || exit 0
fi
rm -rf "$cache"/.build.* # of a run that was killed: we hold the lock
work=$(mktemp -d "$cache/.build.XXXXXX")
jobs=()
finish() {
    trap '' PIPE INT TERM HUP # nothing may stop this half-way
    exec 2>/dev/null
    if ((${#jobs[@]})); then kill -- "${jobs[@]/#/-}" || true; fi
    wait || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE
# A job is a process group of its own, so that an interrupt ends all of it. It has the lock too: if
# we are killed outright, the next run waits for what is left of us.
set -m

if ! is_current "$base" "$(base_inputs)"; then
    install_missing debootstrap
    say "making $base"
    make_base "$(base_inputs)" >"$work/base.log" 2>&1 </dev/null &
    jobs=($!)
    wait $! || { tail -n 20 "$work/base.log" >&2; die "$base failed (its last lines are above)"; }
    say "$base, $SECONDS s"
fi

jobs=()
for folder in "${todo[@]}"; do
    image=$prefix$(official "$folder")
    say "building $image"
    {
        build "$folder" "$image" "$(inputs "$folder")" >"$work/$folder.log" 2>&1 </dev/null &&
            say "$image, $SECONDS s"
    } &
    jobs+=($!)
done
failed=()
for i in "${!jobs[@]}"; do
    wait "${jobs[i]}" || {
        failed+=("${todo[i]}")
        tail -n 20 "$work/${todo[i]}.log" >&2
        say "${todo[i]} failed (its last lines are above)"
    }
done
((${#failed[@]} == 0)) || die "not built: ${failed[*]}"
