"""Golden data of two iterations of a GDFQ generator against a small ResNet.

L = CE + 0.1 mean over BatchNorms of their inputs' distances from the running statistics; Adam (0.5,
0.999), rate 1e-3. The generator's weights are those of generators.py; of gradients and moved weights
at most 256 elements are kept, evenly spaced."""
import math

import torch
import torch.nn.functional as F

import cnn
import golden
from generators import Pass, gdfq

SEED, BATCH, IMAGE, CLASSES, LATENT, RATE, KEPT = 97, 8, 8, 4, 100, 1e-3, 256


def teacher(g):
    """Weights of a ResNet by name, made when they are asked for."""
    w = {}

    def get(name, shape):
        if name not in w:
            t = torch.randn(shape, generator=g)
            if len(shape) > 1:
                t = t * math.sqrt(2 / math.prod(shape[1:]))
            elif name.endswith("running_var"):
                t = 0.5 + t.abs()
            else:
                t = (1 if name.endswith("weight") else 0) + 0.2 * t
            w[name] = t
        return w[name].double()

    return w, get


def some(t):
    t = t.detach().flatten()
    return t[::max(1, t.numel() // KEPT)][:KEPT].clone()


g = golden.generator(SEED)
weights, get = teacher(g)
z = torch.randn((BATCH, LATENT), generator=g).double()
y = torch.randint(0, CLASSES, (BATCH,), generator=g)
out, leaves, optimiser = {"z": z, "labels": y}, {}, None
for i in (1, 2):
    p = Pass(IMAGE, CLASSES, y)
    p.given = leaves
    x = gdfq(p, z)
    logits, bns = cnn.akamaster(get, x, units=(1, 1), width=8, classes=CLASSES)
    ce, stats = F.cross_entropy(logits, y), sum(bns) / len(bns)
    loss = ce + 0.1 * stats
    if optimiser is None:
        leaves = dict(p.w)
        optimiser = torch.optim.Adam(leaves.values(), RATE, (0.5, 0.999), 1e-8)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    step = f"step{i}."
    out.update({step + "losses": torch.stack([loss, ce, stats]), step + "logits": logits,
                step + "images": x})
    for name, t in leaves.items():
        out[f"{step}grad.{name}"] = some(t.grad)
        out[f"{step}param.{name}"] = some(t)
    print([float(v) for v in (loss, ce, stats)])
golden.write("generator_step.safetensors", {**out, **{"cnn." + n: t for n, t in weights.items()}},
             seed=SEED)
