"""Turns checkpoints into safetensors with tools/checkpoint.py and has dfq look at them. The
checkpoints are written here, without PyTorch, as it writes them: pickles that name its functions.
Usage: test_checkpoint.py CHECKPOINT.PY DFQ; prints TAP."""
import collections
import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import tempfile
import traceback
import types
import zipfile

CHECKPOINT, DFQ = map(os.path.abspath, sys.argv[1:3])
rng = random.Random(5)

torch = types.ModuleType("torch")
torch._utils = types.ModuleType("torch._utils")
sys.modules.update({"torch": torch, "torch._utils": torch._utils})


class FloatStorage:
    """A storage as far as its name goes."""

    def __init__(self, key, values):
        self.key, self.values = key, values


class LongStorage(FloatStorage):
    pass


def _rebuild_tensor_v2(*_):
    raise NotImplementedError("is only named in pickles")


for thing, module in ((FloatStorage, torch), (LongStorage, torch), (_rebuild_tensor_v2, torch._utils)):
    thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
    setattr(module, thing.__name__, thing)


class Tensor:
    def __init__(self, storage, shape, stride=None, offset=0):
        self.args = (storage, offset, shape, stride or strides(shape), False,
                     collections.OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.args


def strides(shape):
    out, n = [], 1
    for d in reversed(shape):
        out.append(n)
        n *= d
    return tuple(reversed(out))


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, FloatStorage):
            return "storage", type(obj), obj.key, "cpu", len(obj.values), None
        return None


def dump(obj):
    f = io.BytesIO()
    Pickler(f, 2).dump(obj)
    return f.getvalue()


def network():
    """A ResNet of akamaster's with one unit of 4 channels in each of three stages."""
    out, storages = collections.OrderedDict(), []

    def put(name, *shape, value=None):
        n = 1
        for d in shape:
            n *= d
        storage = FloatStorage(str(len(storages)),
                               [rng.gauss(0, 0.3) if value is None else value for _ in range(n)])
        storages.append(storage)
        out["module." + name] = Tensor(storage, shape)

    def layer(conv, norm, o, i):
        put(conv + ".weight", o, i, 3, 3)
        for end, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0),
                           ("running_var", 1.0)):
            put(f"{norm}.{end}", o, value=value)

    layer("conv1", "bn1", 4, 3)
    for s, (o, i) in enumerate(((4, 4), (8, 4), (16, 8)), 1):
        layer(f"layer{s}.0.conv1", f"layer{s}.0.bn1", o, i)
        layer(f"layer{s}.0.conv2", f"layer{s}.0.bn2", o, o)
    put("linear.weight", 10, 16)
    put("linear.bias", 10)
    counter = LongStorage(str(len(storages)), [7])
    storages.append(counter)
    out["module.bn1.num_batches_tracked"] = Tensor(counter, ())
    return out, storages


def raw(storage):
    kind = "q" if isinstance(storage, LongStorage) else "f"
    return struct.pack(f"<{len(storage.values)}{kind}", *storage.values)


def write_old(path, content, storages):
    with open(path, "wb") as f:
        for part in (0x1950a86a20f9469cfc6c, 1001, {"little_endian": True}, content,
                     [s.key for s in storages]):
            f.write(dump(part))
        for s in storages:
            f.write(struct.pack("<q", len(s.values)) + raw(s))


def write_zip(path, content, storages):
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/data.pkl", dump(content))
        for s in storages:
            z.writestr(f"archive/data/{s.key}", raw(s))


def run(*args):
    return subprocess.run(args, capture_output=True, text=True, timeout=600, check=False)


def convert(*args):
    return run(sys.executable, CHECKPOINT, *args)


def read(path):
    with open(path, "rb") as f:
        (size,) = struct.unpack("<Q", f.read(8))
        return json.loads(f.read(size)), f.read()


def values(path, name):
    header, data = read(path)
    begin, end = header[name]["data_offsets"]
    return list(struct.unpack(f"<{(end - begin) // 4}f", data[begin:end]))


