"""ResNets and MobileNetV2 as functions of parameters that are asked for by name.

A network asks `get(name, shape)` for each parameter, in the order of use. BatchNorm is in eval mode."""
import torch
import torch.nn.functional as F


class Pass:
    """One forward pass: parameters from `get`; statistics of BatchNorm inputs are collected."""

    def __init__(self, get):
        self.get = get
        self.bns = []  # per BatchNorm: mean (mu - running_mean)^2 + mean (var - running_var)^2

    def conv_bn(self, x, conv, bn, out, kernel, stride=1, groups=1):
        w = self.get(conv + ".weight", (out, x.shape[1] // groups, kernel, kernel))
        x = F.conv2d(x, w, stride=stride, padding=kernel // 2, groups=groups)
        gamma, beta, mean, var = (self.get(f"{bn}.{end}", (out,)) for end in
                                  ("weight", "bias", "running_mean", "running_var"))
        mu, v = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        self.bns.append(((mu - mean) ** 2).mean() + ((v - var) ** 2).mean())
        return F.batch_norm(x, mean, var, gamma, beta, False, 0.0, 1e-5)

    def head(self, x, name, classes, bias=True, conv=False):
        x = x.mean((2, 3))
        w = self.get(name + ".weight", (classes, x.shape[1], 1, 1) if conv else
                     (classes, x.shape[1]))
        return F.linear(x, w.flatten(1), self.get(name + ".bias", (classes,)) if bias else None)


def akamaster(get, x, units=(3, 3, 3), width=16, classes=10, option="A", prefix="", stem=None):
    """ResNet for CIFAR with akamaster's names; `stem` receives the sum behind the first ReLU."""
    p = Pass(get)
    x = F.relu(p.conv_bn(x, prefix + "conv1", prefix + "bn1", width, 3))
    if stem is not None:
        stem.append(x.sum())
    for s, n in enumerate(units):
        planes = width * 2 ** s
        for u in range(n):
            name = f"{prefix}layer{s + 1}.{u}."
            stride = 2 if s > 0 and u == 0 else 1
            y = F.relu(p.conv_bn(x, name + "conv1", name + "bn1", planes, 3, stride))
            y = p.conv_bn(y, name + "conv2", name + "bn2", planes, 3)
            if stride == 2 and option == "A":
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, planes // 4, planes // 4))
            elif stride == 2:
                x = p.conv_bn(x, name + "shortcut.0", name + "shortcut.1", planes, 1, 2)
            x = F.relu(x + y)
    return p.head(x, prefix + "linear", classes), p.bns


def torchvision_resnet(get, x, units, bottleneck, width=64, classes=1000, inner=1, groups=1,
                       deep=(), averaged=False):
    """inner: how much wider bottlenecks are inside; groups: of their 3x3; deep: channels of the
    first two convolutions of a stem of three; averaged: shortcuts average before they project."""
    p = Pass(get)
    for i, channels in enumerate(deep):
        x = F.relu(p.conv_bn(x, f"conv1.{3 * i}", f"conv1.{3 * i + 1}", channels, 3, 2 - i))
    if deep:
        x = F.relu(p.conv_bn(x, "conv1.6", "bn1", width, 3))
    else:
        x = F.relu(p.conv_bn(x, "conv1", "bn1", width, 7, 2))
    x = F.max_pool2d(x, 3, 2, 1)
    for s, n in enumerate(units):
        mid = width * 2 ** s * inner
        out = width * 2 ** s * (4 if bottleneck else 1)
        for u in range(n):
            name = f"layer{s + 1}.{u}."
            stride = 2 if s > 0 and u == 0 else 1
            if bottleneck:
                y = F.relu(p.conv_bn(x, name + "conv1", name + "bn1", mid, 1))
                y = F.relu(p.conv_bn(y, name + "conv2", name + "bn2", mid, 3, stride, groups))
                y = p.conv_bn(y, name + "conv3", name + "bn3", out, 1)
            else:
                y = F.relu(p.conv_bn(x, name + "conv1", name + "bn1", mid, 3, stride))
                y = p.conv_bn(y, name + "conv2", name + "bn2", out, 3)
            if averaged and x.shape[1] != out:
                x = F.avg_pool2d(x, 2, 2, 0, True, False) if stride != 1 else x
                x = p.conv_bn(x, name + "downsample.1", name + "downsample.2", out, 1)
            elif stride != 1 or x.shape[1] != out:
                x = p.conv_bn(x, name + "downsample.0", name + "downsample.1", out, 1, stride)
            x = F.relu(x + y)
    return p.head(x, "fc", classes), p.bns


def pytorchcv_resnet(get, x, units, bottleneck, width=64, classes=1000, cifar=False):
    """Bottlenecks have their stride in the first 1x1."""
    p = Pass(get)
    if cifar:
        x = F.relu(p.conv_bn(x, "features.init_block.conv", "features.init_block.bn", width, 3))
    else:
        stem = "features.init_block.conv."
        x = F.max_pool2d(F.relu(p.conv_bn(x, stem + "conv", stem + "bn", width, 7, 2)), 3, 2, 1)
    for s, n in enumerate(units, 1):
        out = width * 2 ** (s - 1) * (4 if bottleneck else 1)
        for u in range(1, n + 1):
            name = f"features.stage{s}.unit{u}."
            stride = 2 if s > 1 and u == 1 else 1
            shapes = ([(out // 4, 1, stride), (out // 4, 3, 1), (out, 1, 1)] if bottleneck else
                      [(out, 3, stride), (out, 3, 1)])
            y = x
            for k, (channels, kernel, step) in enumerate(shapes, 1):
                conv = f"{name}body.conv{k}."
                y = p.conv_bn(y if k == 1 else F.relu(y), conv + "conv", conv + "bn", channels,
                              kernel, step)
            if stride != 1 or x.shape[1] != out:
                x = p.conv_bn(x, name + "identity_conv.conv", name + "identity_conv.bn", out, 1,
                              stride)
            x = F.relu(x + y)
    return p.head(x, "output", classes), p.bns


def inverted_residual(p, x, names, expand, out, stride, first):
    """names: (conv, bn) of the layers there are."""
    mid, y, names = x.shape[1] * expand, x, list(names)
    if first:
        y = F.relu6(p.conv_bn(y, *names.pop(0), mid, 1))
    y = F.relu6(p.conv_bn(y, *names.pop(0), mid, 3, stride, groups=mid))
    y = p.conv_bn(y, *names.pop(0), out, 1)
    return x + y if stride == 1 and x.shape[1] == out else y


SETTINGS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))  # expand, channels, units, stride


def torchvision_mobilenet(get, x, classes=1000):
    p = Pass(get)
    x = F.relu6(p.conv_bn(x, "features.0.0", "features.0.1", 32, 3, 2))
    at = 1
    for expand, out, n, s in SETTINGS:
        for u in range(n):
            c = f"features.{at}.conv."
            names = [(c + "0.0", c + "0.1"), (c + "1.0", c + "1.1"), (c + "2", c + "3")]
            if expand == 1:
                names = [(c + "0.0", c + "0.1"), (c + "1", c + "2")]
            x = inverted_residual(p, x, names, expand, out, s if u == 0 else 1, expand > 1)
            at += 1
    x = F.relu6(p.conv_bn(x, "features.18.0", "features.18.1", 1280, 1))
    return p.head(x, "classifier.1", classes), p.bns


def pytorchcv_mobilenet(get, x, classes=1000):
    p = Pass(get)
    x = F.relu6(p.conv_bn(x, "features.init_block.conv", "features.init_block.bn", 32, 3, 2))
    stages = ([16], [24] * 2, [32] * 3, [64] * 4 + [96] * 3, [160] * 3 + [320])
    for s, widths in enumerate(stages, 1):
        for u, out in enumerate(widths, 1):
            names = [(f"features.stage{s}.unit{u}.conv{k}.conv",
                      f"features.stage{s}.unit{u}.conv{k}.bn") for k in (1, 2, 3)]
            x = inverted_residual(p, x, names, 1 if s == 1 else 6, out,
                                  2 if u == 1 and s > 1 else 1, True)
    x = F.relu6(p.conv_bn(x, "features.final_block.conv", "features.final_block.bn", 1280, 1))
    return p.head(x, "output", classes, bias=False, conv=True), p.bns
