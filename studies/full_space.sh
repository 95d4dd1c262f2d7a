#!/bin/sh
# One search of the full CIFAR-10 space under 60 frames a second, from images to a trained network,
# with its page and its course. Steps default to those of `dfq explore`; memory and time are in the
# JSON line that it ends with.
# Usage: studies/full_space.sh DFQ TRAIN TEST FOLDER [further options of dfq explore]
set -eu
if [ $# -lt 4 ]; then
    echo "usage: studies/full_space.sh DFQ TRAIN TEST FOLDER [further options of dfq explore]" >&2
    exit 2
fi
dfq=$1 train=$2 test=$3 folder=$4
shift 4
mkdir -p "$folder"
exec "$dfq" explore cifar10-full --accel hdx-space --fps 60 --data "$train" --test-data "$test" \
    -o "$folder/network.safetensors" --save-supernet "$folder/supernet.safetensors" \
    --trajectory "$folder/course" --report "$folder/report.html" --json "$@"
