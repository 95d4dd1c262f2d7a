"""Fake quantizers of the golden data: min-max weights, LSQ activations, logarithmic softmax."""
import torch


def tie_distance(v):
    """Smallest distance of v to a rounding tie, in code units."""
    return float(((v - v.floor()) - 0.5).abs().min())


def round_ste(v, to):
    """`to` in the forward pass, the gradient goes to v unchanged."""
    class Ste(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return to

        @staticmethod
        def backward(ctx, grad):
            return grad

    return Ste.apply(v)


def weight_codes(w, bits):
    """(scale [rows], codes like w) of a min-max grid per row. Always in float32, so that a row's
    scale and codes are the same numbers whatever precision the rest runs in."""
    rows = w.detach().float().flatten(1)
    scale = (2 * rows.abs().amax(1)).clamp_min(1e-8) / (2 ** bits - 1)
    codes = (rows / scale[:, None]).round().clamp(-2 ** (bits - 1), 2 ** (bits - 1) - 1)
    return scale, codes.reshape(w.shape)


def weight(w, bits):
    """Fake-quantized weight; the gradient passes everywhere."""
    scale, codes = weight_codes(w, bits)
    to = codes.to(w.dtype) * scale.to(w.dtype).reshape(-1, *(1,) * (w.dim() - 1))
    return round_ste(w, to)


class LsqFunction(torch.autograd.Function):
    """LSQ with a learned zero point; scale's gradient is multiplied by g, zero_point's is not.
    scale and zero_point have one entry, or one per column of x."""

    @staticmethod
    def forward(ctx, x, scale, zero_point, qmin, qmax, g):
        zr = zero_point.round()
        v = x / scale + zr
        q = ((x / scale).round() + zr).clamp(qmin, qmax)
        inside = (v >= qmin) & (v <= qmax)
        dscale = q - zr - torch.where(inside, x / scale, torch.zeros_like(x))
        ctx.save_for_backward(inside, dscale, scale)
        ctx.g = g
        return (q - zr) * scale

    @staticmethod
    def backward(ctx, grad):
        inside, dscale, scale = ctx.saved_tensors

        def collect(t):
            return t.sum() if scale.numel() == 1 else t.flatten(0, -2).sum(0)

        dx = torch.where(inside, grad, torch.zeros_like(grad))
        da = collect(grad * dscale).reshape(scale.shape) * ctx.g
        dz = collect(-(grad - dx) * scale).reshape(scale.shape)
        return dx, da, dz, None, None, None


def lsq_init(x, bits):
    """(scale [1], zero_point [1], qmin, qmax, g) from the first batch seen."""
    x = x.detach()
    signed = bool(x.min() < 1e-5)
    qmin, qmax = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
    scale = 2 * x.abs().mean() / qmax ** 0.5
    zero_point = 0.1 * (x.min() - scale * qmax)
    return scale.reshape(1), zero_point.reshape(1), qmin, qmax, 1 / (x.numel() * qmax) ** 0.5


def row_grid(x, bits, signed):
    """(scale [rows,1], zero_point [rows,1], codes like x) of a grid for each row, from the row: from
    its smallest to its largest value with 0 among them, or symmetric. In float32."""
    x = x.detach().float()
    lo, hi = x.amin(-1, keepdim=True).clamp_max(0), x.amax(-1, keepdim=True).clamp_min(0)
    qmax = 2 ** (bits - 1) - 1 if signed else 2 ** bits - 1
    scale = (torch.maximum(-lo, hi) if signed else hi - lo) / qmax
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero_point = torch.zeros_like(scale) if signed else (-lo / scale).round()
    codes = ((x / scale).round() + zero_point).clamp(-qmax if signed else 0, qmax)
    return scale, zero_point, codes


def row(x, bits, signed):
    """Fake-quantized rows. The error of rounding in codes is a constant for autograd, so the gradient
    passes through the rounding, and through the scale to the row's extremes."""
    _, zero_point, codes = row_grid(x, bits, signed)
    lo, hi = x.amin(-1, keepdim=True).clamp_max(0), x.amax(-1, keepdim=True).clamp_min(0)
    qmax = 2 ** (bits - 1) - 1 if signed else 2 ** bits - 1
    scale = (torch.maximum(-lo, hi) if signed else hi - lo) / qmax
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    error = (codes.to(x.dtype) - zero_point.to(x.dtype) - x / scale).detach()
    return x + scale * error


def log_sqrt2(x, top, bits):
    """2^bits - 1 powers of 2^(1/2) from `top` down; what is too small becomes 0, the last value."""
    q = (-2 * (x / top).log2()).round().clamp_min(0)
    return torch.where(q > 2 ** bits - 2, torch.zeros_like(x), top * 2 ** (-q / 2))


class Student:
    """The quantizers of one network, for vit.forward: weights min-max, activations LSQ per tensor.
    Each activation's scale and zero_point are initialised by the first batch that reaches it. `ties` and
    `borders` collect how near values came to a rounding tie or to the edge of the grid."""

    def __init__(self, bits_w, bits_a):
        self.bits_w, self.bits_a = bits_w, bits_a
        self.scale, self.zero_point, self.grid = {}, {}, {}
        self.weight_ties, self.ties, self.borders = 1.0, 1.0, 1.0

    def weight(self, name, w):
        scale, _ = weight_codes(w, self.bits_w)
        rows = w.detach().double().flatten(1) / scale[:, None]
        rows.scatter_(1, rows.abs().argmax(1, keepdim=True), 0.0)  # sits on a tie by construction
        self.weight_ties = min(self.weight_ties, tie_distance(rows))
        return weight(w, self.bits_w)

    def act(self, name, x):
        if name not in self.scale:
            scale, zero_point, qmin, qmax, g = lsq_init(x, self.bits_a)
            self.scale[name] = scale.requires_grad_()
            self.zero_point[name] = zero_point.requires_grad_()
            self.grid[name] = (qmin, qmax, g)
        scale, zero_point, (qmin, qmax, g) = self.scale[name], self.zero_point[name], self.grid[name]
        v = (x / scale + zero_point.round()).detach().double()
        self.ties = min(self.ties, tie_distance(v.clamp(qmin, qmax)), tie_distance(zero_point.detach()))
        self.borders = min(self.borders, float((v - qmin).abs().min()), float((v - qmax).abs().min()))
        return LsqFunction.apply(x, scale, zero_point, qmin, qmax, g)
