#!/usr/bin/env bash
# Build the virtual environment from the lock: no root, no system packages, nothing that is not hashed.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

"$python" - <<'PY' || { echo "Cordon needs Python 3.11 or later as '$python' (set PYTHON=...)." >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY

if [ ! -x "$venv/bin/python" ]; then
    echo "Building $venv from requirements.lock ..."
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        # Debian ships ensurepip apart (python3-venv); pip alone is enough to fill an environment made without it.
        rm -rf "$venv"
        "$python" -m pip --version >/dev/null 2>&1 || {
            echo "Neither venv nor pip is there for '$python'. On Debian: apt install python3-venv" >&2
            exit 1
        }
        "$python" -m venv --without-pip "$venv"
    fi
fi

if [ -x "$venv/bin/pip" ]; then
    pip=("$venv/bin/python" -m pip)
else
    pip=("$python" -m pip --python "$venv/bin/python")
fi
"${pip[@]}" install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
"${pip[@]}" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
echo "Compiling what the streams run ..."
"$venv/bin/python" -m streams compile
