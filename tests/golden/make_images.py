"""Golden data of ops of convolutional networks: normalisation, resampling, losses, and a small
conditional generator with all of them. Images are channels last."""
import torch
import torch.nn.functional as F

import golden

SEED = 91
EPS = 0.8


def last(v):
    return v.permute(0, 2, 3, 1) if v.dim() == 4 else v


def case(name, inputs, outputs, wrt):
    """Tensors of a case: inputs; outputs; dy, the gradient that comes in at the first output; and
    the gradients d<input>."""
    (first, y), = list(outputs.items())[:1]
    dy = torch.randn(y.shape, generator=g)
    grads = torch.autograd.grad(y, [inputs[k] for k in wrt], dy.double())
    tensors = {**inputs, **outputs, f"d{first}": dy,
               **{f"d{k}": v for k, v in zip(wrt, grads)}}
    return {f"{name}.{k}": last(v.detach()) for k, v in tensors.items()}


def leaf(*shape, low=None):
    v = torch.randn(shape, generator=g) if low is None else low + torch.rand(shape, generator=g)
    return golden.leaf(v, torch.float64)


def stats(x):
    return x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)


def conditional(x, gamma, beta, eps=EPS):
    """Batch norm in training with gamma and beta of each image."""
    return F.batch_norm(x, None, None, None, None, True, 0, eps) * gamma[:, :, None, None] \
        + beta[:, :, None, None]


def norms():
    x, gamma, beta = leaf(3, 6, 4, 5), leaf(6), leaf(6)
    mean, var = stats(x)
    out = case("train", {"x": x, "gamma": gamma, "beta": beta},
               {"y": F.batch_norm(x, None, None, gamma, beta, True, 0, EPS), "mean": mean,
                "var": var}, ("x", "gamma", "beta"))
    mean, var = leaf(6), leaf(6, low=0.5)
    out.update(case("eval", {"x": x, "mean": mean, "var": var, "gamma": gamma, "beta": beta},
                    {"y": F.batch_norm(x, mean.detach(), var.detach(), gamma, beta, False, 0, EPS)},
                    ("x", "gamma", "beta")))
    gamma, beta = leaf(3, 6), leaf(3, 6)
    out.update(case("conditional", {"x": x, "gamma": gamma, "beta": beta},
                    {"y": conditional(x, gamma, beta)}, ("x", "gamma", "beta")))
    (m, v), mean, var = stats(x), leaf(6), leaf(6, low=0.5)
    loss = ((m - mean) ** 2).mean() + ((v - var) ** 2).mean()
    out.update(case("bns", {"x": x, "mean": mean, "var": var}, {"y": loss[None]}, ("x",)))
    return out


def samplers():
    x = leaf(2, 3, 4, 5)
    out = case("nearest", {"x": x}, {"y": F.interpolate(x, scale_factor=2)}, ("x",))
    y = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    out.update(case("bilinear", {"x": x}, {"y": y}, ("x",)))
    x = golden.leaf((2 * torch.randn((2, 3, 7, 8), generator=g)).round() / 2, torch.float64)  # ties
    out.update(case("max", {"x": x}, {"y": F.max_pool2d(x, 3, 2, 1)}, ("x",)))
    out.update(case("mean", {"x": x}, {"y": x.mean((2, 3))}, ("x",)))
    return out


def soft_labels():
    z, t = leaf(3, 7), leaf(3, 7, low=0)
    y = F.cross_entropy(z, t, reduction="none")
    return case("soft", {"z": z, "targets": t}, {"y": y}, ("z",))


def generator():
    """Embedding times noise, linear, batch norm, upsampling, convolution, conditional batch norm
    with tables, leaky ReLU, convolution, tanh, batch norm without parameters."""
    index = torch.tensor([2, 0, 2, 1])
    p = {"z": leaf(4, 6), "table": leaf(3, 6), "w": leaf(5 * 3 * 4, 6), "b": leaf(60),
         "gamma": leaf(5), "beta": leaf(5), "w1": leaf(4, 5, 3, 3), "scales": leaf(3, 4),
         "shifts": leaf(3, 4), "w2": leaf(3, 4, 3, 3)}
    x = F.linear(p["table"][index] * p["z"], p["w"], p["b"]).view(4, 5, 3, 4)
    x = F.batch_norm(x, None, None, p["gamma"], p["beta"], True, 0, 1e-5)
    x = F.conv2d(F.interpolate(x, scale_factor=2), p["w1"], padding=1)
    x = F.leaky_relu(conditional(x, p["scales"][index], p["shifts"][index]), 0.2)
    x = torch.tanh(F.conv2d(x, p["w2"], padding=1))
    y = F.batch_norm(x, None, None, None, None, True, 0, 1e-5)
    dy = torch.randn(y.shape, generator=g)
    grads = torch.autograd.grad(y, list(p.values()), dy.double())
    tensors = {**p, "index": index.float(), "y": last(y), "dy": last(dy),
               **{f"d{k}": v for k, v in zip(p, grads)}}
    return {f"generator.{k}": v.detach() for k, v in tensors.items()}


g = golden.generator(SEED)
out = {**norms(), **samplers(), **soft_labels(), **generator()}
golden.write("images.safetensors", out, seed=SEED)
