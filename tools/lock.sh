#!/bin/sh
# Writes requirements.lock: the exact versions that CI and `make` use, resolved in a fresh environment.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch"
"$scratch/bin/python" -m pip install -q --upgrade "pip>=25.1"
"$scratch/bin/python" -m pip install -q --group test --group lint --group docs .
{
    echo "# Made by tools/lock.sh; used as constraints, so that every environment has the same versions."
    "$scratch/bin/python" -m pip freeze --exclude roomtone --exclude pip --exclude setuptools
} > requirements.lock
