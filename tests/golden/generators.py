"""Generators of GDFQ, Qimera and AutoReCon (docs/METHODS.md) with parameters made by a formula.

With the noise of golden.py: scales are 1 + noise / 2, all else is 1.5 noise / sqrt(fan in); shifts have
their channels for fan in, the embedding has 1."""
import math

import torch
import torch.nn.functional as F

import golden

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

    def __init__(self, image, classes, labels, conditional=False, mix=None):
        self.image_side, self.classes, self.w, self.given = image, classes, {}, {}
        self.labels, self.conditional, self.mix = labels, conditional, mix

    def get(self, name, shape, fan):
        """fan 0: a scale."""
        noise = torch.from_numpy(golden.noise(len(self.w), math.prod(shape))).double()
        value = 1 + 0.5 * noise if fan == 0 else 1.5 / math.sqrt(fan) * noise
        value = value.float().double().reshape(shape).requires_grad_()
        self.w[name] = self.given.get(name, value)
        return self.w[name]

    def embed(self, width):
        return self.get("embed.weight", (self.classes, width), 1)[self.labels]

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
        shape = (self.classes, c) if self.conditional else (c,)
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
        side = self.image_side // 4
        x = self.linear("fc", x, 128 * side * side).reshape(-1, 128, side, side)
        x = F.interpolate(self.norm("bn0", x, 1e-5), scale_factor=2)
        x = self.norm("bn1", self.conv("conv1", x, 128), 0.8)
        x = F.interpolate(F.leaky_relu(x, 0.2), scale_factor=2)
        x = F.leaky_relu(self.norm("bn2", self.conv("conv2", x, 64), 0.8), 0.2)
        return self.image("conv3", x)


def gdfq(p, z):
    return p.stack(z if p.conditional else p.embed(z.shape[1]) * z)


def qimera(p, z, reduced=None):
    """z[B,D] with labels[B], or z[B,K,D] with labels[B,K] and mix[B,K]."""
    h = p.embed(z.shape[-1]) + z
    if p.mix is None:
        h = F.batch_norm(h.t(), None, None, training=True, eps=1e-5).t()
    else:
        h = F.batch_norm(h, None, None, training=True, eps=1e-5)
        h = (p.mix[:, :, None] * h).sum(1)
    return p.stack(p.linear("reduce", h, reduced) if reduced else h)


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
            side = self.p.image_side // 8 * 2 ** cell
            x = x + self.p.linear(f"fc{cell}", part, 64 * side * side).reshape(-1, 64, side, side)
            v = [self.up(f"cell{cell}.up{i}", x, self.ups[cell][i]) for i in range(2)]
            v.append(self.vertex(cell, v, 0, before, 0))
            x = self.vertex(cell, v, 2, before, 3)
            before = v
        return self.p.image("conv", F.leaky_relu(self.p.norm("bn", x, 0.8), 0.2))
