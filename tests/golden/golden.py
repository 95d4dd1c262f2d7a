"""Shared by the golden scripts: safetensors files, fixed seeds, and the tiny vision transformer."""
import json
import os
import struct
import sys
import tempfile

import numpy as np
import torch

import vit

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"F32": np.float32, "I32": np.int32, "U8": np.uint8}
TINY = vit.Config(image=32, patch=8, width=48, depth=2, heads=4, classes=10, mlp=96)
TINY_BATCH = 4
TINY_SEED = 20

torch.set_num_threads(1)


def read(path):
    """All tensors of a safetensors file as {name: torch tensor}."""
    with open(path, "rb") as f:
        (size,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    out = {}
    for name, e in header.items():
        if name != "__metadata__":
            begin, end = e["data_offsets"]
            a = np.frombuffer(data[begin:end], dtype=DTYPES[e["dtype"]]).reshape(e["shape"])
            out[name] = torch.from_numpy(a.copy())
    return out


def stored(network):
    """The tensors as the network's own library writes them, which may rename them."""
    if not hasattr(network, "save_pretrained"):
        return {k: v for k, v in network.state_dict().items() if v.dtype == torch.float32}
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        return read(os.path.join(folder, "model.safetensors"))


def write(name, tensors, **meta):
    """Writes {name: tensor} beside this script: floats as F32, integers as I32, bytes as U8."""
    meta = {"script": os.path.basename(sys.argv[0]), "torch": torch.__version__,
            **{k: str(v) for k, v in meta.items()}}
    header, blobs, offset = {"__metadata__": meta}, [], 0
    for key in sorted(tensors):
        a = np.atleast_1d(torch.as_tensor(tensors[key]).detach().cpu().numpy())
        dtype = "U8" if a.dtype == np.uint8 else "F32" if a.dtype.kind == "f" else "I32"
        blob = np.ascontiguousarray(a, dtype=DTYPES[dtype])
        if blob.nbytes % 4:
            raise ValueError(f"{key}: {blob.nbytes} bytes leave the next tensor unaligned")
        header[key] = {"dtype": dtype, "shape": list(blob.shape),
                       "data_offsets": [offset, offset + blob.nbytes]}
        blobs.append(blob.tobytes())
        offset += blob.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path = os.path.join(HERE, name)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(f"{name}: {len(tensors)} tensors, {os.path.getsize(path)} bytes")


def noise(parameter, n):
    """Entries 0 .. n-1 of a parameter, in -1..1: the C tests compute the same."""
    u = (2654435761 * (np.arange(n, dtype=np.uint64) + 1) + 40503 * (parameter + 1)) & 0xffffffff
    u = ((u ^ u >> 15) * 2246822519) & 0xffffffff
    u ^= u >> 13
    return u.astype(np.float32) * np.float32(2.0 ** -31) - np.float32(1)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def tiny_weights(seed=TINY_SEED):
    """Random float32 weights of the tiny transformer, timm names.

    Queries and keys are enlarged so that softmax outputs below 1e-5 occur (all grids come out
    signed, as in real networks). In each row of a matrix the entry of largest magnitude is
    positive: the weight grid puts it on 7.5 steps exactly, and -7.5 would round to -7 or -8 by the
    last bit of a float division."""
    g = generator(seed)
    out = {}
    for name, shape in vit.shapes(TINY).items():
        w = torch.randn(shape, generator=g)
        if name.endswith("norm.weight") or ".norm" in name and name.endswith("weight"):
            w = 1 + 0.1 * w
        elif name.endswith("bias"):
            w = 0.1 * w
        elif name in ("cls_token", "pos_embed"):
            w = 0.5 * w
        else:
            rows = w.flatten(1)
            rows /= rows.shape[1] ** 0.5
            if name.endswith("qkv.weight"):
                rows[:2 * TINY.width] *= 1.6
            top = rows.abs().argmax(1)
            index = torch.arange(len(rows))
            rows *= rows[index, top].sign()[:, None]
        out[name] = w
    return out


def tiny_batch(seed=TINY_SEED + 1):
    """Input [4,3,32,32] and labels of the tiny transformer."""
    g = generator(seed)
    x = torch.randn((TINY_BATCH, 3, TINY.image, TINY.image), generator=g)
    return x, torch.randint(0, TINY.classes, (TINY_BATCH,), generator=g)


def leaf(v, dtype, grad=True):
    """A copy of a float tensor in another precision, as an autograd leaf if `grad`."""
    return v.detach().to(dtype).clone().requires_grad_(grad)


def cast(tensors, dtype, grad=False):
    """The same for a dict of tensors."""
    return {k: leaf(v, dtype, grad) for k, v in tensors.items()}


def far(a, b):
    """Largest difference of two tensors relative to the largest magnitude of the second."""
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-30))
