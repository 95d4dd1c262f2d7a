"""Golden data of rounding: ridge correction, second-order rounding and bias correction of one layer.

The correction is solved in the form of the paper, with a column of ones; the rounding inverts the
moments of the columns that are left anew for each column."""
import numpy as np
import torch

import golden

SEED, ROWS, N, OUT, BITS, PENALTY, DAMPING = 90, 200, 100, 7, 4, 0.3, 0.01
QMIN, QMAX = -2 ** (BITS - 1), 2 ** (BITS - 1) - 1


def ridge(q, x, w, b, col):
    """W and b after the correction; the penalty acts on W diag(col), with inputs q / col."""
    q, v = q / col, w * col
    one = np.ones((len(q), 1))
    design = np.concatenate([q, one], 1)
    error = x @ w.T - (q @ v.T)
    gram = design.T @ design
    gram[np.arange(N), np.arange(N)] += PENALTY * np.mean(np.sum(q * q, 0))
    d = np.linalg.solve(gram, design.T @ error)
    return (v + d[:N].T) / col, b + d[N]


def gptq(q, w, scale, col):
    """Codes, and the least distance of a value from the threshold between two codes."""
    h = (q / col).T @ (q / col)
    order = np.argsort(-np.diag(h), kind="stable")
    h = h[np.ix_(order, order)] + DAMPING * np.mean(np.diag(h)) * np.eye(N)
    v = (w * col)[:, order].copy()
    codes = np.zeros_like(v)
    margin = 1.0
    for k in range(N):
        inv = np.linalg.inv(h[k:, k:])
        at = v[:, k] / scale
        margin = min(margin, np.min(np.abs(at - np.floor(at) - 0.5)))
        codes[:, k] = np.clip(np.round(at), QMIN, QMAX)
        e = (v[:, k] - codes[:, k] * scale) / inv[0, 0]
        v[:, k:] -= e[:, None] * inv[0][None, :]
    back = np.zeros_like(codes)
    back[:, order] = codes
    return back, margin


g = golden.generator(SEED)
mix = torch.randn(N, N, generator=g) / N ** 0.5 + torch.eye(N)
x = torch.randn(ROWS, N, generator=g) @ mix * (0.2 + torch.rand(N, generator=g)) + 0.3
q = torch.round(x / 0.4) * 0.4 + 0.05 * torch.randn(ROWS, N, generator=g)
q[:, 11] = 0  # a dead input
q[:, 12] = 0.4  # one that never changes
w = torch.randn(OUT, N, generator=g) / N ** 0.5
b = torch.randn(OUT, generator=g)
col = 0.5 + torch.rand(N, generator=g)
out = {"x": x, "q": q, "w": w, "b": b, "col": col}
for name in ("plain", "columns"):
    c = (col if name == "columns" else torch.ones(N)).double().numpy()
    args = [t.double().numpy() for t in (q, x, w, b)]
    corrected, bias = ridge(*args, c)
    top = np.abs(corrected * c).max(1)
    scale = (1.6 * top / (2 ** BITS - 1)).astype(np.float32)
    codes, margin = gptq(args[0], corrected, scale.astype(np.float64), c)
    if margin < 1e-5:
        raise ValueError(f"{name}: a value lies {margin} from a threshold, take another seed")
    rounded = codes * scale.astype(np.float64)[:, None] / c
    final = b.double().numpy() + np.mean(args[1] @ args[2].T - args[0] @ rounded.T, 0)
    print(name, margin, np.sum((args[1] @ args[2].T - args[0] @ args[2].T) ** 2))
    out.update({f"{name}.w": torch.from_numpy(corrected), f"{name}.b": torch.from_numpy(bias),
                f"{name}.scale": torch.from_numpy(scale),
                f"{name}.codes": torch.from_numpy(codes).int(),
                f"{name}.final": torch.from_numpy(final)})
golden.write("rounding.safetensors", out, seed=SEED, bits=BITS, penalty=PENALTY)
