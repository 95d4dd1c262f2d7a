"""Golden data of convolutions: forward, gradients to input, weight and bias; channels last."""
import torch
import torch.nn.functional as F

import golden

SEED = 90
# name: batch, channels, height, width, filters, kernel, stride, pad, dilation, groups
CASES = {
    "plain": (2, 3, 7, 6, 5, (3, 3), 1, 1, 1, 1),
    "stride": (2, 17, 9, 8, 18, (3, 3), 2, 1, 1, 1),
    "dilated": (2, 4, 11, 9, 6, (3, 3), 1, 2, 2, 1),
    "point": (3, 5, 6, 7, 19, (1, 1), 2, 0, 1, 1),
    "oblong": (2, 6, 8, 12, 4, (5, 3), 1, 2, 1, 1),
    "depthwise": (2, 18, 7, 5, 18, (3, 3), 1, 1, 1, 18),
    "depthwise_stride": (2, 7, 8, 9, 7, (3, 3), 2, 1, 1, 7),
    "depthwise_dilated": (2, 5, 9, 7, 5, (3, 5), 2, 3, 2, 5),
}


def case(name, spec, g):
    batch, c, height, width, o, kernel, stride, pad, dilation, groups = spec
    x = torch.randn((batch, c, height, width), generator=g)
    w = torch.randn((o, c // groups, *kernel), generator=g)
    b = torch.randn(o, generator=g)
    xd, wd, bd = (golden.leaf(v, torch.float64) for v in (x, w, b))
    y = F.conv2d(xd, wd, bd, stride, pad, dilation, groups)
    dy = torch.randn(y.shape, generator=g)
    y.backward(dy.double())
    last = (lambda v: v.permute(0, 2, 3, 1))
    tensors = {"x": last(x), "w": w, "b": b, "y": last(y), "dy": last(dy), "dx": last(xd.grad),
               "dw": wd.grad, "db": bd.grad,
               "attr": torch.tensor([stride, pad, dilation, groups])}
    return {f"{name}.{key}": v for key, v in tensors.items()}


g = golden.generator(SEED)
out = {}
for name, spec in CASES.items():
    out.update(case(name, spec, g))
golden.write("conv.safetensors", out, seed=SEED)
