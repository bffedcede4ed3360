#!/usr/bin/env bash
# Run the tests on Pythons that the machine does not have: 3.14 and 3.15 of Debian's unstable suite, in a folder.
#
#   bash tests/pythons.sh                  the tests that `make pythons` promises
#   bash tests/pythons.sh 3.15 ARGUMENT…   pytest with those arguments, on 3.15
#   bash tests/pythons.sh shell            a shell in the folder
#
# The folder is made once, kept in the cache and made again when its recipe below changes. It gets the machine's mirror,
# proxy, certificates and configuration of pip. Mounts and processes are in namespaces that end with this script.
set -euo pipefail
[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env bash "$0" "$@"
here=$(cd "$(dirname "$0")/.." && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/effe-tool-pythons"
root="$cache/root"
pythons=(3.14 3.15)
packages=(
    python3.13-venv python3.14-venv python3.15-venv # the tests run on them, and artefacts are compiled for them
    python3                                         # a file that is built starts by that name
    python3.9-minimal libpython3.9-stdlib           # the oldest Python promised, of the last suite that has it
    ca-certificates curl git make openssl           # the tests call them
    binutils iproute2 procps                        # the tests call them
)
# Not $CI: where it is set, tests that need more than this fail; `make test` runs those, on the machine's own Python.
# Where pip and uv read their configuration: the system's and the user's.
settings=(/etc/pip.conf /etc/xdg/pip "$HOME/.config/pip" "$HOME/.pip" /etc/uv "$HOME/.config/uv")
variables=(
    http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS
    PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_DEFAULT_TIMEOUT UV_INDEX_URL UV_DEFAULT_INDEX
)

make_root() {
    local mirror
    if ! command -v debootstrap >/dev/null; then
        if ! command -v apt-get >/dev/null; then
            echo "error: only Debian's tools make the folder of Pythons; here, run make quick PYTHON=python3.15" >&2
            exit 1
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    fi
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian Debian //p' | head -n 1)
    if [ -z "$mirror" ]; then
        echo "error: apt knows no mirror of Debian" >&2
        echo "  fix: apt-get update, then make pythons" >&2
        exit 1
    fi
    echo "making $root from Debian's unstable suite: two minutes, the first time only" >&2
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase sid "$root" "$mirror" >"$cache/debootstrap.log" 2>&1 ||
        { tail -n 20 "$cache/debootstrap.log" >&2; exit 1; }
    { apt-config dump | grep -E '^Acquire::(https?|Retries)' || true; echo 'Acquire::Check-Valid-Until "false";'; } \
        >"$root/etc/apt/apt.conf.d/99-of-the-machine"
    echo "deb $mirror bullseye main" >>"$root/etc/apt/sources.list"
    printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin "$root/usr/sbin/policy-rc.d"
    enter sh -ec "apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${packages[*]} >/dev/null
        apt-get clean"
}

# COMMAND…: run it in the folder, with $tree at /root/effe-tool. A root of its own in namespaces of its own, for what
# runs here makes namespaces in turn, which Linux forbids in a plain chroot.
enter() {
    local keep=() name path folders
    for name in "${variables[@]}"; do
        [ -z "${!name-}" ] || keep+=("$name=${!name}")
    done
    for path in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt "${settings[@]}"; do
        [ -e "$path" ] || continue
        mkdir -p "$root$(dirname "$path")"
        cp -RL --remove-destination "$path" "$root$(dirname "$path")/"
    done
    # Folders of packages that pip is told to look in; the pages of an index name files beside it.
    folders=$(
        for path in "${settings[@]}"; do
            [ ! -e "$path" ] || grep -rhoE '(file://)?/[^[:space:]]+' "$path" || true
        done | sed -E 's#^file://##; s#/simple/?$##' | sort -u
    )
    # shellcheck disable=SC2016  # the inner shell expands it
    env -i "${keep[@]}" HOME=/root LANG=C.UTF-8 TERM="${TERM-dumb}" PIP_DISABLE_PIP_VERSION_CHECK=1 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ROOT="$root" TREE="$tree" FOLDERS="$folders" \
        unshare --mount --pid --fork --kill-child --propagation private bash -ec '
            mount --bind "$ROOT" "$ROOT"
            cd "$ROOT"
            mount -t proc proc proc
            mount --rbind /sys sys
            mount --rbind /dev dev
            mount -t tmpfs -o mode=1777 tmp tmp
            mkdir -p root/effe-tool .outside
            mount --bind "$TREE" root/effe-tool
            for folder in $FOLDERS; do
                case $folder in / | /etc | /etc/* | /usr | /usr/* | "$HOME") continue ;; esac
                [ ! -d "$folder" ] || { mkdir -p ".$folder" && mount --bind -o ro "$folder" ".$folder"; }
            done
            pivot_root . .outside
            cd /root/effe-tool
            umount --lazy /.outside
            unset ROOT TREE FOLDERS
            "$@"
            exit # the first process of a namespace waits for its orphans, as a shell does and pytest does not' enter "$@"
}

tests() { # VERSION ARGUMENT…: pytest on that Python
    local version=$1
    shift
    enter bash -ec '
        v=/root/venv-$1 h=$(sha256sum <pyproject.toml)
        exec 8>$v.lock
        flock 8
        if [ "$(cat $v/made 2>/dev/null)" != "$h" ]; then
            python$1 -m venv --clear $v
            $v/bin/pip install --quiet --upgrade "pip>=25.1"
            $v/bin/pip install --quiet --editable .
            $v/bin/pip install --quiet --group test
            echo "$h" >$v/made
        fi
        exec 8>&-
        shift
        exec $v/bin/python -m pytest -q -n 4 -p no:cacheprovider "$@"' tests "$version" "$@"
}

mkdir -p -m 700 "$cache"
# The tree as it is, so that what the tests write is gone afterwards; some ask git which files it has.
tree=$(mktemp -d "$cache/tree.XXXXXX")
trap 'rm -rf --one-file-system "$tree"' EXIT
(cd "$here" && git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null |
    tar -c --files-from=-) | tar -x -C "$tree" --no-same-owner
git -C "$tree" init -q
git -C "$tree" add -A

exec 9>"$cache/lock"
flock 9
recipe=$(declare -f make_root | cat - <(echo "${packages[@]}") | sha256sum)
if [ "$(cat "$cache/made" 2>/dev/null)" != "$recipe" ]; then
    rm -f "$cache/made"
    make_root
    echo "$recipe" >"$cache/made"
fi
exec 9>&-

case ${1-all} in
    shell) enter bash ;;
    all)
        parts="not soak and not container and not haproxy and not registry and not systemd and not browser"
        # What waits by the clock, for minutes, is run on the newest.
        waits="full_house or each_thread_goes_on"
        for version in "${pythons[@]}"; do
            echo "== Python $version: make quick, and the slow tests of the server, the build, dev and testing"
            tests "$version" -m "not slow and $parts"
            tests "$version" -m "slow and $parts" -k "${waits:+not ($waits)}" \
                tests/runtime tests/builder tests/develop tests/testing
            [ "$version" != "${pythons[-2]}" ] || waits=""
        done
        ;;
    *) tests "$@" ;;
esac
