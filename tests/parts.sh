#!/usr/bin/env bash
# Install the real parts the tests drive. One package a line, with the tests that need it.
set -euo pipefail
packages=(
    podman          # tests/image: engines that load and run the images
    buildah         # tests/image: engines that load and run the images
    skopeo          # tests/image: engines that load and run the images
    runc            # tests/image: engines that load and run the images
    catatonit       # tests/image: engines that load and run the images
    netavark        # tests/image: engines that load and run the images
    aardvark-dns    # tests/image: engines that load and run the images
    docker-registry # tests/image: push and pull
    apache2-utils   # tests/image: htpasswd for the registry
    openssl         # tests/image, tests/runtime: certificates
    docker.io       # tests/deploy: an engine that runs the stack
    iptables        # tests/deploy: an engine that runs the stack
    iproute2        # tests/deploy: an engine that runs the stack
    haproxy         # tests/runtime, tests/deploy, tests/up: restarts, routes, scaling that lose no request
    wrk             # tests/benchmarks: the load
    nginx-light     # tests/runtime: a proxy reads what the effe reads
    rsyslog         # tests/runtime: records in syslog
    git             # templates from a repository
    pypy3           # tests/builder, tests/cli: a Python that is refused
    zsh             # tests/cli: completion
    fish            # tests/cli: completion
    systemd         # tests/deploy: systemd-analyze, systemd-socket-activate, a booted one
    curl            # the README's commands
    slowhttptest    # tests/runtime: slow heads, bodies, readers
    chromium        # the error page of dev, the template page
    chromium-driver # the error page of dev, the template page
)
missing=()
for package in "${packages[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
    echo "not Debian: install these by hand for the full tests: ${missing[*]}" >&2
    exit 0
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
# The tests start what they need themselves: nothing is to run because it was installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo install -m 755 /dev/stdin "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
