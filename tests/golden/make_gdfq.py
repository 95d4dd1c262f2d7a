"""Golden data of GDFQ's generator (ait.md 3.3): images of both forms and gradients of a few weights.

The weights are too many to be stored. Element i of parameter p is size sin(0.37 i + p), where size
is 1 for scales and the embedding, else 0.5 / sqrt(fan in)."""
import math

import torch
import torch.nn.functional as F

import golden

SEED, BATCH, IMAGE, CLASSES, LATENT = 90, 4, 8, 3, 4
SIDE = IMAGE // 4


def shapes(conditional):
    def norm(c):
        return (CLASSES, c) if conditional else (c,)

    rows = [("embed.weight", (CLASSES, LATENT), 0),
            ("fc.weight", (128 * SIDE * SIDE, LATENT), LATENT),
            ("fc.bias", (128 * SIDE * SIDE,), LATENT),
            ("bn0.weight", norm(128), 0), ("bn0.bias", norm(128), 128),
            ("conv1.weight", (128, 128, 3, 3), 1152), ("conv1.bias", (128,), 1152),
            ("bn1.weight", norm(128), 0), ("bn1.bias", norm(128), 128),
            ("conv2.weight", (64, 128, 3, 3), 1152), ("conv2.bias", (64,), 1152),
            ("bn2.weight", norm(64), 0), ("bn2.bias", norm(64), 64),
            ("conv3.weight", (3, 64, 3, 3), 576), ("conv3.bias", (3,), 576)]
    return rows[1:] if conditional else rows


def weights(conditional):
    out = {}
    for p, (name, shape, fan) in enumerate(shapes(conditional)):
        i = torch.arange(math.prod(shape), dtype=torch.float64)
        size = 0.5 / math.sqrt(fan) if fan else 1.0
        out[name] = (size * torch.sin(0.37 * i + p)).reshape(shape).requires_grad_()
    return out


def norm(x, w, name, y, conditional, eps):
    x = F.batch_norm(x, None, None, training=True, eps=eps)
    scale, shift = w[name + ".weight"], w[name + ".bias"]
    if conditional:
        return x * scale[y][:, :, None, None] + shift[y][:, :, None, None]
    return x * scale[None, :, None, None] + shift[None, :, None, None]


def forward(w, z, y, conditional):
    x = z if conditional else w["embed.weight"][y] * z
    x = F.linear(x, w["fc.weight"], w["fc.bias"]).reshape(-1, 128, SIDE, SIDE)
    x = F.interpolate(norm(x, w, "bn0", y, conditional, 1e-5), scale_factor=2)
    x = F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1)
    x = F.interpolate(F.leaky_relu(norm(x, w, "bn1", y, conditional, 0.8), 0.2), scale_factor=2)
    x = F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=1)
    x = F.leaky_relu(norm(x, w, "bn2", y, conditional, 0.8), 0.2)
    x = torch.tanh(F.conv2d(x, w["conv3.weight"], w["conv3.bias"], padding=1))
    return F.batch_norm(x, None, None, training=True, eps=1e-5)


g = golden.generator(SEED)
z = torch.randn((BATCH, LATENT), generator=g).double()
y = torch.tensor([2, 0, 1, 2])
seed = torch.randn((BATCH, 3, IMAGE, IMAGE), generator=g).double()
out = {"z": z, "labels": y, "seed": seed}
for form, conditional in (("small", False), ("large", True)):
    w = weights(conditional)
    x = forward(w, z, y, conditional)
    (x * seed).sum().backward()
    out[form + ".images"] = x
    kept = ["fc.bias", "bn0.weight", "bn1.bias", "bn2.weight", "conv3.weight"]
    for name in kept + ([] if conditional else ["embed.weight"]):
        out[f"{form}.{name}"] = w[name].grad
golden.write("gdfq.safetensors", out, seed=SEED)
