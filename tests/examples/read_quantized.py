"""The weights that examples/read_quantized.py finds in files of all kinds are those of the library, bit
for bit. Usage: read_quantized.py DFQ EXAMPLES CLI_TESTS; DFQ_LIBRARY names the shared library. 77
without NumPy."""
import ctypes
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    sys.exit(77)
sys.path[:0] = sys.argv[2:4]
import quantize
import read_quantized
import tiny

FEW = ("--images", "4", "--batch", "2", "--iters", "2", "--steps", "2", "-q", "-f", "-o", "q")
KINDS = (
    ("tiny", "--bits", "w4a4"),
    ("tiny", "--bits", "w3a5", "--act-scale", "tensor", "--layer-bits", "blocks.0.mlp.fc1=w7a6", "--skip", "head"),
    ("tiny", "--bits", "w4a4", "--mode", "parity"),
    ("tiny", "--bits", "w5a4", "--mode", "parity", "--weight-grid", "minmax-asym", "--act-grid", "minmax"),
    ("tiny", "--bits", "w6a8", "--mode", "parity", "--weight-grid", "lsq"),
    ("cnn", "--bits", "w2a4"),
    ("cnn", "--bits", "w8a8", "--mode", "parity", "--kind", "bns"),
)


def check(library, model, args):
    subprocess.run([os.path.abspath(sys.argv[1]), "quantize", model + ".safetensors", *args, *FEW], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, os.path.join(sys.argv[2], "read_quantized.py"), "q", "q.npz"], check=True,
                   stdout=subprocess.DEVNULL)
    graph = library.make("graph", "graph_load", library.context, b"q", None)
    weights = np.load("q.npz")
    assert len(weights.files) > 3, weights.files
    for name in weights.files:
        tensor = library.make("tensor", "graph_get_parameter", graph, name.encode())
        size = library.c.dfq_tensor_get_bytes(tensor)
        own = ctypes.string_at(library.c.dfq_tensor_get_data(tensor), size)
        assert weights[name].dtype == np.float32 and weights[name].tobytes() == own, (model, args, name)
    for name, v in read_quantized.read_safetensors("q")[1].items():
        assert not name.endswith(".zero_point") or (v == np.rint(v)).all(), (model, args, name, v)


def main():
    program = os.path.abspath(sys.argv[1])
    sys.argv[1], sys.argv[2] = program, os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tiny.make(folder)
        tiny.make_cnn(folder)
        library = quantize.Library()
        for model, *args in KINDS:
            check(library, model, args)
        r = subprocess.run([sys.executable, os.path.join(sys.argv[2], "read_quantized.py"), "tiny.safetensors"],
                           capture_output=True, text=True, check=False)
        assert r.returncode == 1 and "dfq.format is None, must be 2, 3, 4 or 5" in r.stderr, r


main()
