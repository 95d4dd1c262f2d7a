"""Golden data of a supernet of vision transformers: two paths, and three steps that share weights."""
import torch
import torch.nn.functional as F

import golden

SEED = 120
IMAGE, PATCH, TOKENS, HEAD, CLASSES, STAGES, BLOCKS = 8, 4, 6, 3, 3, 2, 2
WIDTHS, DEPTHS, HEADS, RATIOS = (4, 7), (1, 2), (1, 2), (1, 2)
PATHS = ((15, 2), (4, 11))  # choices of both stages
STEPS = (1, 0, 1)           # path of each step
RATE, DECAY, SMOOTHING = 0.01, 0.05, 0.1
NORM, PRODUCT, POSITIONS = range(3)
PER_STAGE = 3 + 6 * BLOCKS


def choice(k):
    """(width, depth, heads, ratio): ratios count fastest."""
    return WIDTHS[k // 8], DEPTHS[k // 4 % 2], HEADS[k // 2 % 2], RATIOS[k % 2]


def stage_layers(width, depth, heads, ratio):
    """(kind, rows, columns, groups of rows)"""
    a = heads * HEAD
    block = [(NORM, width, 1, 1), (PRODUCT, 3 * a, width, 3), (PRODUCT, width, a, 1),
             (NORM, width, 1, 1), (PRODUCT, ratio * width, width, 1),
             (PRODUCT, width, ratio * width, 1)]
    return ([(NORM, TOKENS, 1, 1), (PRODUCT, width, TOKENS, 1)] + block * depth
            + [None] * 6 * (BLOCKS - depth) + [(PRODUCT, TOKENS, width, 1)])


def layers(choices):
    """Extents of all layers for choices of the stages; None: not on the path."""
    out = [(PRODUCT, TOKENS, 3 * PATCH * PATCH, 1), (POSITIONS, (IMAGE // PATCH) ** 2, TOKENS, 1)]
    for c in choices:
        out += stage_layers(*c)
    return out + [(NORM, TOKENS, 1, 1), (PRODUCT, CLASSES, TOKENS, 1)]


LARGEST = layers([(WIDTHS[-1], DEPTHS[-1], HEADS[-1], RATIOS[-1])] * STAGES)


def make_weights():
    g, out = golden.generator(SEED), {}
    for i, (kind, rows, cols, _) in enumerate(LARGEST):
        w = torch.randn((rows, cols), generator=g)
        if kind == NORM:
            out[i, 0] = 1 + 0.2 * w[:, 0]
        else:
            out[i, 0] = w / cols ** 0.5
        if kind != POSITIONS:
            out[i, 1] = 0.2 * torch.randn(rows, generator=g)
    return out


def view(w, layer):
    """What a path uses of a tensor: the leading part of each group of rows, the leading columns."""
    _, rows, cols, groups = layer
    v = w.view(groups, w.shape[0] // groups, *w.shape[1:])[:, :rows // groups]
    return v[:, :, :cols] if w.dim() == 2 else v


def take(weights, path):
    """{(layer, tensor): leaf}, compact, of a path."""
    out = {}
    for i, layer in enumerate(layers([choice(k) for k in path])):
        for k in range(2):
            if layer and (i, k) in weights:
                v = view(weights[i, k], layer)
                out[i, k] = v.reshape(-1, *v.shape[2:]).detach().clone().requires_grad_(True)
    return out


def forward(w, path, x, gates=None):
    def norm(i, y):
        return F.layer_norm(y, y.shape[-1:], w[i, 0], w[i, 1], 1e-6)

    def linear(i, y):
        return F.linear(y, w[i, 0], w[i, 1])

    b, side = x.shape[0], IMAGE // PATCH
    x = x.view(b, 3, side, PATCH, side, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(b, side ** 2, -1)
    x = linear(0, x) + w[1, 0]
    for s, k in enumerate(path):
        _, depth, heads, _ = choice(k)
        i = 2 + PER_STAGE * s
        y = linear(i + 1, norm(i, x))
        for j in range(i + 2, i + 2 + 6 * depth, 6):
            q, k, v = (t.view(b, -1, heads, HEAD).transpose(1, 2)
                       for t in linear(j + 1, norm(j, y)).chunk(3, -1))
            a = (q @ k.transpose(-1, -2) / HEAD ** 0.5).softmax(-1) @ v
            y = y + linear(j + 2, a.transpose(1, 2).reshape(b, side ** 2, -1))
            y = y + linear(j + 5, F.gelu(linear(j + 4, norm(j + 3, y))))
        y = linear(i + PER_STAGE - 1, y)
        x = x + (y if gates is None else gates[s] * y)
    i = len(LARGEST) - 2
    return linear(i + 1, norm(i, x).mean(1))


def loss_of(logits, targets):
    return -(targets * logits.log_softmax(-1)).sum(-1).mean()


def adamw(weights, m, v, grads, path, t, rate):
    """Only what is on the path moves, and its moments; steps of all paths are counted."""
    for i, layer in enumerate(layers([choice(k) for k in path])):
        for k in range(2):
            if (i, k) not in grads:
                continue
            w, m1, m2 = (view(d[i, k], layer) for d in (weights, m, v))
            g = grads[i, k].view(w.shape)
            m1.mul_(0.9).add_(g, alpha=0.1)
            m2.mul_(0.999).addcmul_(g, g, value=0.001)
            if layer[0] == PRODUCT and k == 0:
                w.mul_(1 - rate * DECAY)
            w.sub_(rate * (m1 / (1 - 0.9 ** t)) / ((m2 / (1 - 0.999 ** t)).sqrt() + 1e-8))


def run(dtype):
    out, weights = {}, golden.cast(make_weights(), dtype)
    g = golden.generator(SEED + 1)
    x = torch.randn((4, 3, IMAGE, IMAGE), generator=g)
    targets = torch.rand((4, CLASSES), generator=g).softmax(-1)
    out.update({"x": x, "targets": targets,
                **{f"w.{i}.{k}": v.clone() for (i, k), v in weights.items()}})
    x, targets = x.to(dtype), targets.to(dtype)
    for n, path in enumerate(PATHS):
        w, gates = take(weights, path), torch.ones(STAGES, dtype=dtype, requires_grad=True)
        logits = forward(w, path, x, gates)
        loss = loss_of(logits, targets)
        loss.backward()
        out.update({f"{n}.logits": logits, f"{n}.loss": loss, f"{n}.gates": gates.grad,
                    **{f"{n}.grad.{i}.{k}": v.grad for (i, k), v in w.items()}})
    m, v = ({key: torch.zeros_like(w) for key, w in weights.items()} for _ in range(2))
    label = torch.full((1, CLASSES), SMOOTHING / CLASSES, dtype=dtype)
    label[0, 0] += 1 - SMOOTHING
    for t, n in enumerate(STEPS):
        w = take(weights, PATHS[n])
        loss = loss_of(forward(w, PATHS[n], x[:1]), label)
        loss.backward()
        rate = RATE * min(1, (t + 1) / 2)  # two steps of warm-up, and the top of the cosine
        adamw(weights, m, v, {key: p.grad for key, p in w.items()}, PATHS[n], t + 1, rate)
        out[f"step{t}.loss"] = loss
    # Keys' biases have no gradient but rounding's, which Adam makes as large as any.
    out.update({f"after.{i}.{k}": torch.cat((w[:len(w) // 3], w[2 * len(w) // 3:]))
                if LARGEST[i][3] == 3 and k == 1 else w for (i, k), w in weights.items()})
    return out


exact, rough = run(torch.float64), run(torch.float32)
for prefix in ("0.grad", "1.grad", "0.", "1.", "step", "after"):
    print("float32 to float64: %s %.1e" % (prefix, max(
        golden.far(rough[k], exact[k]) for k in exact if k.startswith(prefix))))
golden.write("super_vit.safetensors", exact, seed=SEED)
