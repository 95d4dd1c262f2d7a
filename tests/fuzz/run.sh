#!/bin/sh
# Fuzzes each target for SECONDS with clang's libFuzzer, AddressSanitizer and UBSan.
# Usage: tests/fuzz/run.sh [SECONDS=30] [TARGET...]    CC=clang-14 picks the compiler.
# Inputs that failed are left in $FUZZ_OUT (default: fuzz-out in the current folder). The targets
# `network` and `onnx` want the whole library, which takes minutes to build.
set -u
seconds=${1:-30}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- safetensors index image labels names network onnx
here=$(cd "$(dirname "$0")" && pwd) || exit 2
root=$(cd "$here/../.." && pwd) || exit 2
out=${FUZZ_OUT:-fuzz-out}
cc=${CC:-clang}
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
passed=0
failed=0

# build TARGET LINKED...: with the sources or libraries that it needs.
build() {
    source=$here/$1.c
    fuzzer=$out/fuzz_$1
    shift
    # shellcheck disable=SC2046 # pkg-config prints words
    "$cc" -std=c99 -g -O1 -D_POSIX_C_SOURCE=200809L -pthread \
        -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -I"$root/lib" -I"$root/include" -I"$root/tests" "$source" "$@" \
        $(pkg-config --cflags --libs jansson libpng libjpeg libwebp) -lm -o "$fuzzer"
}

# The whole library, in $out/library.
build_library() {
    [ -f "$out/library/build.ninja" ] ||
        CC=$cc meson setup "$out/library" "$root" --buildtype=debugoptimized -Db_lundef=false \
            -Db_sanitize=address,undefined \
            -Dc_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=all" > "$out/library.log" || return 1
    ninja -C "$out/library" lib/libdfq.a >> "$out/library.log"
}

build_target() {
    if [ "$1" = network ] || [ "$1" = onnx ]; then
        # shellcheck disable=SC2046 # pkg-config prints words
        build_library && build "$1" "$out/library/lib/libdfq.a" -lxsmm -lxsmmnoblas -lblis \
            -ldl $(pkg-config --libs libprotobuf-c)
    else
        build "$1" "$root"/lib/base/*.c "$root"/lib/tensor/*.c "$root"/lib/io/*.c
    fi
}

for target; do
    if ! build_target "$target"; then
        echo "$target: does not build"
        failed=$((failed + 1))
        continue
    fi
    mkdir -p "$out/corpus_$target"
    if "$out/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 \
        -artifact_prefix="$out/$target-" -print_final_stats=1 \
        "$out/corpus_$target" "$here/corpus/$target" > "$out/$target.log" 2>&1; then
        passed=$((passed + 1))
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log") runs"
    else
        failed=$((failed + 1))
        echo "$target: see $out/$target.log"
        tail -n 25 "$out/$target.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
