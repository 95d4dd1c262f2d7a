#!/bin/sh
# From a fresh clone to a judged 4-bit network, without data: installs what is missing, builds,
# quantizes the embedded vision transformer, judges it on drawn test images, writes a report.
# Usage: sh examples/quickstart.sh [OUT]    (default: out/ beside this folder)
# DFQ_BUILD_DIR: where to build (default: build/).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
out=${1:-$root/out}
build=${DFQ_BUILD_DIR:-$root/build}
model=$root/examples/figures_vit.safetensors

sh "$root/scripts/packages.sh"
[ -f "$build/build.ninja" ] || meson setup "$build" "$root"
meson compile -C "$build"
mkdir -p "$out"
dfq=$build/tools/dfq

# 1000 labelled pictures the network has never seen; they are for judging, nothing learns from them.
"$build/examples/figures" "$out/test.bin" 1000 4242 "$out/test.png"

"$dfq" quantize "$model" --bits w4a4 --images 64 --iters 100 --steps 100 --data "$out/test.bin" \
    --report "$out/report.html" -o "$out/figures-w4a4.safetensors" --force
echo
echo "float:      $("$dfq" eval "$model" --data "$out/test.bin" --json --quiet)"
echo "quantized:  $("$dfq" eval "$out/figures-w4a4.safetensors" --data "$out/test.bin" --json --quiet)"
echo "network:    $out/figures-w4a4.safetensors"
echo "report:     $out/report.html"
echo "pictures:   $out/test.png"