def refused(path, pattern):
    r = convert(path, "never.safetensors")
    assert r.returncode == 1 and pattern in r.stderr and r.stderr.count("\n") == 1, r
    assert not os.path.exists("never.safetensors") and not os.path.exists("pwned"), r


def test_both_formats():
    content, storages = network()
    write_old("old.th", {"best_prec1": 91.78, "state_dict": content}, storages)
    write_zip("new.pth", content, storages)
    for source, target in (("old.th", "old.safetensors"), ("new.pth", "new.safetensors")):
        r = convert(source, target, "--meta", "mean=0.5,0.5,0.5")
        assert r.returncode == 0 and f"{len(content)} tensors" in r.stdout, r
        info = json.loads(run(DFQ, "info", target, "--json").stdout)
        assert info["family"] == "ResNet" and info["batchnorms"] == 7, info
        assert info["name"] == "resnet8_cifar" and info["mean"][0] == 0.5, info
        assert values(target, "module.linear.weight") == list(
            struct.unpack("<160f", raw(content["module.linear.weight"].args[0])))
    assert read("old.safetensors") == read("new.safetensors")
    r = convert("new.pth", "new.safetensors")
    assert r.returncode == 1 and "--force" in r.stderr, r
    r = convert("new.pth", "./new.pth", "--force", "--arch", "resnet_x")
    assert r.returncode == 1 and "is what is read" in r.stderr, r
    assert convert("new.pth", "new.safetensors", "--force", "--arch", "resnet_x").returncode == 0
    assert read("new.safetensors")[0]["__metadata__"] == {"architecture": "resnet_x"}


def test_views():
    s = FloatStorage("0", [float(i) for i in range(24)])
    write_zip("v.pt", {"t": Tensor(s, (3, 2), (1, 3)), "part": Tensor(s, (2, 2), (4, 1), 5),
                       "one": Tensor(s, (2, 1, 3), (3, 99, 1), 6), "none": Tensor(s, (0, 4))}, [s])
    assert convert("v.pt", "v.safetensors").returncode == 0
    assert values("v.safetensors", "t") == [0, 3, 1, 4, 2, 5]
    assert values("v.safetensors", "part") == [5, 6, 9, 10]
    assert values("v.safetensors", "one") == [6, 7, 8, 9, 10, 11]
    assert values("v.safetensors", "none") == []


class Attack:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_nothing_is_run():
    write_old("a.th", {"state_dict": Attack()}, [])
    refused("a.th", "asks for")
    write_zip("a.pth", {"x": Attack()}, [])
    refused("a.pth", "asks for")
    with open("bare.pkl", "wb") as f:
        f.write(pickle.dumps(Attack()))
    refused("bare.pkl", "asks for")


def test_damage():
    content, storages = network()
    write_old("good.th", content, storages)
    with open("good.th", "rb") as f:
        whole = f.read()
    for n in (0, 1, 20, 100, len(whole) // 2, len(whole) - 1):
        with open("cut.th", "wb") as f:
            f.write(whole[:n])
        refused("cut.th", "cut.th: ")
    s = FloatStorage("0", [1.0] * 4)
    write_zip("big.pt", {"t": Tensor(s, (5,))}, [s])
    refused("big.pt", "larger than its storage")
    write_zip("far.pt", {"t": Tensor(s, (2,), (1,), 3)}, [s])
    refused("far.pt", "larger than its storage")
    write_zip("empty.pt", {"epoch": 3}, [])
    refused("empty.pt", "no dictionary of tensors")
    refused("nothing.pt", "No such file")


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    print(f"1..{len(tests)}")
    for i, (name, test) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="dfq-checkpoint-") as folder:
            os.chdir(folder)
            try:
                test()
                print(f"ok {i} - {name}")
            except Exception:  # the next test shall run all the same
                print(f"not ok {i} - {name}")
                traceback.print_exc()
            os.chdir("/")


if __name__ == "__main__":
    main()
