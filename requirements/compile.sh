#!/usr/bin/env bash
# Compiles pyproject.toml into the lock files of one folder: compile.sh FOLDER [extra arguments for `uv pip compile` of dev.txt]
# dev.txt is resolved first and is the superset; the others start from its versions, so every set agrees with every other.
# A version already in the folder's dev.txt is kept while it still fits: only --upgrade moves it.
set -euo pipefail

folder=${1:?"usage: compile.sh FOLDER [--upgrade | --upgrade-package NAME]"}
shift
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}

compile() { # LOCK, then what is in it
    local lock=$1
    shift
    "$uv" pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet \
        -o "$folder/$lock.txt" "$@" >/dev/null
}

compile dev pyproject.toml --all-extras --group dev "$@"
compile_subset() {
    cp "$folder/dev.txt" "$folder/$1.txt"
    compile "$@"
}
compile_subset build --group build
compile_subset runtime pyproject.toml
for extra in kubernetes aws postgres slack otel; do
    compile_subset "$extra" pyproject.toml --extra "$extra"
done
