"""Makes a tiny vision transformer and a tiny convolutional network with random weights, and a labelled set
of pictures, with Python's standard library alone. Usage: tiny.py FOLDER."""
import json
import math
import os
import random
import struct
import sys
import zlib

WIDTH, DEPTH, HEADS, HIDDEN, SIDE, PATCH, CLASSES = 32, 2, 2, 64, 16, 4, 5
WINDOW = 4


def tensors(rng):
    """Name -> (shape, values), timm's names."""
    out = {}

    def normal(name, *shape, dev=0.2):
        out[name] = (shape, [rng.gauss(0, dev) for _ in range(math.prod(shape))])

    def constant(name, n, value):
        out[name] = ((n,), [value] * n)

    normal("cls_token", 1, 1, WIDTH)
    normal("pos_embed", 1, (SIDE // PATCH) ** 2 + 1, WIDTH)
    normal("patch_embed.proj.weight", WIDTH, 3, PATCH, PATCH)
    constant("patch_embed.proj.bias", WIDTH, 0.0)
    for i in range(DEPTH):
        block = f"blocks.{i}."
        for norm in ("norm1", "norm2"):
            constant(block + norm + ".weight", WIDTH, 1.0)
            constant(block + norm + ".bias", WIDTH, 0.0)
        for name, rows, columns in (("attn.qkv", 3 * WIDTH, WIDTH), ("attn.proj", WIDTH, WIDTH),
                                    ("mlp.fc1", HIDDEN, WIDTH), ("mlp.fc2", WIDTH, HIDDEN)):
            normal(block + name + ".weight", rows, columns)
            constant(block + name + ".bias", rows, 0.0)
    constant("norm.weight", WIDTH, 1.0)
    constant("norm.bias", WIDTH, 0.0)
    normal("head.weight", CLASSES, WIDTH)
    constant("head.bias", CLASSES, 0.0)
    return out


def swin(rng):
    """Name -> (shape, values), timm's names: two stages of two blocks, whose windows of 4 x 4 are shifted
    in the second block of the first stage."""
    out = {}

    def normal(name, *shape, dev=0.2):
        out[name] = (shape, [rng.gauss(0, dev) for _ in range(math.prod(shape))])

    def layer(name, rows, columns, *kernel):
        normal(name + ".weight", rows, columns, *kernel)
        normal(name + ".bias", rows, dev=0.1)

    def norm(name, n):
        out[name + ".weight"] = ((n,), [rng.uniform(0.8, 1.2) for _ in range(n)])
        normal(name + ".bias", n, dev=0.1)

    layer("patch_embed.proj", WIDTH, 3, PATCH, PATCH)
    norm("patch_embed.norm", WIDTH)
    for stage, heads in enumerate((2, 4)):
        width = WIDTH << stage
        if stage:
            norm(f"layers.{stage}.downsample.norm", 2 * width)
            normal(f"layers.{stage}.downsample.reduction.weight", width, 2 * width)
        for block in (f"layers.{stage}.blocks.{i}." for i in range(2)):
            normal(block + "attn.relative_position_bias_table", (2 * WINDOW - 1) ** 2, heads)
            norm(block + "norm1", width)
            layer(block + "attn.qkv", 3 * width, width)
            layer(block + "attn.proj", width, width)
            norm(block + "norm2", width)
            layer(block + "mlp.fc1", 2 * width, width)
            layer(block + "mlp.fc2", width, 2 * width)
    norm("norm", 2 * WIDTH)
    layer("head.fc", CLASSES, 2 * WIDTH)
    return out


def cnn(rng):
    """Name -> (shape, values), akamaster's names: a ResNet with one unit in each of two stages."""
    out = {}

    def conv(name, rows, columns):
        dev = (2 / (9 * columns)) ** 0.5
        out[name + ".weight"] = ((rows, columns, 3, 3),
                                 [rng.gauss(0, dev) for _ in range(rows * columns * 9)])

    def norm(name, n):
        out[name + ".weight"] = ((n,), [rng.uniform(0.8, 1.2) for _ in range(n)])
        out[name + ".bias"] = ((n,), [rng.gauss(0, 0.1) for _ in range(n)])
        out[name + ".running_mean"] = ((n,), [rng.gauss(0, 0.2) for _ in range(n)])
        out[name + ".running_var"] = ((n,), [rng.uniform(0.5, 1.5) for _ in range(n)])

    conv("conv1", 4, 3)
    norm("bn1", 4)
    for stage, (rows, columns) in enumerate(((4, 4), (8, 4)), 1):
        unit = f"layer{stage}.0."
        conv(unit + "conv1", rows, columns)
        norm(unit + "bn1", rows)
        conv(unit + "conv2", rows, rows)
        norm(unit + "bn2", rows)
    out["linear.weight"] = ((CLASSES, 8), [rng.gauss(0, 1) for _ in range(CLASSES * 8)])
    out["linear.bias"] = ((CLASSES,), [0.0] * CLASSES)
    return out


# Everything that tensors do not tell.
SAID = {"mean": "0.5,0.5,0.5", "std": "0.5,0.5,0.5", "image": str(SIDE), "resize": "0"}
VIT = {"architecture": "vit_test", "heads": str(HEADS), "activation": "gelu", "eps": "1e-6", "pooling": "token",
       "interpolation": "bicubic", **SAID}
CNN = {"architecture": "resnet_test", "stem": "stride1", "activation": "relu", "eps": "1e-5", "pooling": "avg",
       "interpolation": "bilinear", **SAID, "mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}
SWIN = {"architecture": "swin_test", "activation": "gelu", "eps": "1e-5", "pooling": "avg",
        "interpolation": "bicubic", **SAID, "image": str(2 * SIDE), "resize": str(2 * SIDE)}


def save(path, weights, metadata=None, edit=None):
    """Writes safetensors; `edit` may change the header before it is written."""
    header, data = {}, b""
    header["__metadata__"] = VIT if metadata is None else metadata
    for name, (shape, values) in weights.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    if edit:
        edit(header)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def png(path, side, rgb):
    """An 8-bit colour picture; rgb(x, y) gives three bytes."""
    rows = b"".join(b"\0" + b"".join(bytes(rgb(x, y)) for x in range(side)) for y in range(side))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I",
                                                                        zlib.crc32(kind + body))

    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0,
                                                                  0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pictures(folder, n, rng):
    os.makedirs(folder)
    with open(os.path.join(folder, "labels.csv"), "w") as f:
        f.write("file,label\n")
        for i in range(n):
            a, b, c = (rng.randrange(1, 9) for _ in range(3))
            png(os.path.join(folder, f"{i}.png"), SIDE,
                lambda x, y: ((x * a * 7) & 255, (y * b * 7) & 255, (x * y * c) & 255))
            f.write(f"{i}.png,{i % CLASSES}\n")


def make(folder):
    rng = random.Random(7)
    save(os.path.join(folder, "tiny.safetensors"), tensors(rng))
    pictures(os.path.join(folder, "pictures"), 100, rng)


def make_swin(folder):
    """Its images have twice the side of the others."""
    save(os.path.join(folder, "swin.safetensors"), swin(random.Random(7)), SWIN)


def make_shards(folder):
    """The tiny model once more, in two files with an index."""
    with open(os.path.join(folder, "tiny.safetensors"), "rb") as f:
        data = f.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    meta = header.pop("__metadata__", {})
    heads, bodies, where = [{"__metadata__": meta}, {"__metadata__": meta}], [b"", b""], {}
    for i, (name, t) in enumerate(header.items()):
        begin, end = t["data_offsets"]
        k = i % 2
        where[name] = f"tiny-{k}.safetensors"
        heads[k][name] = {**t, "data_offsets": [len(bodies[k]), len(bodies[k]) + end - begin]}
        bodies[k] += data[8 + size + begin:8 + size + end]
    for k in range(2):
        text = json.dumps(heads[k]).encode()
        with open(os.path.join(folder, f"tiny-{k}.safetensors"), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + bodies[k])
    with open(os.path.join(folder, "tiny.safetensors.index.json"), "w", encoding="utf-8") as f:
        json.dump({"metadata": {"total_size": 1}, "weight_map": where}, f)


def make_cnn(folder):
    save(os.path.join(folder, "cnn.safetensors"), cnn(random.Random(9)), CNN)


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    make(sys.argv[1])
    make_cnn(sys.argv[1])
