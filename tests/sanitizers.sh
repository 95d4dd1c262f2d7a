#!/bin/sh
# All suites with AddressSanitizer and UBSan, the long jobs of the program too. CI has some suites alone.
# The last line is "N passed, N failed". Usage: sh tests/sanitizers.sh [BUILD_DIR]
set -u
cd "$(dirname -- "$0")/.." || exit 1
build=${1:-build-sanitizers}
status=0
[ -f "$build/build.ninja" ] ||
    meson setup "$build" -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
        -Dc_args=-fno-sanitize-recover=all > /dev/null || exit 1
meson compile -C "$build" || exit 1
meson test -C "$build" --no-rebuild --print-errorlogs -t 10 --no-suite lint --no-suite install \
    --no-suite ilp32 || status=$?
python3 scripts/tally.py "$build" || status=1
exit "$status"
