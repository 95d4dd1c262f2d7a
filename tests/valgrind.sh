#!/bin/sh
# Synthesis, quantization, evaluation, runs and exports of tiny networks under valgrind: nothing that was never written
# is read, and no access misses its block. With the plain kernels, since valgrind knows no AVX-512.
# The last line is "N passed, N failed". Usage: sh tests/valgrind.sh [BUILD_DIR]
set -u
cd "$(dirname -- "$0")/.." || exit 1
dfq=$(realpath "${1:-build}/tools/dfq")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0
export DFQ_KERNELS=ref

# run VERB ARGUMENTS...
run() {
    if valgrind -q --error-exitcode=99 "$dfq" "$@" --threads 1 --quiet > "$tmp/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok: dfq $*"
    else
        failed=$((failed + 1))
        echo "not ok: dfq $*"
        head -n 40 "$tmp/log"
    fi
}

python3 tests/cli/tiny.py "$tmp" || exit 1
cd "$tmp" || exit 1
few="--images 4 --batch 2 --iters 2"
# shellcheck disable=SC2086 # words of their own
{
    run synth tiny.safetensors $few -o set
    run synth cnn.safetensors $few -o cnnset
    run quantize tiny.safetensors --bits w4a4 $few --steps 2 --diagnose 2 --report r.html -o q
    run quantize tiny.safetensors --bits w4a4 $few --steps 2 --mode parity -o p
    run quantize cnn.safetensors --bits w4a4 $few --steps 2 --report c.html -o c
    run quantize cnn.safetensors --bits w4a4 --generator qimera --batch 2 --steps 10 -o g
    run eval q --data pictures --images 4
    run eval c --data pictures --images 4
    run eval q --data pictures --images 4 --simulate
    run quantize tiny.safetensors --bits w4a4 --no-images --images 4 -o n
    for net in n p c g; do
        run run $net --image pictures/0.png pictures/1.png
        run export $net -o $net.onnx
    done
}
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
