#!/bin/sh
# Makes the virtual environment: venv.sh PYTHON FOLDER. On Debian the module for it is a package.
set -eu
python=$1
folder=$2
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or newer is needed as \"$python\". Try: make PYTHON=python3.11" >&2
    exit 2
fi
[ -x "$folder/bin/python" ] && "$folder/bin/python" -m pip --version >/dev/null 2>&1 && exit 0
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "\"$python\" cannot make virtual environments. Install python3-venv first." >&2
        exit 2
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
rm -rf "$folder"
"$python" -m venv "$folder"
