#!/bin/sh
# Each public header alone and twice, as C99 and as C++11, every warning an error.
# Usage: headers.sh SOURCE_ROOT "C COMPILER" "C++ COMPILER"   (an empty C++ compiler skips C++)
set -u
root=$1
cc=$2
cxx=$3
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bad=0
count=0
for header in "$root"/include/dfq/*.h; do
    name=dfq/$(basename "$header")
    printf '#include <%s>\n#include <%s>\nint dfq_header_is_complete;\n' "$name" "$name" > "$tmp/h.c"
    cp "$tmp/h.c" "$tmp/h.cpp"
    count=$((count + 1))
    # shellcheck disable=SC2086 # a compiler may be two words (ccache gcc)
    $cc -std=c99 -Wall -Wextra -Wpedantic -Wstrict-prototypes -Wundef -Werror -I"$root/include" \
        -fsyntax-only "$tmp/h.c" || { echo "$name: not as C99"; bad=$((bad + 1)); }
    [ -n "$cxx" ] || continue
    # shellcheck disable=SC2086
    $cxx -std=c++11 -Wall -Wextra -Wpedantic -Wundef -Werror -I"$root/include" \
        -fsyntax-only "$tmp/h.cpp" || { echo "$name: not as C++11"; bad=$((bad + 1)); }
done
echo "$count headers, $bad complaints"
[ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
