#!/bin/sh
# Makes the virtual environment $1 unless a usable one is there; PYTHON names the interpreter.
set -eu

venv=$1

if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

# A name on PATH may be a shim that runs nothing, so each is tried.
bare=
for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        exec "$python" -m venv --clear "$venv"
    fi
    bare=${bare:-$python}
done

# Debian keeps ensurepip in a package of its own; pip can also fill the environment from outside.
if [ -n "$bare" ] && "$bare" -m pip --version >/dev/null 2>&1; then
    "$bare" -m venv --clear --without-pip "$venv"
    exec "$bare" -m pip --python "$venv/bin/python" install --quiet --no-input pip
fi

if [ -n "$bare" ]; then
    echo "error: $bare has neither ensurepip nor pip, so it cannot make a virtual environment." >&2
    echo "  Install them: on Debian and Ubuntu, apt-get install python3-venv." >&2
else
    echo "error: no Python 3.11 or newer was found." >&2
    echo "  Install one, or name it: make PYTHON=/path/to/python3 setup." >&2
fi
exit 1
