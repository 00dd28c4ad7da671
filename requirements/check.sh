#!/usr/bin/env bash
# Fails when requirements/*.txt do not follow from pyproject.toml. Without a package index it cannot know: it then says so and passes,
# except in CI (CI=true), where not knowing is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
cp requirements/*.txt "$fresh"

if ! requirements/compile.sh "$fresh" 2>"$fresh/error"; then
    cat "$fresh/error" >&2
    if [[ "${CI:-}" != true ]] && grep -qiE 'failed to fetch|connect|dns|network|timed out' "$fresh/error"; then
        echo "lock-check: skipped, the package index does not answer" >&2
        exit 0
    fi
    echo "lock-check: requirements/*.txt cannot be compiled from pyproject.toml" >&2
    exit 1
fi

stale=0
for lock in requirements/*.txt; do
    diff -u "$lock" "$fresh/$(basename "$lock")" || stale=1
done
if ((stale)); then
    echo "lock-check: run 'make lock' and commit requirements/" >&2
    exit 1
fi
echo "lock-check: requirements/*.txt follow from pyproject.toml"
