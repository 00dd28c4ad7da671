#!/usr/bin/env bash
# Builds kube-apiserver, kube-controller-manager and kube-scheduler (one binary, three links) into the cache.
#
#   build.sh [VERSION]    VERSION: as 1.36.3; else $RECEIVER_TEST_KUBERNETES, else the version of go.mod
#
# go.mod is the version that every run tests with; each vX.Y.Z.mod (with its .sum) beside it is another one.
# About 8 minutes and both cores the first time, 13 s with a warm Go cache, nothing at all when the sources are unchanged.
# Prints the directory that holds the three. Cache: $ALERT_RECEIVER_CACHE, else ~/.cache/alert-receiver. No Go is needed
# when the cache is warm.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

pinned() { # the Kubernetes version that a module file names
    sed -n 's|^[[:space:]]*k8s.io/kubernetes v\([0-9.]*\)$|\1|p' "$1"
}

wanted="${1:-${RECEIVER_TEST_KUBERNETES:-$(pinned "$here/go.mod")}}"
wanted="${wanted#v}"
known=()
for file in "$here"/*.mod; do
    known+=("$(pinned "$file")")
    if [[ "${known[-1]}" == "$wanted" ]]; then module="${file%.mod}"; fi
done
if [[ -z "${module:-}" ]]; then
    echo "build.sh: no module file for Kubernetes $wanted; allowed: ${known[*]}. docs/testing.md says how to add one." >&2
    exit 2
fi

version="v$wanted"
cache="${ALERT_RECEIVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/alert-receiver}"
target="$cache/controlplane-$version"

stamp="$(cat "$module.mod" "$module.sum" "$here/main.go" | sha256sum | cut -d' ' -f1)"

is_current() {
    [[ -x "$target/kube-scheduler" && "$(cat "$target/stamp" 2>/dev/null)" == "$stamp" ]]
}

build() {
    local fresh="$1" minor="${version#v1.}" package="k8s.io/component-base/version"
    minor="${minor%%.*}"
    # Without the version the server calls itself v0.0.0-master, and clients and feature gates misbehave.
    (cd "$here" && CGO_ENABLED=0 nice go build -modfile="$module.mod" -mod=readonly -trimpath -buildvcs=false \
        -ldflags "-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor" \
        -o "$fresh/controlplane" .)
    for name in kube-apiserver kube-controller-manager kube-scheduler; do
        ln -s controlplane "$fresh/$name"
    done
    printf '%s\n' "$stamp" > "$fresh/stamp"
}

mkdir -p "$cache"
if ! is_current; then
    exec 9> "$target.lock" # two builds at once: the second waits, then finds the work done
    flock 9
    if ! is_current; then
        go="$(sed -n 's|^go \([0-9.]*\)$|\1|p' "$module.mod")"
        command -v go > /dev/null || { echo "build.sh: go is missing: install Go $go or newer" >&2; exit 1; }
        fresh="$(mktemp -d "$target.XXXXXX")"
        trap 'rm -rf "$fresh"' EXIT
        build "$fresh"
        chmod 755 "$fresh"
        rm -rf "$target"
        mv -T "$fresh" "$target"
    fi
fi
echo "$target"
