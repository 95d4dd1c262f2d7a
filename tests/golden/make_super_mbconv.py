"""Golden data of a supernet of MBConv cells: two paths, and three steps that share weights."""
import torch
import torch.nn.functional as F

import golden

SEED = 140
IMAGE, CLASSES, STEM, FIRST, HEAD, EPS = 8, 3, 4, 4, 8, 1e-3
STAGES = ((4, 2, 1), (6, 2, 2))    # width, cells, stride of the first
CHOICES = ((3, 2), (5, 3))         # kernel, expansion; the one behind them leaves the cell out
PATHS = ((1, 2, 0, 1), (0, 1, 1, 0))
STEPS = (1, 0, 1)                  # path of each step
RATE, TOTAL, DECAY, MOMENTUM, SMOOTHING, TRACK = 0.05, 10, 0.01, 0.9, 0.1, 0.1


def mbconv(cell, choice, inner, outer, stride, kernel, expand):
    """(cell, choice, in, out, kernel, stride, groups, relu6, is its cell's last)"""
    mid = inner * expand
    first = [(cell, choice, inner, mid, 1, 1, 1, True, False)] if expand > 1 else []
    return first + [(cell, choice, mid, mid, kernel, stride, mid, True, False),
                    (cell, choice, mid, outer, 1, 1, 1, False, True)]


def layers():
    """All convolutions in the order of use, and which cells have a shortcut."""
    out = [(-1, -1, 3, STEM, 3, 1, 1, True, False)] + mbconv(-1, -1, STEM, FIRST, 1, 3, 1)
    inner, cell, shortcut = FIRST, 0, []
    for width, cells, first in STAGES:
        for k in range(cells):
            stride = 1 if k else first
            shortcut.append(stride == 1 and inner == width)
            for n, (kernel, expand) in enumerate(CHOICES):
                out += mbconv(cell, n, inner, width, stride, kernel, expand)
            inner, cell = width, cell + 1
    return out + [(-1, -1, inner, HEAD, 1, 1, 1, True, False)], shortcut


LAYERS, SHORTCUT = layers()


def make_weights():
    g, out = golden.generator(SEED), {}
    for i, (_, _, inner, outer, kernel, _, groups, _, _) in enumerate(LAYERS):
        fan = inner // groups * kernel ** 2
        out[i, 0] = torch.randn((outer, inner // groups, kernel, kernel), generator=g) / fan ** 0.5
        out[i, 1] = 1 + 0.2 * torch.randn(outer, generator=g)
        out[i, 2] = 0.2 * torch.randn(outer, generator=g)
        out[i, 3], out[i, 4] = torch.zeros(outer), torch.ones(outer)
    i = len(LAYERS)
    out[i, 0] = torch.randn((CLASSES, HEAD), generator=g) / HEAD ** 0.5
    out[i, 1] = 0.2 * torch.randn(CLASSES, generator=g)
    return out


def take(weights, path):
    """Leaves of what is trained on a path."""
    on = [i for i, l in enumerate(LAYERS) if l[0] < 0 or path[l[0]] == l[1]] + [len(LAYERS)]
    return {(i, k): weights[i, k].detach().clone().requires_grad_(True)
            for i in on for k in range(3) if (i, k) in weights}


def forward(w, path, x, gates=None, running=None):
    """Batch statistics; what they make of the running ones goes to `running`."""
    start, cell = x, -1
    for i, (c, _, _, _, kernel, stride, groups, relu, last) in enumerate(LAYERS):
        if (i, 0) not in w:
            continue
        if c >= 0 and c != cell:
            start, cell = x, c
        x = F.conv2d(x, w[i, 0], stride=stride, padding=kernel // 2, groups=groups)
        mean, var = (running[i, 3], running[i, 4]) if running is not None else (None, None)
        x = F.batch_norm(x, mean, var, w[i, 1], w[i, 2], True, TRACK, EPS)
        x = x.clamp(0, 6) if relu else x
        if c >= 0 and last:
            x = x if gates is None else gates[c] * x
            x = x + start if SHORTCUT[c] else x
    return F.linear(x.mean((2, 3)), w[len(LAYERS), 0], w[len(LAYERS), 1])


def loss_of(logits, targets):
    return -(targets * logits.log_softmax(-1)).sum(-1).mean()


def sgd(weights, velocity, grads, rate):
    """Nesterov; only what is on the path moves."""
    for (i, k), g in grads.items():
        w = weights[i, k]
        v = velocity[i, k] = MOMENTUM * velocity[i, k] + g if (i, k) in velocity else g.clone()
        if k == 0:
            w.mul_(1 - rate * DECAY)
        w.sub_(rate * (g + MOMENTUM * v))


def run(dtype):
    out, weights = {}, golden.cast(make_weights(), dtype)
    g = golden.generator(SEED + 1)
    x = torch.randn((4, 3, IMAGE, IMAGE), generator=g)
    targets = torch.rand((4, CLASSES), generator=g).softmax(-1)
    out.update({"x": x, "targets": targets,
                **{f"w.{i}.{k}": v.clone() for (i, k), v in weights.items()}})
    x, targets = x.to(dtype), targets.to(dtype)
    for n, path in enumerate(PATHS):
        w, gates = take(weights, path), torch.ones(len(path), dtype=dtype, requires_grad=True)
        logits = forward(w, path, x, gates)
        loss = loss_of(logits, targets)
        loss.backward()
        # What shifts a projection is taken away again by the next norm: its gradient is rounding's.
        out.update({f"{n}.logits": logits, f"{n}.loss": loss, f"{n}.gates": gates.grad,
                    **{f"{n}.grad.{i}.{k}": v.grad for (i, k), v in w.items()
                       if k < 2 or LAYERS[i][7]}})
    velocity = {}
    label = torch.full((1, CLASSES), SMOOTHING / CLASSES, dtype=dtype)
    label[0, 0] += 1 - SMOOTHING
    for t, n in enumerate(STEPS):
        w = take(weights, PATHS[n])
        same = x[:1].repeat(4, 1, 1, 1)
        loss = loss_of(forward(w, PATHS[n], same, running=weights), label)
        loss.backward()
        rate = RATE * (1 + torch.cos(torch.tensor(torch.pi * t / TOTAL, dtype=dtype))) / 2
        sgd(weights, velocity, {key: p.grad for key, p in w.items()}, rate)
        out[f"step{t}.loss"] = loss
    out.update({f"after.{i}.{k}": w for (i, k), w in weights.items()})
    return out


exact, rough = run(torch.float64), run(torch.float32)
for prefix in ("0.grad", "1.grad", "0.", "1.", "step", "after"):
    print("float32 to float64: %s %.1e" % (prefix, max(
        golden.far(rough[k], exact[k]) for k in exact if k.startswith(prefix))))
golden.write("super_mbconv.safetensors", exact, seed=SEED)
