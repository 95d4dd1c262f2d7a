#!/bin/sh
# The example of ONNX files writes the embedded network, and tells what goes wrong in one line.
# Usage: export.sh EXAMPLES OUT LIBRARY. 77 (skipped) without Python.
set -eu
python3 -c 'import ctypes' || exit 77
export DFQ_LIBRARY="$3"
python3 "$1/export.py" "$1/figures_vit.safetensors" "$2" 17
grep -q libdfq "$2"
if python3 "$1/export.py" "$1/figures_vit.safetensors" "$2" 9 > "$2.said" 2>&1; then exit 1; fi
[ "$(cat "$2.said")" = "export.py: opset is 9, must be 17 to 25" ]
