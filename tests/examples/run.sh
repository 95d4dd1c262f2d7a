#!/bin/sh
# Runs an example on the embedded network; 77 (skipped) where the language is not at hand.
# Usage: run.sh LANGUAGE EXAMPLES LIBRARY_FOLDER OUTPUT_FOLDER
set -eu
examples=$2
library=$3
out=$4/$1.safetensors
rm -f "$out"
case $1 in
python)
    python3 -c 'import ctypes' || exit 77
    set -- python3 "$examples/quantize.py"
    ;;
julia)
    command -v julia > /dev/null || exit 77
    set -- julia "$examples/quantize.jl"
    ;;
rust)
    command -v rustc > /dev/null || exit 77
    rustc --edition 2021 -D warnings -L "$library" -l dfq -o "$4/rust" "$examples/quantize.rs"
    set -- "$4/rust"
    ;;
esac
# What goes wrong is told in one line.
if [ "$1" = python3 ]; then
    said=$(DFQ_LIBRARY=$library/libdfq.so "$@" "$out.none" "$out" 2>&1) && exit 1
    case $said in
    'quantize.py: cannot read '*"$out.none"*) [ "$(printf '%s\n' "$said" | wc -l)" = 1 ] ;;
    *)
        printf '%s\n' "$said"
        exit 1
        ;;
    esac
fi
LD_LIBRARY_PATH=$library DFQ_LIBRARY=$library/libdfq.so \
    "$@" "$examples/figures_vit.safetensors" "$out" 8 2
[ -s "$out" ]
