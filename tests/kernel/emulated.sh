#!/bin/sh
# The tests of the integer kernels on emulated CPUs, which lack what the machine at hand would
# choose: one without AVX chooses plain C, one with AVX2 the kernels for it. The last line is "N
# passed, N failed". Usage: sh tests/kernel/emulated.sh [BUILD_DIR]
set -u
cd "$(dirname -- "$0")/../.." || exit 1
test=$(realpath "${1:-build}/tests/test_int_kernel") || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0

# on CPU TABLES: qemu's name of the CPU, and how many tables it can run.
on() {
    # qemu reads whole vectors under vmaskmovps, hence room behind the buffers
    DFQT_LOOSE_PAGES=1 CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent CK_TIMEOUT_MULTIPLIER=100 \
        qemu-x86_64 -cpu "$1" "$test" > "$log" 2>&1
    good=$(grep "^ok" "$log" | grep -vc "# SKIP")
    bad=$(grep -c "^not ok" "$log")
    skipped=$(grep -c "# SKIP this machine has $2 tables of integer kernels" "$log")
    echo "$1: $good passed, $bad failed, $skipped are of tables that this CPU cannot run"
    [ "$bad" -eq 0 ] || grep "^not ok" "$log"
    if [ "$good" -eq 0 ] || [ "$skipped" -eq 0 ]; then
        echo "$1: expected $2 tables"
        head -n 20 "$log"
        bad=$((bad + 1))
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

on qemu64 1
on Haswell 2
echo "skipped: AVX-VNNI and AVX-512 VNNI, which qemu 7.2 does not emulate"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
