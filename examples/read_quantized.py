"""Reads the file of a quantized network with NumPy alone and prints its weights; docs/FORMAT.md says
what is computed. Usage: read_quantized.py FILE [OUT.npz], which gets the dequantized weights."""
import json
import sys

import numpy as np

TYPES = {"F32": "<f4", "U8": "u1", "I64": "<i8"}


def read_safetensors(path):
    """Metadata and tensors of the file."""
    raw = open(path, "rb").read()
    at = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:at])
    meta = header.pop("__metadata__", {})
    return meta, {name: np.frombuffer(raw[at + t["data_offsets"][0]:at + t["data_offsets"][1]],
                                      TYPES[t["dtype"]]).reshape(t["shape"])
                  for name, t in header.items()}


def unpack(codes, bits, count):
    """`count` signed codes of `bits` each."""
    each = np.unpackbits(codes, count=count * bits, bitorder="little").reshape(count, bits)
    return each.astype(np.float32) @ (2.0 ** np.arange(bits, dtype=np.float32)) - 2 ** (bits - 1)


def bits_of(tensors, meta, name):
    own = tensors.get(name + ".bits")
    return int(meta["dfq.weight_bits"] if own is None else own[0])


def dequantize(tensors, meta, name):
    """The float32 values of weight `name`."""
    shape, scale = tensors[name + ".shape"], tensors[name + ".scale"]
    rows, count = int(shape[0]), int(np.prod(shape))
    q = unpack(tensors[name + ".codes"], bits_of(tensors, meta, name), count).reshape(rows, -1)
    q = q.astype(np.float32) - tensors.get(name + ".zero_point", np.zeros(rows, np.float32))[:, None]
    w = q * scale[:, None]
    factor = tensors.get(name.removesuffix(".weight") + ".input.scale")
    if factor is not None and factor.size == w.shape[1] > 1:
        w /= factor.reshape(1, -1)
    return w.reshape(shape)


def main(path, out=None):
    meta, tensors = read_safetensors(path)
    if meta.get("dfq.format") not in ("2", "3", "4"):
        sys.exit(f"{path}: dfq.format is {meta.get('dfq.format')}, must be 2, 3 or 4")
    names = [name.removesuffix(".codes") for name in tensors if name.endswith(".codes")]
    weights = {name: dequantize(tensors, meta, name) for name in names}
    for name, w in weights.items():
        print(f"{name:40} {bits_of(tensors, meta, name)} bits  {w.shape}  {w.min():.4g} to {w.max():.4g}")
    if out:
        np.savez(out, **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
