#!/bin/sh
# clang-tidy over the library, by the compile commands of a build with clang.
# Usage: sh tests/analyze.sh BUILD_DIR [OPTION=VALUE of clang's analyzer]
set -u
cd "$(dirname -- "$0")/.." || exit 1
build=$1
option=${2:-}
git ls-files 'lib/*.c' | xargs -P 2 -n 16 clang-tidy -p "$build" --quiet ${option:+\
    --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg="$option"} 2> /dev/null
