#!/bin/sh
# From a fresh clone to a judged 4-bit network, without data: installs what is missing, builds,
# quantizes the embedded vision transformer, judges it on drawn test images, writes a report.
# Usage: sh examples/quickstart.sh [OUT]    (default: out/ beside this folder)
# DFQ_BUILD_DIR: where to build (default: build-quickstart/, without tests).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
out=${1:-$root/out}
build=${DFQ_BUILD_DIR:-$root/build-quickstart}
model=$root/examples/figures_vit.safetensors
dfq=$build/tools/dfq
mkdir -p "$out"
log=$out/quickstart.log
: > "$log"

# quietly COMMAND...: what it prints goes to the log, of which the end is shown if it fails.
quietly() {
    "$@" >> "$log" 2>&1 < /dev/null && return 0
    tail -n 20 "$log" >&2
    echo "quickstart: this failed: $* (all of it: $log)" >&2
    exit 1
}

# A terminal gets the program's progress bar, a file only what comes out.
quiet=
[ -t 2 ] || quiet=--quiet

echo "1 of 4: packages that are missing"
quietly sh "$root/scripts/packages.sh"

echo "2 of 4: building in $build (a minute or two)"
[ -f "$build/build.ninja" ] || quietly meson setup "$build" "$root" -Dtests=false -Dbench=false
quietly meson compile -C "$build" dfq:executable figures:executable

echo "3 of 4: drawing 1000 labelled pictures; they are for judging, nothing learns from them"
quietly "$build/examples/figures" "$out/test.bin" 1000 4242 "$out/test.png"

echo "4 of 4: quantizing to 4 bits (a minute), then judging on the pictures"
# shellcheck disable=SC2086 # an option or nothing
"$dfq" quantize "$model" --bits w4a4 --images 64 --iters 100 --steps 100 --data "$out/test.bin" \
    --report "$out/report.html" -o "$out/figures-w4a4.safetensors" --force $quiet
echo "float:      $("$dfq" eval "$model" --data "$out/test.bin" --quiet)"
echo "quantized:  $("$dfq" eval "$out/figures-w4a4.safetensors" --data "$out/test.bin" --quiet)"
echo "network:    $out/figures-w4a4.safetensors"
echo "report:     $out/report.html"
echo "pictures:   $out/test.png"
