#!/bin/sh
# The lowest floors with 32-bit pointers and size_t: allocator, arena, checked sizes, tensors, and plan and
# run of a small network's graph, by the tests of those folders. What needs libpng, libjpeg, jansson or
# kernels beside the plain ones is not covered. 77 (skipped) where gcc builds no 32-bit programs; Debian's
# package gcc-multilib brings what that needs.
# Usage: run.sh SOURCE_FOLDER BUILD_FOLDER
set -eu
cd "$1"
build=$2
mkdir -p "$build/kernel"
echo 'int main(void) { return sizeof(void *) == 4 ? 0 : 1; }' > "$build/probe.c"
if ! gcc -m32 -o "$build/probe" "$build/probe.c" 2> /dev/null || ! "$build/probe"; then
    echo "skipped: gcc -m32 builds no programs that run here (gcc-multilib)"
    exit 77
fi

cat > "$build/kernel/kernel_config.h" << 'END'
#define DFQI_HAVE_XSMM 0
#define DFQI_HAVE_BLIS 0
#define DFQI_HAVE_X86 0
#define DFQI_BLIS_SUBDIR 0
END
# What calls upwards, to read files, stays unresolved: no test here comes there. Doubles are those of SSE, as elsewhere.
# shellcheck disable=SC2046 # names without spaces
gcc -m32 -std=c99 -O1 -msse2 -mfpmath=sse -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 \
    -fno-math-errno -fno-trapping-math -Wall -Wextra -Werror \
    -no-pie -Wl,--unresolved-symbols=ignore-all -pthread \
    -I"$build" -Itests/ilp32 -Itests -Ilib -Iinclude -o "$build/test_ilp32" \
    lib/base/*.c lib/kernel/*.c lib/kernel/ref/*.c lib/tensor/*.c lib/graph/*.c lib/nn/*.c \
    lib/io/class_names.c lib/api/context.c lib/api/options.c \
    $(find tests/base tests/tensor -name '*.c' ! -name main.c) \
    tests/graph/plan.c tests/graph/run.c tests/graph/net.c tests/graph/rig.c \
    tests/ilp32/main.c -lm
exec "$build/test_ilp32"
