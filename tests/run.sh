#!/bin/sh
# Installs what is missing, builds, and runs all tests; the last line is "N passed, N failed".
# Usage: sh tests/run.sh [arguments of meson test]
# DFQ_BUILD_DIR: where to build (default: build/ beside this folder).
# DFQ_TEST_ASSETS: folder of real models and images; tests that need them skip without it, the embedded
# network stands in for them on the main path.
set -eu
cd "$(dirname -- "$0")/.."
sh scripts/packages.sh

build=${DFQ_BUILD_DIR:-build}
if [ -f "$build/build.ninja" ]; then
    meson setup --reconfigure "$build" > /dev/null
else
    meson setup "$build"
fi
meson compile -C "$build"

# Limits of time are for what hangs: a busy machine needs many times what an idle one does.
status=0
meson test -C "$build" --no-rebuild --print-errorlogs --timeout-multiplier 10 "$@" || status=$?
python3 scripts/tally.py "$build" || status=1
exit "$status"
