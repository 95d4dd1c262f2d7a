"""Golden data of the generators (ait.md 3.3, 3.7, 3.8): images of GDFQ's and Qimera's in both forms
and of AutoReCon's cells, and gradients of a few weights.

The weights are too many to be stored. Element i of parameter p is size sin(0.37 i + p), where size
is 1 for scales and the embedding, else 0.5 / sqrt(fan in); of a shift it is 0.5 / sqrt(channels)."""
import math

import torch
import torch.nn.functional as F

import golden

SEED, BATCH, IMAGE, CLASSES, LATENT, SLOTS, REDUCED = 90, 4, 8, 3, 4, 2, 3
# AutoReCon's: two ups of each cell; five convolutions of each; crosses of the last two
CELLS = {
    "cifar10": ("NN|NN|BN", "d5 none d5 d3 c5|d5 d5 c3 d3 d5|d5 d5 c1 c5 d3",
                "0 0 B 0 0 N|N N N B B B"),
    "cifar100": ("BN|NN|NN", "d5 d5 d5 none c5|d5 c5 c1 d3 d5|d5 d3 c5 c5 d5",
                 "0 B N 0 0 N|0 B N N B B"),
    "resnet18": ("BB|BB|BB", "d5 d5 d5 d5 d5|d5 d5 d5 d5 d3|d5 d5 c5 d3 d3",
                 "N B N B B N|B B N N B N"),
    "resnet50": ("BB|BB|BB", "d5 d5 d5 d5 d5|d5 d5 c3 c1 c1|d3 d5 d5 c5 d3",
                 "B B B N N B|N N N N B B"),
    "mobilenet": ("BB|BB|NB", "d5 d5 c5 d5 d5|c5 d5 c1 c1 c1|c3 d5 c5 d5 d3",
                  "B B N B B B|B N B B B N")}


