#!/usr/bin/env python3
"""Turns a PyTorch checkpoint (.pth, .pt, .th; zip or the older format) into safetensors.

    checkpoint.py model.th model.safetensors [--arch resnet20_cifar] [--meta mean=0.485,0.456,0.406]

A checkpoint is a pickle, and a pickle can run any program. This script does not let it: of all that a
pickle may ask for it knows ordered dictionaries and tensors, and refuses the rest. It needs Python's
standard library alone."""
import argparse
import collections
import json
import os
import pickle
import struct
import sys
import zipfile

MAGIC, PROTOCOL = 0x1950a86a20f9469cfc6c, 1001  # of the older format
STORAGES = {  # torch's name: safetensors' name, bytes of an element
    "FloatStorage": ("F32", 4), "DoubleStorage": ("F64", 8), "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2), "LongStorage": ("I64", 8), "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1), "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1)}


class Refused(Exception):
    """The file is not what this script converts."""


class Storage:
    """The memory behind tensors: `count` elements, read after the pickle in the older format."""

    def __init__(self, kind, count):
        self.dtype, self.size = STORAGES[kind]
        self.count, self.data = count, None


class Tensor:
    def __init__(self, storage, offset, shape, stride, *_):
        self.storage, self.offset = storage, offset
        self.shape, self.stride = tuple(shape), tuple(stride)
        whole = (storage, offset, *self.shape, *self.stride)
        if not isinstance(storage, Storage) or len(self.shape) != len(self.stride) or any(
                not isinstance(n, int) or n < 0 for n in whole[1:]):
            raise Refused("a tensor with a senseless shape")
        if 0 not in self.shape and storage.count <= offset + sum(
                (n - 1) * s for n, s in zip(self.shape, self.stride)):
            raise Refused("a tensor larger than its storage")

    def bytes(self):
        """Elements in row-major order, little-endian."""
        starts = [self.offset]
        run, dims = 1, list(zip(self.shape, self.stride))
        while dims and (dims[-1][1] == run or dims[-1][0] == 1):  # what lies in one piece
            run *= dims.pop()[0]
        for n, s in dims:
            starts = [at + i * s for at in starts for i in range(n)]
        size = self.storage.size
        return b"".join(self.storage.data[at * size:(at + run) * size] for at in starts)


class Unpickler(pickle.Unpickler):
    """Knows dictionaries and tensors, and runs nothing."""

    known = {("collections", "OrderedDict"): collections.OrderedDict,
             ("torch._utils", "_rebuild_tensor"): Tensor,
             ("torch._utils", "_rebuild_tensor_v2"): Tensor,
             ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
             ("torch", "Size"): tuple}

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) in self.known:
            return self.known[module, name]
        if module in ("torch", "torch.storage") and name in STORAGES:
            return name
        raise Refused(f"its pickle asks for {module}.{name}; only dictionaries and tensors are read: "
                      "save model.state_dict() instead")

    def persistent_load(self, pid):
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise Refused("an unknown kind of reference")
        _, kind, key, _, count, *view = pid
        if any(v is not None for v in view) or kind not in STORAGES:
            raise Refused("a storage that is a view of another, or of an unknown type")
        return self.storages.setdefault(key, Storage(kind, count))


def load_zip(path):
    with zipfile.ZipFile(path) as z:
        pickles = [n for n in z.namelist() if n.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Refused("a zip file without data.pkl; is it a TorchScript archive?")
        root = pickles[0][:-len("data.pkl")]
        if root + "byteorder" in z.namelist() and z.read(root + "byteorder") != b"little":
            raise Refused("written on a big-endian machine")
        with z.open(pickles[0]) as f:
            u = Unpickler(f)
            content = u.load()
        for key, s in u.storages.items():
            s.data = z.read(f"{root}data/{key}")
            if len(s.data) != s.count * s.size:
                raise Refused(f"storage {key} has {len(s.data)} bytes, expected {s.count * s.size}")
    return content


def load_old(path):
    with open(path, "rb") as f:
        if Unpickler(f).load() != MAGIC or Unpickler(f).load() != PROTOCOL:
            raise Refused("no PyTorch checkpoint")
        system = Unpickler(f).load()
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise Refused("written on a big-endian machine")
        u = Unpickler(f)
        content = u.load()
        for key in Unpickler(f).load():
            s = u.storages.get(key)
            head = f.read(8)
            if s is None or len(head) < 8 or struct.unpack("<q", head)[0] != s.count:
                raise Refused(f"storage {key} has another size than its tensors say")
            s.data = f.read(s.count * s.size)
            if len(s.data) != s.count * s.size:
                raise Refused("the file is cut short")
    if any(s.data is None for s in u.storages.values()):
        raise Refused("a storage is missing")
    return content


def find_tensors(content):
    """The dictionary of tensors: the content itself, or its state_dict, model or net."""
    for key in ("state_dict", "model_state_dict", "model", "net", "weights"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not any(isinstance(v, Tensor) for v in content.values()):
        raise Refused("there is no dictionary of tensors in it")
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}


def encode(tensors, metadata):
    header, data, at = {"__metadata__": metadata}, [], 0
    for name in sorted(tensors, key=lambda n: (-tensors[n].storage.size, n)):
        t = tensors[name]
        raw, dtype = t.bytes(), t.storage.dtype
        if dtype == "F64":  # libdfq computes in float32
            n = len(raw) // 8
            raw, dtype = struct.pack(f"<{n}f", *struct.unpack(f"<{n}d", raw)), "F32"
        header[name] = {"dtype": dtype, "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + b"".join(data)


def convert(source, target, metadata, force):
    if os.path.exists(target) and os.path.samefile(source, target):
        raise Refused(f"{target} is what is read; choose another name")
    if os.path.exists(target) and not force:
        raise Refused(f"{target} is there already; --force replaces it")
    tensors = find_tensors(load_zip(source) if zipfile.is_zipfile(source) else load_old(source))
    beside = target + ".part"
    with open(beside, "wb") as f:
        f.write(encode(tensors, metadata))
    os.replace(beside, target)
    return len(tensors)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("source", help="PyTorch checkpoint")
    p.add_argument("target", help="safetensors file to write")
    p.add_argument("--arch", help="architecture name, for example resnet20_cifar")
    p.add_argument("--meta", action="append", default=[], metavar="KEY=VALUE",
                   help="one more line of metadata: mean, std, resize, image, ...")
    p.add_argument("--force", action="store_true", help="replace the target")
    o = p.parse_args()
    metadata = dict(line.partition("=")[::2] for line in o.meta)
    if o.arch:
        metadata["architecture"] = o.arch
    try:
        n = convert(o.source, o.target, metadata, o.force)
    except (Refused, OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError,
            AttributeError, IndexError, OverflowError, struct.error, zipfile.BadZipFile) as e:
        print(f"checkpoint.py: {o.source}: {e}", file=sys.stderr)
        return 1
    print(f"{o.target}: {n} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
