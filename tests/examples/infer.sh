#!/bin/sh
# The examples of inference tell the classes that dfq run tells, of two pictures with several
# figures, and what goes wrong in one line. Python, Rust and Julia are left out where they are not
# at hand, and where the library has a sanitizer that their programs do not load.
# Usage: infer.sh EXAMPLES OUT LIBRARY_FOLDER FIGURES DFQ INFER_C INFER_CPP
set -eu
examples=$1 out=$2/infer library=$3
model=$examples/figures_vit.safetensors
rm -rf "$out"
mkdir "$out"
"$4" "$out/set" 80 1 "$out/1.png"
"$4" "$out/set" 80 2 "$out/2.png"
"$5" run "$model" --image "$out/1.png" "$out/2.png" -q > "$out/run"
awk '/png$/ { name = $0; getline; print name ": class " $3 }' "$out/run" > "$out/want"
[ "$(wc -l < "$out/want")" = 2 ]

check() {
    name=$1
    shift
    "$@" "$model" "$out/1.png" "$out/2.png" > "$out/have"
    cmp "$out/want" "$out/have" || {
        echo "$name tells something else"
        exit 1
    }
    if "$@" "$out/none" "$out/1.png" > "$out/said" 2>&1; then exit 1; fi
    [ "$(wc -l < "$out/said")" = 1 ] && grep -q "none" "$out/said"
}

check C "$6"
check C++ "$7"
if nm -D "$library/libdfq.so" | grep -q "__asan_\|__ubsan_\|__tsan_"; then exit 0; fi
export LD_LIBRARY_PATH="$library" DFQ_LIBRARY="$library/libdfq.so"
if python3 -c 'import ctypes'; then check Python python3 "$examples/infer.py"; fi
if command -v julia > /dev/null; then check Julia julia "$examples/infer.jl"; fi
if command -v rustc > /dev/null; then
    rustc --edition 2021 -D warnings -L "$library" -l dfq -o "$out/rust" "$examples/infer.rs"
    check Rust "$out/rust"
fi
