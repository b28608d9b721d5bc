#!/bin/sh
# Makes .venv with Roomtone and the named dependency groups in it: tools/setup.sh [test] [lint] [docs]
# Needs Python 3.11 or newer; on Debian and its kin it installs what Python lacks, where it may.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1; then sudo "$@"
    else return 1
    fi
}

apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    say "installing $* with apt-get"
    as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

is_new_enough() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

make_venv() {
    python=$(find_python) || {
        apt_install python3 python3-venv || true
        python=$(find_python) || { say "Python 3.11 or newer is needed: install it, or set PYTHON=/path/to/python"; exit 1; }
    }
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        rm -rf .venv
        # Debian keeps ensurepip in a package of its own
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "python$version-venv" || apt_install python3-venv || {
            say "this Python cannot make virtual environments: install its venv module"; exit 1; }
        "$python" -m venv .venv
    fi
}

[ -x .venv/bin/python ] && is_new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1 || make_venv

groups=""
for group in "$@"; do groups="$groups --group $group"; done
stamp=".venv/.roomtone-$(echo "base $*" | tr ' ' '-')"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ requirements.lock -nt "$stamp" ]; then
    say "installing Roomtone${*:+ and what $* need}"
    .venv/bin/python -m pip install -q --disable-pip-version-check --upgrade "pip>=25.1"
    # shellcheck disable=SC2086  # groups is a list of words
    .venv/bin/python -m pip install -q --disable-pip-version-check -c requirements.lock $groups -e .
    touch "$stamp"
fi
