"""Golden data of gradient inundation: three steps of three optimisers on three kinds of codes."""
import math

import torch

import golden

SEED, BITS, STEPS, RATE, RHO = 80, 4, 3, 1e-4, 0.05
SHAPE = (6, 20)
HALF = 2 ** (BITS - 1)


def codes(w, kind, scale, col):
    """Ranges are those of w itself, unless the steps are learned."""
    if kind == "range":
        low, high = w.amin(1, keepdim=True), w.amax(1, keepdim=True)
        s = (high - low).clamp_min(1e-8) / (2 * HALF - 1)
        q = torch.round(w / s - (torch.round(low / s) + HALF))
    elif kind == "symmetric":
        q = torch.round(w / ((2 * w.abs().amax(1, keepdim=True)).clamp_min(1e-8) / (2 * HALF - 1)))
    else:
        q = torch.round(w * col / scale[:, None])
    return q.clamp(-HALF, HALF - 1)


def direction(name, opt, p, t):
    """What the optimiser is going to subtract, divided by its rate."""
    g, s = p.grad, opt.state[p]
    if name == "sgd":
        m = 0.9 * s["momentum_buffer"] + g if "momentum_buffer" in s else g
        return g + 0.9 * m
    v = s.get("exp_avg_sq", s.get("square_avg", torch.zeros_like(g)))
    if name == "rmsprop":
        return g / ((0.99 * v + 0.01 * g * g).sqrt() + 1e-8)
    m = 0.9 * s.get("exp_avg", torch.zeros_like(g)) + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    return m / (1 - 0.9 ** t) / ((v / (1 - 0.999 ** t)).sqrt() + 1e-8)


def find(p, d, of):
    """kappa and the codes that change, as in AIT's code."""
    before = of(p)
    aim = RHO * p.numel()
    count = lambda k: int((of(p - k * RATE * d) != before).sum())
    n = count(1)
    if n >= math.ceil(aim):
        return 1, n
    k = 2
    while count(k) < math.ceil(aim):
        k *= 2
    low, high = k / 2, k
    for _ in range(5):
        k = (low + high) / 2
        n = count(k)
        if abs(n - aim) < aim / 100:
            break
        low, high = (k, high) if n < math.ceil(aim) else (low, k)
    return k, n


def run(name, kind, w, grads, scale, col, dtype):
    p = golden.leaf(w, dtype)
    opt = {"sgd": lambda: torch.optim.SGD([p], lr=RATE, momentum=0.9, nesterov=True),
           "adam": lambda: torch.optim.Adam([p], lr=RATE),
           "rmsprop": lambda: torch.optim.RMSprop([p], lr=RATE, alpha=0.99)}[name]()
    of = lambda v: codes(v, kind, scale.to(dtype), col.to(dtype))
    rows, after = [], []
    for t in range(STEPS):
        p.grad = grads[t].to(dtype)
        with torch.no_grad():
            k, n = find(p.detach(), direction(name, opt, p, t + 1), of)
        opt.param_groups[0]["lr"] = RATE * k
        opt.step()
        rows.append((k, n))
        after.append(p.detach().clone())
    return torch.tensor(rows), torch.stack(after)


g = golden.generator(SEED)
w = 0.1 * torch.randn(SHAPE, generator=g)
top = w.gather(1, w.abs().argmax(1, keepdim=True))
w *= top.sign()  # a negative extreme lies on a tie of the symmetric grid
scale = 0.02 + 0.01 * torch.rand(SHAPE[0], generator=g)
col = 0.5 + torch.rand(SHAPE[1], generator=g)
grads = 1e-3 * torch.randn((STEPS,) + SHAPE, generator=g)
out = {"w": w, "grads": grads, "scale": scale, "col": col}
for name in ("sgd", "adam", "rmsprop"):
    for kind in ("range", "symmetric", "learned"):
        rows, after = run(name, kind, w, grads, scale, col, torch.float64)
        rows32, after32 = run(name, kind, w, grads, scale, col, torch.float32)
        if not torch.equal(rows, rows32.to(rows.dtype)):
            raise ValueError(f"{name}, {kind}: float32 counts otherwise, take another seed")
        print(name, kind, [(float(k), int(n)) for k, n in rows], golden.far(after32, after))
        out.update({f"{name}.{kind}.kappa": rows[:, 0].double(),
                    f"{name}.{kind}.changed": rows[:, 1].int(), f"{name}.{kind}.w": after})
golden.write("inundation.safetensors", out, seed=SEED, bits=BITS, rate=RATE, rho=RHO)
