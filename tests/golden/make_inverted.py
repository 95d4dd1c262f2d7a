"""Golden data of networks of inverted residuals (EfficientNet, MobileNetV2, V3): a small network of
each kind with weights made by a formula, logits of x[i] = sin(0.01 i)."""
import numpy as np
import torch
import torch.nn.functional as F

import golden

IMAGES, SIDE, CLASSES = 2, 40, 5


class Network:
    """Layers with a BatchNorm, layers with a bias, and the classifier have their parameters in this
    order; each is declared before the forward pass."""

    def __init__(self, form, same, eps):
        self.form, self.same, self.eps = form, same, eps
        self.norms, self.biased, self.names = [], [], []

    def declare(self, head):
        values = {}
        for conv, norm, shape in self.norms:
            values[conv + ".weight"] = shape
            for end in ("weight", "bias", "running_mean", "running_var"):
                values[f"{norm}.{end}"] = (shape[0],)
        for name, shape in self.biased:
            values.update({name + ".weight": shape, name + ".bias": (shape[0],)})
        name, shape = head
        values.update({name + ".weight": shape, name + ".bias": (shape[0],)})
        self.p = {}
        for name, shape in values.items():
            n = int(np.prod(shape))
            v = golden.noise(len(self.names), n)
            if len(shape) > 1:
                v = v * np.sqrt(np.float32(6) / np.float32(n // shape[0]))
            else:
                v = np.float32(name.endswith((".weight", ".running_var"))) + np.float32(0.2) * v
            self.names.append(name)
            self.p[name] = torch.from_numpy(v.reshape(shape)).double()

    def conv(self, x, conv, norm, stride=1, depthwise=False):
        w = self.p[conv + ".weight"]
        k, pads = w.shape[2], [w.shape[2] // 2] * 4
        if self.same:
            missing = max((-(-x.shape[2] // stride) - 1) * stride + k - x.shape[2], 0)
            pads = [missing // 2, missing - missing // 2] * 2
        x = F.conv2d(F.pad(x, pads), w, None, stride, 0, 1, w.shape[0] if depthwise else 1)
        gamma, beta, mean, var = (self.p[f"{norm}.{end}"] for end in
                                  ("weight", "bias", "running_mean", "running_var"))
        return F.batch_norm(x, mean, var, gamma, beta, False, 0.0, self.eps)

    def linear(self, x, name):
        return F.linear(x, self.p[name + ".weight"].flatten(1), self.p[name + ".bias"])

    def activate(self, x, curved=True):
        if self.form == "b":
            return F.silu(x)
        if self.form == "v3":
            return F.hardswish(x) if curved else F.relu(x)
        return F.relu6(x)

    def excite(self, x, names):
        s = self.linear(x.mean((2, 3)), names[0])
        s = self.linear(F.silu(s) if self.form == "b" else F.relu(s), names[1])
        return x * (torch.sigmoid(s) if self.form == "b" else F.hardsigmoid(s))[:, :, None, None]


# stages: kernel, stride, squeeze, ReLU instead of the curve; all have `units` blocks
EFFICIENT = [(int(k), int(s), 1, 0) for k, s in zip("3353553", "1222121")]
MOBILE2 = [(3, int(s), 0, 0) for s in "1222121"]
SMALL3 = [(int(k), int(s), int(q), int(r)) for k, s, q, r in
          zip("33555", "22212", "10111", "11000")]


def block_names(keys, index, stage, unit, expands, squeeze):
    """[(conv, norm)] of expanding, depthwise and projecting; names of squeeze-and-excite."""
    if keys == "lukemelas":
        b = f"_blocks.{index}."
        return [(b + "_expand_conv", b + "_bn0"), (b + "_depthwise_conv", b + "_bn1"),
                (b + "_project_conv", b + "_bn2")], (b + "_se_reduce", b + "_se_expand")
    if keys == "timm":
        b = f"blocks.{stage}.{unit}."
        convs = ["conv_pw", "conv_dw", "conv_pwl"] if expands else ["", "conv_dw", "conv_pw"]
        return ([(b + c, f"{b}bn{i + expands}") for i, c in enumerate(convs)],
                (b + "se.conv_reduce", b + "se.conv_expand"))
    b = f"features.{index + 1}.block."
    at = [0, expands, expands + 1 + squeeze]
    return ([(f"{b}{k}.0", f"{b}{k}.1") for k in at],
            (f"{b}{expands + 1}.fc1", f"{b}{expands + 1}.fc2"))


def build(form, keys, stages, same, eps, ends, head, hidden=None):
    """ends: names of the first and last convolution. Channels are 8 (stage + 2), expanded by 2 but
    in the first stage; stages 1 and 2 have two blocks."""
    net = Network(form, same, eps)
    net.norms.append((*ends[0], (12, 3, 3, 3)))
    blocks, channels = [], 12
    for s, (kernel, stride, squeeze, relu) in enumerate(stages):
        for u in range(2 if s in (1, 2) else 1):
            out, expands = 8 * (s + 2), int(s > 0)
            mid = channels * 2 if expands else channels
            squeeze = squeeze and form != "lite"
            convs, se = block_names(keys, len(blocks), s, u, expands, squeeze)
            if expands:
                net.norms.append((*convs[0], (mid, channels, 1, 1)))
            net.norms += [(*convs[1], (mid, 1, kernel, kernel)), (*convs[2], (out, mid, 1, 1))]
            if squeeze:
                net.biased += [(se[0], (4, mid, 1, 1)), (se[1], (mid, 4, 1, 1))]
            blocks.append((convs, se if squeeze else None, expands, 1 if u else stride,
                           channels == out and (u or stride == 1), not relu))
            channels = out
    net.norms.append((*ends[1], (24, channels, 1, 1)))
    if hidden:
        net.biased.append((hidden, (20, 24, 1, 1) if keys == "timm" else (20, 24)))
    net.declare((head, (CLASSES, 20 if hidden else 24)))
    x = torch.from_numpy(np.sin(0.01 * np.arange(IMAGES * 3 * SIDE * SIDE)).astype(np.float32)
                         .reshape(IMAGES, 3, SIDE, SIDE)).double()
    x = net.activate(net.conv(x, *ends[0], 2))
    for convs, se, expands, stride, sums, curved in blocks:
        y = net.activate(net.conv(x, *convs[0]), curved) if expands else x
        y = net.activate(net.conv(y, *convs[1], stride, True), curved)
        y = net.conv(net.excite(y, se) if se else y, *convs[2])
        x = x + y if sums else y
    x = net.activate(net.conv(x, *ends[1])).mean((2, 3))
    if hidden:
        x = F.hardswish(net.linear(x, hidden))
    return net.linear(x, head), net.names


CASES = {
    "lite": ("lite", "lukemelas", EFFICIENT, True, 1e-3,
             (("_conv_stem", "_bn0"), ("_conv_head", "_bn1")), "_fc"),
    "b": ("b", "timm", EFFICIENT, False, 1e-5, (("conv_stem", "bn1"), ("conv_head", "bn2")),
          "classifier"),
    "v2": ("v2", "timm", MOBILE2, False, 1e-5, (("conv_stem", "bn1"), ("conv_head", "bn2")),
           "classifier"),
    "v3": ("v3", "torchvision", SMALL3, False, 1e-3,
           (("features.0.0", "features.0.1"), ("features.8.0", "features.8.1")), "classifier.3",
           "classifier.0"),
}
out, names = {}, {}
for name, spec in CASES.items():
    out[f"{name}.logits"], order = build(*spec)
    names[f"names.{name}"] = " ".join(order)
golden.write("inverted.safetensors", out, **names)
