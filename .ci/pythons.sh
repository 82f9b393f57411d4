#!/usr/bin/env bash
# CPython 3.14 with the GIL and without it (3.14t), built from Debian's source tarball into
# ${COURSE_CACHE:-~/.cache/backend-by-experiment}/pythons/3.14 and …/3.14t; what is there and works
# is left alone. For machines where nobody offers them ready-made: `uv python install 3.14 3.14t`
# is the shorter way wherever uv can download.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"

cache=${COURSE_CACHE:-$HOME/.cache/backend-by-experiment}
home=$cache/pythons
# A tarball that was seen to build. Debian's pool moves on and its index can run ahead of it: this
# one is the last candidate, after what the signed index names.
known_good='3.14.7 3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81'
suites='forky sid'
packages=(build-essential pkg-config libssl-dev libffi-dev libsqlite3-dev zlib1g-dev liblzma-dev
    libbz2-dev libzstd-dev libreadline-dev libncurses-dev uuid-dev xz-utils)

# The only test of "it is there": run it, with the modules that a build silently leaves out where
# a library is missing.
works() { # flavour: 3.14 | 3.14t
    local threaded=False
    [[ $1 == *t ]] || threaded=True
    "$home/$1/bin/python$1" -c "
import ssl, sqlite3, ctypes, zlib, lzma, bz2, ensurepip, sys
sys.exit(sys.version_info[:2] != (3, 14) or sys._is_gil_enabled() is not $threaded)" 2>/dev/null
}

# apt with a world of its own: the suites' source index, read from the machine's own mirrors and
# verified by apt against Debian's keyring, without a trace in the machine's configuration.
private_apt() {
    local command=$1; shift
    "$command" -o Dir::Etc::sourcelist="$work/debian.sources" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::AllowInsecureRepositories=false "$@"
}

# Lines "version sha256", newest first. Release candidates are not wanted.
candidates() {
    local keyring
    keyring=$(find /usr/share/keyrings -name 'debian-archive-keyring.*' | sort | head -n 1)
    if [[ -n $keyring ]]; then
        printf '%s\n' 'Types: deb-src' "URIs: ${mirrors[*]}" "Suites: $suites" 'Components: main' \
            "Signed-By: $keyring" >"$work/debian.sources"
        # A mirror without these suites makes apt complain; the others still count.
        private_apt apt-get -qq update >"$work/apt.log" 2>&1 || true
        private_apt apt-cache showsrc --only-source python3.14 2>>"$work/apt.log" |
            sed -nE 's/^ ([0-9a-f]{64}) [0-9]+ python3\.14_([0-9.]+)\.orig\.tar\.xz$/\2 \1/p' |
            sort -u -V -r || true
    else
        say "no Debian keyring: the signed index is not read"
    fi
    echo "$known_good"
}

fetch() {
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    # What apt would ask for, which it says without having asked yet.
    mapfile -t mirrors < <(apt-get -o Dir::State::lists="$work/lists" --print-uris update |
        sed -nE "s|^'([^']*)/dists/[^']*'.*|\\1|p" | grep -v security | sort -u)
    ((${#mirrors[@]})) || die "apt's configuration names no mirror to take the sources from"
    local version sha256 mirror tried=()
    while read -r version sha256; do
        for mirror in "${mirrors[@]}"; do
            # apt-helper compares the checksum and leaves no file when it differs.
            if private_apt /usr/lib/apt/apt-helper download-file \
                "${mirror%/}/pool/main/p/python3.14/python3.14_$version.orig.tar.xz" \
                "$work/source.tar.xz" "SHA256:$sha256" >>"$work/apt.log" 2>&1; then
                say "CPython $version"
                return
            fi
        done
        tried+=("$version")
    done < <(candidates)
    tail -n 20 "$work/apt.log" >&2
    die "no source tarball of CPython 3.14 to be had: none of ${tried[*]} came from the pool of" \
        "${#mirrors[@]} mirror(s); what apt said is above"
}

build() { # flavour
    # -O3 is configure's own default. No PGO (it would double the time), no debug symbols, no
    # static library, no test suite: nothing here is debugged, embedded or released.
    local flags=(--prefix="$home/$1" --disable-test-modules --without-static-libpython CFLAGS=-g0)
    [[ $1 != *t ]] || flags+=(--disable-gil)
    mkdir "$work/$1"
    cd "$work/$1"
    ../source/configure -q "${flags[@]}"
    make -s -j "$(nproc)"
    make -s install DESTDIR="$work/root-$1"
}

mkdir -p "$home"
exec 9>"$home/.lock"
flock -n 9 || { say "another build is running; waiting for it"; flock 9; }

todo=()
for flavour in 3.14 3.14t; do works $flavour || todo+=("$flavour"); done
if ((${#todo[@]} == 0)); then
    say "3.14 and 3.14t are there"
    exit
fi

rm -rf "$home"/.build.* # of a run that was killed: we hold the lock
work=$(mktemp -d "$home/.build.XXXXXX")
jobs=()
finish() {
    trap '' PIPE INT TERM HUP # nothing may stop this half-way, not even that nobody listens
    exec 2>/dev/null
    if ((${#jobs[@]})); then kill -- "${jobs[@]/#/-}" || true; fi
    wait || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE

[[ -x /usr/lib/apt/apt-helper ]] ||
    die "this builds from Debian's sources and needs apt; elsewhere: uv python install 3.14 3.14t"
install_missing "${packages[@]}"
fetch
mkdir "$work/source"
tar -xJf "$work/source.tar.xz" -C "$work/source" --strip-components=1

# Both at once: configure and the last link use one core each. A job is a process group of its own
# (set -m), so that an interrupt ends the compilers too.
set -m
for flavour in "${todo[@]}"; do
    say "building $flavour"
    (build "$flavour") >"$work/$flavour.log" 2>&1 </dev/null &
    jobs+=($!)
done
for i in "${!jobs[@]}"; do
    wait "${jobs[i]}" || {
        tail -n 40 "$work/${todo[i]}.log" >&2
        die "the build of ${todo[i]} failed (its last lines are above)"
    }
done

# Only a finished build gets the name; a broken one that had it goes first.
for flavour in "${todo[@]}"; do
    rm -rf "${home:?}/$flavour"
    mv "$work/root-$flavour$home/$flavour" "$home/$flavour"
    works "$flavour" || die "$home/$flavour was built but does not run as it should"
    say "$home/$flavour/bin/python$flavour, $SECONDS s"
done
