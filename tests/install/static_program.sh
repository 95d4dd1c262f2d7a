#!/bin/sh
# -Ddefault_library=static links the program with the static library alone. Looks at the command that
# would link it, without building.
# Usage: static_program.sh SOURCE_ROOT
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
meson setup "$tmp/build" "$1" -Ddefault_library=static -Dtests=false -Dexamples=false > "$tmp/log" ||
    { cat "$tmp/log"; exit 1; }
link=$(ninja -C "$tmp/build" -t commands tools/dfq | tail -n 1)
case $link in
*libdfq.so*) echo "linked with libdfq.so: $link"; exit 1 ;;
*libdfq.a*) echo "linked with libdfq.a" ;;
*) echo "linked with neither: $link"; exit 1 ;;
esac
