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
    """(step [rows], codes like w) of a min-max grid per row. Always in float32, so that a row's
    step and codes are the same numbers whatever precision the rest runs in."""
    rows = w.detach().float().flatten(1)
    step = (2 * rows.abs().amax(1)).clamp_min(1e-8) / (2 ** bits - 1)
    codes = (rows / step[:, None]).round().clamp(-2 ** (bits - 1), 2 ** (bits - 1) - 1)
    return step, codes.reshape(w.shape)


def weight(w, bits):
    """Fake-quantized weight; the gradient passes everywhere."""
    step, codes = weight_codes(w, bits)
    to = codes.to(w.dtype) * step.to(w.dtype).reshape(-1, *(1,) * (w.dim() - 1))
    return round_ste(w, to)


class LsqFunction(torch.autograd.Function):
    """LSQ with a learned zero point; alpha's gradient is multiplied by g, zero's is not.
    alpha and zero have one entry, or one per column of x."""

    @staticmethod
    def forward(ctx, x, alpha, zero, lo, hi, g):
        zr = zero.round()
        v = x / alpha + zr
        q = v.clamp(lo, hi).round()
        inside = (v >= lo) & (v <= hi)
        dalpha = q - zr - torch.where(inside, x / alpha, torch.zeros_like(x))
        ctx.save_for_backward(inside, dalpha, alpha)
        ctx.g = g
        return (q - zr) * alpha

    @staticmethod
    def backward(ctx, grad):
        inside, dalpha, alpha = ctx.saved_tensors

        def collect(t):
            return t.sum() if alpha.numel() == 1 else t.flatten(0, -2).sum(0)

        dx = torch.where(inside, grad, torch.zeros_like(grad))
        da = collect(grad * dalpha).reshape(alpha.shape) * ctx.g
        dz = collect(-(grad - dx) * alpha).reshape(alpha.shape)
        return dx, da, dz, None, None, None


def lsq_init(x, bits):
    """(alpha [1], zero [1], lo, hi, g) from the first batch seen."""
    x = x.detach()
    signed = bool(x.min() < 1e-5)
    lo, hi = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
    alpha = 2 * x.abs().mean() / hi ** 0.5
    zero = 0.1 * (x.min() - alpha * hi)
    return alpha.reshape(1), zero.reshape(1), lo, hi, 1 / (x.numel() * hi) ** 0.5


def log_sqrt2(x, top, bits):
    """2^bits - 1 powers of 2^(1/2) from `top` down; what is too small becomes 0, the last value."""
    q = (-2 * (x / top).log2()).round().clamp_min(0)
    return torch.where(q > 2 ** bits - 2, torch.zeros_like(x), top * 2 ** (-q / 2))


class Student:
    """The quantizers of one network, for vit.forward: weights min-max, activations LSQ per tensor.
    Each activation's alpha and zero are initialised by the first batch that reaches it. `ties` and
    `borders` collect how near values came to a rounding tie or to the edge of the grid."""

    def __init__(self, bits_w, bits_a):
        self.bits_w, self.bits_a = bits_w, bits_a
        self.alpha, self.zero, self.grid = {}, {}, {}
        self.weight_ties, self.ties, self.borders = 1.0, 1.0, 1.0

    def weight(self, name, w):
        step, _ = weight_codes(w, self.bits_w)
        rows = w.detach().double().flatten(1) / step[:, None]
        rows.scatter_(1, rows.abs().argmax(1, keepdim=True), 0.0)  # sits on a tie by construction
        self.weight_ties = min(self.weight_ties, tie_distance(rows))
        return weight(w, self.bits_w)

    def act(self, name, x):
        if name not in self.alpha:
            alpha, zero, lo, hi, g = lsq_init(x, self.bits_a)
            self.alpha[name] = alpha.requires_grad_()
            self.zero[name] = zero.requires_grad_()
            self.grid[name] = (lo, hi, g)
        alpha, zero, (lo, hi, g) = self.alpha[name], self.zero[name], self.grid[name]
        v = (x / alpha + zero.round()).detach().double()
        self.ties = min(self.ties, tie_distance(v.clamp(lo, hi)), tie_distance(zero.detach()))
        self.borders = min(self.borders, float((v - lo).abs().min()), float((v - hi).abs().min()))
        return LsqFunction.apply(x, alpha, zero, lo, hi, g)
