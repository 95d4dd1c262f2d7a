#!/bin/sh
# Installs the Debian packages of the given lists (default: packages.txt) that are missing, one name
# per line. Does nothing, and needs no rights, when all are there.
# Usage: sh scripts/packages.sh [LIST...]
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ $# -gt 0 ] || set -- "$root/packages.txt"

if ! command -v apt-get > /dev/null || ! command -v dpkg-query > /dev/null; then
    echo "no apt-get here: please see to it that these are installed:" >&2
    cat "$@" >&2
    exit 0
fi

missing=
# shellcheck disable=SC2013 # one word per line
for name in $(cat "$@"); do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$name" 2> /dev/null || true)
    [ "$state" = installed ] || missing="$missing $name"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null; then
        echo "packages are missing; as root, run: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of names, and sudo or nothing
if ! { $as_root apt-get update -qq &&
       $as_root apt-get install -y -qq --no-install-recommends $missing; } < /dev/null > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get failed; these packages are needed:$missing" >&2
    exit 1
fi
