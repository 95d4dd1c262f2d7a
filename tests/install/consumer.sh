#!/bin/sh
# Installs into an empty folder, then builds and runs a program outside of the tree with nothing but
# pkg-config: against the shared library, against the static one, and as C++.
# Usage: consumer.sh SOURCE_ROOT BUILD_DIR PREFIX "C COMPILER" "C++ COMPILER"
set -eu
root=$1
build=$2
prefix=$3
cc=$4
cxx=$5
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

DESTDIR="$tmp" meson install -C "$build" --no-rebuild > "$tmp/install.log" 2>&1 ||
    { cat "$tmp/install.log"; exit 1; }
pc=$(find "$tmp" -name dfq.pc)
libdir=$(dirname "$(dirname "$pc")")
[ -e "$libdir/libdfq.so" ] && [ -e "$libdir/libdfq.a" ]

# The .pc names the final prefix; here the tree lies under $tmp.
flags() {
    PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$tmp$prefix" "$@" dfq
}

cd "$tmp"
# shellcheck disable=SC2046,SC2086 # flags are meant to be split
{
    echo "shared:"
    $cc -std=c99 -Wall -Werror "$root/tests/install/consumer.c" -o shared $(flags --cflags --libs)
    LD_LIBRARY_PATH=$libdir ./shared
    echo "static:"
    mkdir only_static
    cp "$libdir/libdfq.a" only_static
    $cc -std=c99 -Wall -Werror "$root/tests/install/consumer.c" -o static $(flags --cflags) \
        $(flags --define-variable=libdir="$tmp/only_static" --static --libs)
    ./static
    if [ -n "$cxx" ]; then
        echo "C++:"
        $cxx -std=c++11 -x c++ -Wall -Werror "$root/tests/install/consumer.c" -x none -o plus \
            $(flags --cflags --libs)
        LD_LIBRARY_PATH=$libdir ./plus
    fi
}
version=$(flags --modversion)
./static | grep -q "libdfq $version: DFQ_OK"
soname=$(readelf -d "$libdir/libdfq.so" | sed -n 's/.*soname: \[\(.*\)\]/\1/p')
[ -e "$libdir/$soname" ] && echo "version $version, soname $soname"
