#!/usr/bin/env bash
# Installs what the tests against real servers need beside the control plane (tests/controlplane/build.sh builds that one).
#
#   install.sh            everything that is missing
#   install.sh --packages the Debian packages, one a line, and nothing else
#   install.sh --go       only the Go programs (no root needed)
#   install.sh --apt      only the Debian packages (needs root)
#
# Idempotent: a warm run starts neither apt nor Go. Leaves no daemon running: Debian starts services when it installs them,
# so the packages go in under a policy-rc.d that says no. Cache: $ALERT_RECEIVER_CACHE, else ~/.cache/alert-receiver.
set -euo pipefail

cache="${ALERT_RECEIVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/alert-receiver}"

debian_packages() {
    printf '%s\n' prometheus prometheus-alertmanager etcd-server openssl chromium iproute2
}

missing_packages() {
    local package
    for package in $(debian_packages); do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || echo "$package"
    done
}

# 101 = "action forbidden by policy": invoke-rc.d, and so every maintainer script, then starts nothing.
forbid_services() {
    policy=/usr/sbin/policy-rc.d
    [[ -e "$policy" ]] && return # somebody else's policy: leave it
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
}

install_debian() {
    local missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    forbid_services
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends "${missing[@]}"
}

# go_program DIRECTORY PACKAGE@VERSION: into CACHE/DIRECTORY, built aside and moved in whole.
go_program() {
    local target="$cache/$1" package="$2" fresh
    local name="${1%%-v*}"
    [[ -x "$target/$name" ]] && return
    mkdir -p "$cache"
    fresh="$(mktemp -d "$target.XXXXXX")"
    CGO_ENABLED=0 GOBIN="$fresh" nice go install -trimpath -ldflags "-s -w ${3:-}" "$package"
    chmod 755 "$fresh"
    rm -rf "$target"
    mv -T "$fresh" "$target"
}

install_go() {
    # The newest that installs this way: from 0.32 on the built files of the web interface are not in the module.
    go_program alertmanager-v0.31.1 github.com/prometheus/alertmanager/cmd/alertmanager@v0.31.1 \
        "-X github.com/prometheus/common/version.Version=0.31.1"
    go_program kustomize-v5.7.1 sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
}

case "${1:-}" in
    --packages) debian_packages ;;
    --go) install_go ;;
    --apt) install_debian ;;
    "") install_debian && install_go ;;
    *) echo "install.sh: unknown option $1; allowed: --packages, --go, --apt" >&2; exit 2 ;;
esac
