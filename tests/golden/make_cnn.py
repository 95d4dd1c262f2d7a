"""Golden data of the convolutional networks: one small network of each kind with weights made by a
formula, and the real ResNet-20 where present.

usage: make_cnn.py [weights.safetensors CIFAR-10 test file]"""
import sys

import numpy as np
import torch
import torch.nn.functional as F

import cnn
import golden

IMAGES = 2


class Formula:
    """Parameters in the order they are asked for; weights with He's variance."""

    def __init__(self):
        self.names = []

    def __call__(self, name, shape):
        n = int(np.prod(shape))
        v = golden.noise(len(self.names), n)
        if len(shape) > 1:
            v = v * np.sqrt(np.float32(6) / np.float32(n // shape[0]))
        else:
            one = name.endswith((".weight", ".running_var"))
            v = np.float32(one) + np.float32(0.2) * v
        self.names.append(name)
        return torch.from_numpy(v.reshape(shape)).double()


def images(side):
    """x[i] = sin(0.01 i), row-major, rounded to float32."""
    i = np.arange(IMAGES * 3 * side * side)
    x = np.sin(0.01 * i).astype(np.float32).reshape(IMAGES, 3, side, side)
    return torch.from_numpy(x).double()


def formula_networks():
    cases = {
        "akamaster_a": (32, lambda g, x: cnn.akamaster(g, x, (2, 2, 2), 4)),
        "akamaster_b": (32, lambda g, x: cnn.akamaster(g, x, (2, 2, 2), 4, option="B")),
        "module": (32, lambda g, x: cnn.akamaster(g, x, (1, 1, 1), 4, prefix="module.")),
        "cifar": (32, lambda g, x: cnn.pytorchcv_resnet(g, x, (2, 2, 2), False, 4, 10, True)),
        "basic_cv": (64, lambda g, x: cnn.pytorchcv_resnet(g, x, (1, 2, 1, 2), False, 8, 10)),
        "bottleneck_cv": (64, lambda g, x: cnn.pytorchcv_resnet(g, x, (1, 2, 1, 1), True, 4, 10)),
        "basic_tv": (64, lambda g, x: cnn.torchvision_resnet(g, x, (1, 2, 1, 2), False, 8, 10)),
        "bottleneck_tv": (64, lambda g, x: cnn.torchvision_resnet(g, x, (1, 2, 1, 1), True, 4, 10)),
        "grouped_tv": (64, lambda g, x: cnn.torchvision_resnet(g, x, (1, 2, 1, 1), True, 4, 10, 2,
                                                               4)),
        "deep_d": (64, lambda g, x: cnn.torchvision_resnet(g, x, (1, 2, 1, 1), True, 8, 10,
                                                           deep=(4, 6), averaged=True)),
        "mobile_tv": (64, lambda g, x: cnn.torchvision_mobilenet(g, x, 10)),
        "mobile_cv": (64, lambda g, x: cnn.pytorchcv_mobilenet(g, x, 10)),
    }
    out, names = {}, {}
    for case, (side, run) in cases.items():
        get = Formula()
        logits, bns = run(get, images(side))
        out[case + ".logits"] = logits
        out[case + ".bns"] = sum(bns) / len(bns)
        names["names." + case] = " ".join(get.names)
        print(f"{case}: {len(get.names)} parameters, {len(bns)} BatchNorms, "
              f"logits up to {float(logits.abs().max()):.3g}")
    golden.write("cnn.safetensors", out, **names)


def real(path, data):
    """Logits for x[i] = sin(0.01 i), and predictions on the test images."""
    weights = golden.read(path)
    stem, used = [], []

    def get(dtype):
        def give(name, shape):
            used.append(name)
            assert tuple(weights[name].shape) == tuple(shape), name
            return weights[name].to(dtype)
        return give

    with torch.no_grad():
        logits, bns = cnn.akamaster(get(torch.float64), images(32), stem=stem)
        assert len(weights) == len(used) == len(set(used)) == 97
        ce = F.cross_entropy(logits, torch.tensor([3, 5]))
        bns = sum(bns) / len(bns)
        print("ResNet-20: stem %.3f, BNS %.6f, CE %.6f" % (stem[0], bns, ce), logits)
        raw = np.fromfile(data, dtype=np.uint8).reshape(-1, 3073)
        x = torch.from_numpy(raw[:, 1:].reshape(-1, 3, 32, 32).copy()).float() / 255
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in
                     ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        z = torch.cat([cnn.akamaster(get(torch.float32), part)[0]
                       for part in ((x - mean) / std).split(200)])
    labels = torch.from_numpy(raw[:, 0].astype(np.int32))
    best = z.topk(5)
    hits = best.indices == labels[:, None]
    print("top-1 %d, top-5 %d of %d" % (hits[:, 0].sum(), hits.sum(), len(labels)))
    golden.write("real_resnet20.safetensors", {
        "logits": logits, "stem": stem[0], "bns": bns, "ce": ce,
        "test.prediction": best.indices[:, 0],
        "test.margin": best.values[:, 0] - best.values[:, 1],
        "test.correct": torch.stack((hits[:, 0].sum(), hits.sum()))})


formula_networks()
if len(sys.argv) > 2:
    real(sys.argv[1], sys.argv[2])
