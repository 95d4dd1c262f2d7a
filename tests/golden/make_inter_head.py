"""Golden data of the inter-head attention distance: on the tiny network and on random products."""
import torch

import golden
import vit
from losses import inter_head

SEED = 40


def on_network():
    """Value per layer and gradient to the input image."""
    weights, (x, _) = golden.tiny_weights(), golden.tiny_batch()
    runs = []
    for dtype in (torch.float32, torch.float64):
        xi, taps = golden.leaf(x, dtype), {}
        vit.forward(golden.cast(weights, dtype), xi, golden.TINY, taps=taps)
        layers = torch.stack([inter_head(r) for r in taps["qk"]])
        layers.mean().backward()
        runs.append((layers, xi.grad))
    (l32, g32), (layers, grad) = runs
    print("inter-head on the network, float32 to float64: layers %.1e, input gradient %.1e" % (
        golden.far(l32, layers), golden.far(g32, grad)))
    return {"net.layers": layers, "net.loss": layers.mean(), "net.grad_x": grad}


def on_products(name, shape, drop, absolute, g):
    r = torch.randn(shape, generator=g)
    out = {name + ".r": r}
    r = r.double().requires_grad_()
    for suffix, mode in (("", False), ("_abs", True))[:1 + absolute]:
        layers = inter_head(r, drop, mode)
        out[f"{name}.layers{suffix}"] = layers
        out[f"{name}.loss{suffix}"] = layers.mean()
        out[f"{name}.grad{suffix}"], = torch.autograd.grad(layers.mean(), r)
    return out


g = golden.generator(SEED)
golden.write("inter_head.safetensors",
             {**on_network(), **on_products("cls", (2, 2, 3, 17, 17), 1, True, g),
              **on_products("window", (1, 4, 3, 9, 9), 0, False, g)}, seed=SEED)