class Pass:
    """A forward pass that makes its parameters as it goes."""

    def __init__(self, labels, conditional, mix=None):
        self.w, self.labels, self.conditional, self.mix = {}, labels, conditional, mix

    def get(self, name, shape, fan):
        i = torch.arange(math.prod(shape), dtype=torch.float64)
        size = 0.5 / math.sqrt(fan) if fan else 1.0
        value = size * torch.sin(0.37 * i + len(self.w))
        self.w[name] = value.reshape(shape).requires_grad_()
        return self.w[name]

    def embed(self, width):
        return self.get("embed.weight", (CLASSES, width), 0)[self.labels]

    def linear(self, name, x, out):
        fan = x.shape[1]
        return F.linear(x, self.get(name + ".weight", (out, fan), fan),
                        self.get(name + ".bias", (out,), fan))

    def conv(self, name, x, out, kernel=3, dilation=1):
        fan = x.shape[1] * kernel * kernel
        w = self.get(name + ".weight", (out, x.shape[1], kernel, kernel), fan)
        return F.conv2d(x, w, self.get(name + ".bias", (out,), fan), dilation=dilation,
                        padding=kernel // 2 * dilation)

    def norm(self, name, x, eps):
        c = x.shape[1]
        shape = (CLASSES, c) if self.conditional else (c,)
        scale, shift = self.get(name + ".weight", shape, 0), self.get(name + ".bias", shape, c)
        x = F.batch_norm(x, None, None, training=True, eps=eps)
        if self.conditional:
            scale, shift = scale[self.labels], shift[self.labels]
            if self.mix is not None:  # the mean over slots: a quirk of the published code
                scale, shift = ((self.mix[:, :, None] * t).mean(1) for t in (scale, shift))
            return x * scale[:, :, None, None] + shift[:, :, None, None]
        return x * scale[None, :, None, None] + shift[None, :, None, None]

    def image(self, name, x):
        return F.batch_norm(torch.tanh(self.conv(name, x, 3)), None, None, training=True, eps=1e-5)

    def stack(self, x):
        side = IMAGE // 4
        x = self.linear("fc", x, 128 * side * side).reshape(-1, 128, side, side)
        x = F.interpolate(self.norm("bn0", x, 1e-5), scale_factor=2)
        x = self.norm("bn1", self.conv("conv1", x, 128), 0.8)
        x = F.interpolate(F.leaky_relu(x, 0.2), scale_factor=2)
        x = F.leaky_relu(self.norm("bn2", self.conv("conv2", x, 64), 0.8), 0.2)
        return self.image("conv3", x)


def gdfq(p, z):
    return p.stack(z if p.conditional else p.embed(LATENT) * z)


def qimera(p, z):
    """z[B,D] with labels[B], or z[B,K,D] with labels[B,K] and mix[B,K]."""
    h = p.embed(LATENT) + z
    if p.mix is None:
        h = F.batch_norm(h.t(), None, None, training=True, eps=1e-5).t()
    else:
        h = F.batch_norm(h, None, None, training=True, eps=1e-5)
        h = (p.mix[:, :, None] * h).sum(1)
    return p.stack(p.linear("reduce", h, REDUCED) if p.conditional else h)


class Arc:
    def __init__(self, p, cells):
        self.p = p
        self.ups, self.ops, self.crosses = ([row.replace(" ", "") if k == 0 else row.split()
                                             for row in text.split("|")]
                                            for k, text in enumerate(cells))

    def edge(self, name, x, kernel, dilation=1):
        x = F.leaky_relu(self.p.norm(name + ".bn", x, 0.8), 0.2)
        return self.p.conv(name + ".conv", x, 64, kernel, dilation)

    def up(self, name, x, mode):
        x = F.interpolate(x, scale_factor=2, mode="nearest" if mode == "N" else "bilinear")
        return self.edge(name, x, 1)

    def vertex(self, cell, inputs, first, before, cross):
        out = 0
        for i, x in enumerate(inputs, first):
            op = self.ops[cell][i]
            if op != "none":
                out = out + self.edge(f"cell{cell}.c{i}", x, int(op[1]), 2 if op[0] == "d" else 1)
        for i, x in enumerate(before, cross):
            mode = self.crosses[cell - 1][i]
            if mode != "0":
                out = out + self.up(f"cell{cell}.x{i}", x, mode)
        return out

    def forward(self, z):
        x, before = 0, []
        for cell, part in enumerate(torch.split(z, [33, 33, 34], 1)):
            side = IMAGE // 8 * 2 ** cell
            x = x + self.p.linear(f"fc{cell}", part, 64 * side * side).reshape(-1, 64, side, side)
            v = [self.up(f"cell{cell}.up{i}", x, self.ups[cell][i]) for i in range(2)]
            v.append(self.vertex(cell, v, 0, before, 0))
            x = self.vertex(cell, v, 2, before, 3)
            before = v
        return self.p.image("conv", F.leaky_relu(self.p.norm("bn", x, 0.8), 0.2))


def record(out, form, p, x, kept):
    (x * seed).sum().backward()
    out[form + ".images"] = x
    for name in kept:
        out[f"{form}.{name}"] = p.w[name].grad


g = golden.generator(SEED)
z = torch.randn((BATCH, LATENT), generator=g).double()
y = torch.tensor([2, 0, 1, 2])
seed = torch.randn((BATCH, 3, IMAGE, IMAGE), generator=g).double()
slot_z = torch.randn((BATCH, SLOTS, LATENT), generator=g).double()
slot_y = torch.tensor([[2, 1], [0, 0], [1, 2], [0, 2]])
mix = torch.softmax(torch.randn((BATCH, SLOTS), generator=g).double(), 1)
wide_z = torch.randn((BATCH, 100), generator=g).double()
out = {"z": z, "labels": y, "seed": seed, "slot_z": slot_z, "slot_labels": slot_y, "mix": mix,
       "wide_z": wide_z}
kept = ["fc.bias", "bn0.weight", "bn1.bias", "bn2.weight", "conv3.weight"]
for form, large in (("small", False), ("large", True)):
    p = Pass(y, large)
    record(out, "gdfq." + form, p, gdfq(p, z), kept + ([] if large else ["embed.weight"]))
    p = Pass(y, large)
    record(out, f"qimera.{form}.plain", p, qimera(p, z), kept + ["embed.weight"])
    p = Pass(slot_y, large, mix)
    record(out, f"qimera.{form}.mixed", p, qimera(p, slot_z), kept + ["embed.weight"])
for name, cells in CELLS.items():
    p = Pass(y, True)
    record(out, "arc." + name, p, Arc(p, cells).forward(wide_z),
           ["fc1.bias", "bn.weight", "conv.weight", "cell1.c1.bn.weight", "cell2.x5.bn.bias"])
    print(name, len(p.w), sum(w.numel() for w in p.w.values()))
golden.write("generator.safetensors", out, seed=SEED)
