"""Golden data of the fake quantizers: weights, LSQ activations, their start, logarithmic grid."""
import torch

import golden
import quant

SEED = 60
BITS = (2, 3, 4, 8)


def off_ties(codes, margin=1e-3):
    """Moves values away from rounding ties, in code units."""
    frac = codes - codes.floor()
    near = (frac - 0.5).abs() < margin
    return torch.where(near, codes + 3 * margin, codes)


def weights(bits, g):
    """Rows: 0 to 5 random (largest entry positive), 6 all ties on an exact step and the extremes
    +m, -m, 7 zeros. `neg`: random rows whose largest entry is negative."""
    n = 2 ** bits - 1
    w = torch.randn((8, 20), generator=g)
    top = w.abs().argmax(1, keepdim=True)
    m = w.gather(1, top).abs() * 1.1
    w = off_ties(w / (2 * m / n)) * (2 * m / n)
    w.scatter_(1, top, m)
    w[6] = torch.arange(20).sub(9.5).clamp(-n / 2, n / 2) / 16  # step 1/16: multiples of a half
    w[6, :2] = torch.tensor((n / 32, -n / 32))
    w[7] = 0
    neg = -w[:6]
    out = {}
    for name, v in ((f"weight{bits}", w), (f"weight{bits}.neg", neg)):
        step, codes = quant.weight_codes(v, bits)
        out.update({name + ".w": v, name + ".step": step, name + ".codes": codes.int(),
                    name + ".y": quant.weight(v, bits)})
    return out


def lsq(name, x, alpha, zero, lo, hi, g):
    """Forward and backward; sums in double, the grid itself is the float32 one."""
    x, alpha, zero = (v.double().requires_grad_() for v in (x, alpha, zero))
    dy = torch.randn(x.shape, generator=g)
    scale = 1 / (x.numel() * hi) ** 0.5
    y = quant.LsqFunction.apply(x, alpha, zero, lo, hi, 1.0)
    y.backward(dy.double())
    return {name + ".x": x, name + ".alpha": alpha, name + ".zero": zero, name + ".dy": dy,
            name + ".range": torch.tensor((lo, hi)), name + ".y": y, name + ".dx": x.grad,
            name + ".dalpha": alpha.grad, name + ".dalpha_g": alpha.grad * scale,
            name + ".dzero": zero.grad, name + ".g": torch.tensor([scale])}


def lsq_cases(bits, g):
    lo, hi = -2 ** (bits - 1), 2 ** (bits - 1) - 1
    out = {}
    # Every quarter of a code from two codes below the range to two above it, on an exact step:
    # ties, both borders and both outsides. rint(-1.5) = -2.
    codes = torch.arange(4 * (lo - 2), 4 * (hi + 2) + 1)[None] / 4 if bits < 8 else \
        torch.cat([torch.arange(-8, 9) / 4 + edge for edge in (lo, 0, hi)])[None]
    out.update(lsq(f"lsq{bits}.edge", (codes + 2) * 0.25, torch.tensor([0.25]),
                   torch.tensor([-1.5]), lo, hi, g))
    codes = off_ties(torch.randn((6, 24), generator=g) * hi * 0.8)
    out.update(lsq(f"lsq{bits}.random", (codes + 1) * 0.0371, torch.tensor([0.0371]),
                   torch.tensor([-0.83]), lo, hi, g))
    codes = off_ties((torch.rand((6, 24), generator=g) * 1.2 - 0.1) * (hi - lo))
    out.update(lsq(f"lsq{bits}.unsigned", codes * 0.0113, torch.tensor([0.0113]),
                   torch.tensor([0.2]), 0, hi - lo, g))
    alpha = 0.01 + 0.1 * torch.rand(24, generator=g)
    zero = torch.arange(24) * 0.26 - 3.1
    codes = off_ties(torch.randn((6, 24), generator=g) * hi * 0.8)
    out.update(lsq(f"lsq{bits}.columns", (codes - zero.round()) * alpha, alpha, zero, lo, hi, g))
    return out


def init_cases(bits, g):
    out = {}
    positive = torch.rand((4, 32), generator=g) + 0.01
    for name, x in (("signed", torch.randn((4, 32), generator=g)), ("unsigned", positive)):
        alpha, zero, lo, hi, scale = quant.lsq_init(x.double(), bits)
        key = f"init{bits}.{name}"
        out.update({key + ".x": x, key + ".alpha": alpha, key + ".zero": zero,
                    key + ".range": torch.tensor((lo, hi)), key + ".g": torch.tensor([scale])})
    return out


def log_cases(bits, g):
    """x = top * 2^(-codes/2) off the ties; then 0, top, above top, and a code that is too small."""
    top = torch.tensor(0.83)
    codes = off_ties(torch.rand(60, generator=g) * (2 ** min(bits, 6) + 3))
    x = (top.double() * 2 ** (-codes.double() / 2)).float()
    x = torch.cat((x, torch.stack((top * 0, top, top * 1.1, top * 2.0 ** (-(2 ** bits) / 2)))))
    key = f"log{bits}"
    y = quant.log_sqrt2(x.double(), top.double(), bits)
    return {key + ".x": x, key + ".top": top, key + ".y": y}


g = golden.generator(SEED)
out = {}
for b in BITS:
    for case in (weights, lsq_cases, init_cases, log_cases):
        out.update(case(b, g))
golden.write("fake_quant.safetensors", out, seed=SEED)
