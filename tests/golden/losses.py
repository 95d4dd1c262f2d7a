"""The losses of the golden data, written out from their formulas."""
import torch

C1, C2 = 0.01 ** 2, 0.03 ** 2


def inter_head(r, drop=1, absolute=False):
    """Inter-head distance of raw query-key products r [...,B,H,N,N]: mean of 1 - S^2 over images,
    queries and ordered head pairs (diagonal included), the first `drop` tokens left out.
    absolute: 1 - |S| instead. Leading dimensions are kept."""
    r = r[..., drop:, drop:]
    r = r - r.amin(-1, keepdim=True)
    a = r / (r.amax(-1, keepdim=True) + 1e-8)
    a = a.transpose(-2, -3)  # [...,B,q,H,k]
    mean = a.mean(-1)
    var = (a * a).mean(-1) - mean * mean
    mi, mj = mean[..., :, None], mean[..., None, :]
    cov = a @ a.transpose(-1, -2) / a.shape[-1] - mi * mj
    s = ((2 * mi * mj + C1) * (2 * cov + C2)
         / ((mi * mi + mj * mj + C1) * (var[..., :, None] + var[..., None, :] + C2)))
    return (1 - (s.abs() if absolute else s * s)).mean((-4, -3, -2, -1))


def head_ssim(t, s, drop=1):
    """Structural distance of teacher and student head outputs [...,B,H,N,d]: mean of 1 - S over
    images, heads and channels; statistics over tokens. Leading dimensions are kept."""
    t, s = t[..., drop:, :], s[..., drop:, :]
    t = t - t.mean(-2, keepdim=True)
    s = s - s.mean(-2, keepdim=True)
    cov, var_t, var_s = (t * s).mean(-2), (t * t).mean(-2), (s * s).mean(-2)
    return (1 - (2 * cov + C2) / (var_t + var_s + C2)).mean((-3, -2, -1))


def kd_kl(zt, zs, temperature=5.0):
    """T^2 times the mean over the batch of KL(softmax(zt / T) || softmax(zs / T))."""
    lt, ls = (zt / temperature).log_softmax(-1), (zs / temperature).log_softmax(-1)
    return temperature ** 2 * (lt.exp() * (lt - ls)).sum(-1).mean()


def patch_entropy(av, width=0.01, points=10):
    """Patch similarity entropy of attention outputs [B,H,N,d], class token left out: entropy of a
    Gaussian density of the cosine similarities, at points between their extremes (constants)."""
    a = av.mean(1)[:, 1:]
    a = a / a.norm(dim=-1, keepdim=True).clamp_min(1e-8)
    s = (a @ a.transpose(-1, -2)).flatten(1)
    x = s.min().item() + (s.max() - s.min()).item() * torch.arange(points, dtype=s.dtype) / (points - 1)
    z = (x - s[..., None]) / width
    p = (-z * z / 2).exp().mean(1) / (width * (2 * torch.pi) ** 0.5) + 1e-4
    return torch.trapz(-p * p.log(), x).mean()


def total_variation(x, diagonal=2 ** -0.5):
    """Four Frobenius norms of neighbour differences over the whole batch."""
    def norm(d):
        return d.square().sum().sqrt()

    return (norm(x[..., :-1] - x[..., 1:]) + norm(x[..., :-1, :] - x[..., 1:, :])
            + (norm(x[..., 1:, :-1] - x[..., :-1, 1:])
               + norm(x[..., :-1, :-1] - x[..., 1:, 1:])) * diagonal)
