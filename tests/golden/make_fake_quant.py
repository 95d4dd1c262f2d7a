"""Golden data of the fake quantizers: weights, LSQ activations, their start, logarithmic grid, grids
of rows."""
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
    """Rows: 0 to 5 random (largest entry positive), 6 all ties on an exact scale and the extremes
    +m, -m, 7 zeros. `neg`: random rows whose largest entry is negative."""
    n = 2 ** bits - 1
    w = torch.randn((8, 20), generator=g)
    top = w.abs().argmax(1, keepdim=True)
    m = w.gather(1, top).abs() * 1.1
    w = off_ties(w / (2 * m / n)) * (2 * m / n)
    w.scatter_(1, top, m)
    w[6] = torch.arange(20).sub(9.5).clamp(-n / 2, n / 2) / 16  # scale 1/16: multiples of a half
    w[6, :2] = torch.tensor((n / 32, -n / 32))
    w[7] = 0
    neg = -w[:6]
    out = {}
    for name, v in ((f"weight{bits}", w), (f"weight{bits}.neg", neg)):
        scale, codes = quant.weight_codes(v, bits)
        out.update({name + ".w": v, name + ".scale": scale, name + ".codes": codes.int(),
                    name + ".y": quant.weight(v, bits)})
    return out


def lsq(name, x, scale, zero_point, qmin, qmax, g):
    """Forward and backward; sums in double, the grid itself is the float32 one."""
    x, scale, zero_point = (v.double().requires_grad_() for v in (x, scale, zero_point))
    dy = torch.randn(x.shape, generator=g)
    mult = 1 / (x.numel() * qmax) ** 0.5
    y = quant.LsqFunction.apply(x, scale, zero_point, qmin, qmax, 1.0)
    y.backward(dy.double())
    return {name + ".x": x, name + ".scale": scale, name + ".zero_point": zero_point, name + ".dy": dy,
            name + ".range": torch.tensor((qmin, qmax)), name + ".y": y, name + ".dx": x.grad,
            name + ".dscale": scale.grad, name + ".dscale_g": scale.grad * mult,
            name + ".dzero_point": zero_point.grad, name + ".g": torch.tensor([mult])}


def lsq_cases(bits, g):
    qmin, qmax = -2 ** (bits - 1), 2 ** (bits - 1) - 1
    out = {}
    # Every quarter of a code from two codes below the range to two above it, on an exact scale:
    # ties, both borders and both outsides. rint(-1.5) = -2.
    codes = torch.arange(4 * (qmin - 2), 4 * (qmax + 2) + 1)[None] / 4 if bits < 8 else \
        torch.cat([torch.arange(-8, 9) / 4 + edge for edge in (qmin, 0, qmax)])[None]
    out.update(lsq(f"lsq{bits}.edge", (codes + 2) * 0.25, torch.tensor([0.25]),
                   torch.tensor([-1.5]), qmin, qmax, g))
    codes = off_ties(torch.randn((6, 24), generator=g) * qmax * 0.8)
    out.update(lsq(f"lsq{bits}.random", (codes + 1) * 0.0371, torch.tensor([0.0371]),
                   torch.tensor([-0.83]), qmin, qmax, g))
    codes = off_ties((torch.rand((6, 24), generator=g) * 1.2 - 0.1) * (qmax - qmin))
    out.update(lsq(f"lsq{bits}.unsigned", codes * 0.0113, torch.tensor([0.0113]),
                   torch.tensor([0.2]), 0, qmax - qmin, g))
    scale = 0.01 + 0.1 * torch.rand(24, generator=g)
    zero_point = torch.arange(24) * 0.26 - 3.1
    codes = off_ties(torch.randn((6, 24), generator=g) * qmax * 0.8)
    out.update(lsq(f"lsq{bits}.columns", (codes - zero_point.round()) * scale, scale, zero_point, qmin, qmax, g))
    return out


def init_cases(bits, g):
    out = {}
    positive = torch.rand((4, 32), generator=g) + 0.01
    for name, x in (("signed", torch.randn((4, 32), generator=g)), ("unsigned", positive)):
        scale, zero_point, qmin, qmax, mult = quant.lsq_init(x.double(), bits)
        key = f"init{bits}.{name}"
        out.update({key + ".x": x, key + ".scale": scale, key + ".zero_point": zero_point,
                    key + ".range": torch.tensor((qmin, qmax)), key + ".g": torch.tensor([mult])})
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


def row_cases(bits, g):
    """Rows of both signs, above 0, below 0, of zeros, and with a range that is not centred; none
    has two largest or two smallest values, so the gradient of amax is clear."""
    x = torch.randn((6, 24), generator=g)
    x[1] = x[1].abs() + 0.1
    x[2] = -x[2].abs() - 0.1
    x[3] = 0
    x[4] = x[4] * 0.01 + 0.3
    out = {}
    for name, signed in (("row", False), ("row.signed", True)):
        scale, _, _ = quant.row_grid(x, bits, signed)
        v = x.double() / scale.double()
        v = torch.where(v.abs() >= v.abs().amax(1, keepdim=True), v, off_ties(v))
        case = (v * scale.double()).float()
        dy = torch.randn(case.shape, generator=g)
        leaf = case.double().requires_grad_()
        y = quant.row(leaf, bits, signed)
        y.backward(dy.double())
        scale, zero_point, codes = quant.row_grid(case, bits, signed)
        key = f"{name}{bits}"
        out.update({key + ".x": case, key + ".dy": dy, key + ".y": y, key + ".dx": leaf.grad,
                    key + ".scale": scale, key + ".zero_point": zero_point,
                    key + ".codes": codes.int()})
    return out


g = golden.generator(SEED)
out = {}
for b in BITS:
    for case in (weights, lsq_cases, init_cases, log_cases):
        out.update(case(b, g))
for b in BITS:
    out.update(row_cases(b, g))
golden.write("fake_quant.safetensors", out, seed=SEED)
