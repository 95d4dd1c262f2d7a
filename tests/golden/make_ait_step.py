"""Golden data of AIT on a small ResNet: two batches set the ranges of activations, then the
student takes two steps by KL at T = 20, with inundated weights."""
import math

import torch
import torch.nn.functional as F

import golden

SEED, BITS, BATCH, CLASSES, SIDE, WIDTH = 95, 4, 8, 4, 8, 8
RATE, RHO, T, STEPS = 1e-2, 0.02, 20.0, 2
HALF = 2 ** (BITS - 1)
# name, filters, channels, kernel, stride; of each unit two convolutions
CONVS = [("conv1", WIDTH, 3, 1), ("layer1.0.conv1", WIDTH, WIDTH, 1),
         ("layer1.0.conv2", WIDTH, WIDTH, 1), ("layer2.0.conv1", 2 * WIDTH, WIDTH, 2),
         ("layer2.0.conv2", 2 * WIDTH, 2 * WIDTH, 1)]
SITES = ["conv1.relu", "layer1.0.conv1.relu", "layer1.0.relu", "layer2.0.conv1.relu",
         "layer2.0.relu"]


def bn_of(conv):
    return conv.replace("conv", "bn")


def parameters(g):
    w = {}
    for name, out, channels, _ in CONVS:
        w[name + ".weight"] = torch.randn(out, channels, 3, 3, generator=g) * math.sqrt(
            2 / (9 * channels))
        bn = bn_of(name)
        w[bn + ".weight"] = 1 + 0.2 * torch.randn(out, generator=g)
        w[bn + ".bias"] = 0.2 * torch.randn(out, generator=g)
        w[bn + ".running_mean"] = 0.2 * torch.randn(out, generator=g)
        w[bn + ".running_var"] = 0.5 + torch.rand(out, generator=g)
    w["linear.weight"] = 0.5 * torch.randn(CLASSES, 2 * WIDTH, generator=g)
    w["linear.bias"] = 0.2 * torch.randn(CLASSES, generator=g)
    return w


def codes_of(x, low, high):
    """Codes, step and z of AIT's quantizer, ranges broadcast; divided by the step, as ONNX."""
    s = (high - low).clamp_min(1e-8) / (2 * HALF - 1)
    z = torch.round(low / s) + HALF
    return torch.round(x / s - z).clamp(-HALF, HALF - 1), s, z


def weight_codes(w):
    rows = w.detach().flatten(1)
    return codes_of(rows, rows.amin(1, keepdim=True), rows.amax(1, keepdim=True))


def straight(x, value):
    return x + (value - x).detach()


class Float:
    def weight(self, w):
        return w

    def relu(self, name, x):
        return F.relu(x)


class Quantized:
    """ranges: {site: (low, high)}; while `follow` they take in what passes."""

    def __init__(self):
        self.ranges, self.follow = {}, True

    def weight(self, w):
        q, s, z = weight_codes(w)
        return straight(w, ((q + z) * s).reshape(w.shape))

    def relu(self, name, x):
        x = F.relu(x)
        if self.follow:
            now = (x.detach().min(), x.detach().max())
            old = self.ranges.get(name)
            self.ranges[name] = now if old is None else tuple(
                0.9 * o + 0.1 * n for o, n in zip(old, now))
        q, s, z = codes_of(x.detach(), *self.ranges[name])
        return straight(x, (q + z) * s)


def forward(w, x, mode):
    def conv(i, x):
        name, _, _, stride = CONVS[i]
        bn = bn_of(name)
        x = F.conv2d(x, mode.weight(w[name + ".weight"]), stride=stride, padding=1)
        return F.batch_norm(x, w[bn + ".running_mean"], w[bn + ".running_var"], w[bn + ".weight"],
                            w[bn + ".bias"], False, 0.0, 1e-5)

    x = mode.relu(SITES[0], conv(0, x))
    x = mode.relu(SITES[2], x + conv(2, mode.relu(SITES[1], conv(1, x))))
    y = conv(4, mode.relu(SITES[3], conv(3, x)))
    x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, WIDTH // 2, WIDTH // 2))
    x = mode.relu(SITES[4], x + y).mean((2, 3))
    return F.linear(x, mode.weight(w["linear.weight"]), w["linear.bias"])


def find(p, d):
    """kappa of gradient inundation (AIT) and the codes that change."""
    before, aim = weight_codes(p)[0], RHO * p.numel()
    count = lambda k: int((weight_codes(p - k * RATE * d)[0] != before).sum())
    n = count(1)
    if n >= math.ceil(aim):
        return 1.0, n
    k = 2.0
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


def step(w, velocity, x, target, mode):
    names = [n for n in w if not n.endswith(("mean", "var"))]
    leaves = {n: w[n].detach().requires_grad_() for n in names}
    z = forward({**w, **leaves}, x, mode)
    p, q = F.log_softmax(target / T, 1), F.log_softmax(z / T, 1)
    loss = T * T * (p.exp() * (p - q)).sum() / (BATCH * CLASSES)
    loss.backward()
    out, kappa = {"loss": loss.detach().reshape(1), "z": z.detach()}, []
    for n in names:
        g = leaves[n].grad
        out["grad." + n] = g
        velocity[n] = g if n not in velocity else 0.9 * velocity[n] + g
        d, k = g + 0.9 * velocity[n], 1.0
        if w[n].dim() > 1:
            k, changed = find(w[n], d)
            kappa.append((k, changed))
        w[n] = w[n] - k * RATE * d
        out["param." + n] = w[n]
    out["kappa"] = torch.tensor(kappa)
    return out


def run(dtype):
    g = golden.generator(SEED)
    w = {n: t.to(dtype) for n, t in parameters(g).items()}
    x = torch.randn(3 * BATCH, 3, SIDE, SIDE, generator=g)
    out = {"x": x, **{"before." + n: t for n, t in w.items()}}
    mode, velocity, teacher = Quantized(), {}, dict(w)
    x = x.to(dtype)
    with torch.no_grad():
        for i in range(2):
            forward(w, x[i * BATCH:(i + 1) * BATCH], mode)
    out["ranges"] = torch.stack([torch.stack(mode.ranges[s]) for s in SITES])
    mode.follow = False
    last = x[2 * BATCH:]
    target = forward(teacher, last, Float()).detach()
    out["target"] = target
    for i in range(STEPS):
        out.update({f"step{i + 1}.{n}": t for n, t in step(w, velocity, last, target, mode).items()})
    return out


want, single = run(torch.float64), run(torch.float32)
for i in range(STEPS):
    key = f"step{i + 1}.kappa"
    if not torch.equal(want[key].double(), single[key].double()):
        raise ValueError(f"{key}: float32 counts otherwise, take another seed")
    print(key, want[key].tolist(), "loss", float(want[f"step{i + 1}.loss"]))
print("float32 is off by", max(golden.far(single[n], want[n]) for n in want if n != "x"))
golden.write("ait.safetensors", want, seed=SEED, rate=RATE, rho=RHO)
