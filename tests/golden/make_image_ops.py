"""Golden data of convolutions in groups and with TensorFlow's padding, of windows, activations and
gates: forward, and the gradient to the first operand. Images are channels last."""
import torch
import torch.nn.functional as F

import golden

SEED = 92
g = golden.generator(SEED)


def leaf(*shape):
    return golden.leaf(torch.randn(shape, generator=g), torch.float64)


def last(v):
    return v.permute(0, 2, 3, 1) if v.dim() == 4 else v


def case(name, inputs, y):
    """`inputs`: those of a layer are x, w and b, of which w keeps its axes."""
    dy = torch.randn(y.shape, generator=g)
    dx, = torch.autograd.grad(y, inputs["x"], dy.double())
    tensors = {**{k: v if k == "w" else last(v) for k, v in inputs.items()},
               "y": last(y), "dy": last(dy), "dx": last(dx)}
    return {f"{name}.{k}": v.detach() for k, v in tensors.items()}


def convolution(name, x, w, groups, stride, pads):
    """pads: left, right, above, below"""
    x, w, b = leaf(*x), leaf(*w), leaf(w[0])
    return case(name, {"x": x, "w": w, "b": b},
                F.conv2d(F.pad(x, pads), w, b, stride, 0, 1, groups))


def one(name, f, *shape):
    x = leaf(*shape)
    return case(name, {"x": x}, f(x))


out = {**convolution("same", (2, 3, 8, 6), (5, 3, 3, 3), 1, 2, (0, 1, 0, 1)),
       **convolution("same_depthwise", (2, 18, 6, 8), (18, 1, 5, 5), 18, 2, (1, 2, 1, 2)),
       **convolution("groups", (2, 12, 5, 6), (9, 4, 3, 3), 3, 1, (1, 1, 1, 1)),
       **convolution("groups_stride", (2, 40, 5, 6), (40, 20, 3, 3), 2, 2, (1, 1, 1, 1)),
       **one("max_behind", lambda x: F.max_pool2d(x, 3, 2, 0, ceil_mode=True), 2, 3, 8, 6),
       **one("avg", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), 2, 3, 7, 8),
       **one("avg_counted", lambda x: F.avg_pool2d(x, 3, 2, 1), 2, 3, 7, 8),
       **one("avg_behind", lambda x: F.avg_pool2d(x, 2, 2, 0, ceil_mode=True,
                                                  count_include_pad=False), 2, 3, 7, 5),
       **one("pad", lambda x: F.pad(x, (2, -1, 1, 3)), 2, 3, 4, 5),
       **one("sigmoid", torch.sigmoid, 2, 3, 4, 5),
       **one("silu", F.silu, 2, 3, 4, 5),
       **one("hard_sigmoid", F.hardsigmoid, 2, 3, 4, 5),
       **one("hard_swish", F.hardswish, 2, 3, 4, 5)}
x, s = leaf(2, 5, 3, 4), leaf(2, 5)
out.update(case("gate", {"x": x, "s": s}, x * s[:, :, None, None]))
a, b = leaf(2, 3, 4, 5), leaf(2, 4, 4, 5)
out.update(case("concat", {"x": a, "b": b}, torch.cat((a, b), 1)))
out.update(one("channels", lambda x: x[:, 2:5], 2, 7, 3, 4))
golden.write("image_ops.safetensors", out, seed=SEED)
