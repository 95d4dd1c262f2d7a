#!/bin/sh
# C and C++ sources are as clang-format leaves them, and no line, comments included, has more than 100
# columns. Usage: format.sh [SOURCE_ROOT]. 77 (skipped) without clang-format.
set -eu
cd "${1:-.}"
command -v clang-format > /dev/null || { echo "skipped: no clang-format"; exit 77; }
status=0
git ls-files '*.c' '*.h' '*.cpp' | xargs clang-format --dry-run -Werror || status=1
git ls-files '*.c' '*.h' '*.cpp' | LC_ALL=C.UTF-8 xargs grep -nE '^.{101,}' && status=1
exit "$status"
