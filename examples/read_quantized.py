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
    return header.pop("__metadata__", {}), {
        name: np.frombuffer(raw[at + t["data_offsets"][0]:at + t["data_offsets"][1]],
                            TYPES[t["dtype"]]).reshape(t["shape"]) for name, t in header.items()}


def unpack(codes, bits, count):
    """`count` signed codes of `bits` each."""
    each = np.unpackbits(codes, count=count * bits, bitorder="little").reshape(count, bits)
    return each.astype(np.float32) @ (2.0 ** np.arange(bits, dtype=np.float32)) - 2 ** (bits - 1)


def bits_of(tensors, meta, name):
    return int(tensors.get(name + ".bits", [meta["dfq.weight_bits"]])[0])


def dequantize(tensors, meta, name):
    """The float32 values of weight `name`."""
    shape, scale = tensors[name + ".shape"], tensors[name + ".scale"][:, None]
    bits, groups = bits_of(tensors, meta, name), tensors.get(name + ".groups")
    q = unpack(tensors[name + ".codes"], bits, int(np.prod(shape))).reshape(shape[0], -1)
    zero = tensors.get(name + ".zero_point", np.zeros(shape[0], np.float32))[:, None]
    if groups is not None:  # a multiplier of the scale and a zero point for so many columns
        groups = np.repeat(groups, q.shape[1] // groups.shape[1], axis=1).astype(np.float32)
        zero, scale = groups // 16 - 2 ** (bits - 1), scale * (groups % 16)
    w = (q.astype(np.float32) - zero) * scale
    factor = tensors.get(name.removesuffix(".weight") + ".input.scale")
    if factor is not None and factor.size == w.shape[1] > 1:
        w /= factor.reshape(1, -1)
    return w.reshape(shape)


def main(path, out=None):
    meta, tensors = read_safetensors(path)
    if (have := meta.get("dfq.format")) not in ("2", "3", "4", "5"):
        sys.exit(f"{path}: dfq.format is {have}, must be 2, 3, 4 or 5")
    names = (name.removesuffix(".codes") for name in tensors if name.endswith(".codes"))
    weights = {name: dequantize(tensors, meta, name) for name in names}
    for name, w in weights.items():
        print(f"{name:40} {bits_of(tensors, meta, name)} bits  {w.shape}  {w.min():.4g} to {w.max():.4g}")
    if out:
        np.savez(out, **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
