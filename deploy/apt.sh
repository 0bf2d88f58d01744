#!/usr/bin/env bash
# Install what the tests need of Debian's packages (apt.txt) and the packages named, where somebody may; else say what is
# missing and go on: the tests that need it skip, and name it.
set -euo pipefail
list=$(dirname "$0")/apt.txt

missing=()
for package in $(cat "$list") "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and not root on Debian to install it: ${missing[*]}" >&2
    exit 0
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >/dev/null ||
    echo "apt could not install all of: ${missing[*]}" >&2
