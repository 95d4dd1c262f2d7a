#!/usr/bin/env python3
"""What PyTorch reaches on zero-shot quantization of ResNet-20: the iteration that bench_ait times.

GDFQ's generator makes a batch and is trained against the float network (cross-entropy and BatchNorm
statistics, Adam); the W4A4 student (weights per channel from smallest to largest, fixed ranges behind
each ReLU, straight-through gradients) learns by KL, its weights by gradient inundation, the rest by SGD.
Random weights: they do not change the work. Prints one JSON line; skips, saying so, without PyTorch.
"""
import argparse
import json
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True
p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
p.add_argument("--batch", type=int, default=200)
p.add_argument("--threads", type=int, default=os.cpu_count())
p.add_argument("--rounds", type=int, default=5)
p.add_argument("--core", default="SkylakeX", help="OpenBLAS core type")
args = p.parse_args()
os.environ["OPENBLAS_CORETYPE"] = args.core
os.environ["OMP_NUM_THREADS"] = str(args.threads)
try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    print("peer_ait.py: no PyTorch, skipped", file=sys.stderr)
    sys.exit(0)

torch.set_num_threads(args.threads)
CLASSES, BITS, T, RATE, RHO = 10, 4, 20.0, 1e-4, 1e-3
HALF = 2 ** (BITS - 1)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(CLASSES, 100)
        self.fc = nn.Linear(100, 8192)
        self.bn0 = nn.BatchNorm2d(128)
        self.conv1, self.bn1 = nn.Conv2d(128, 128, 3, padding=1), nn.BatchNorm2d(128, 0.8)
        self.conv2, self.bn2 = nn.Conv2d(128, 64, 3, padding=1), nn.BatchNorm2d(64, 0.8)
        self.conv3, self.bn3 = nn.Conv2d(64, 3, 3, padding=1), nn.BatchNorm2d(3, affine=False)

    def forward(self, z, y):
        x = self.fc(self.embed(y) * z).view(-1, 128, 8, 8)
        x = F.interpolate(self.bn0(x), scale_factor=2)
        x = F.interpolate(F.leaky_relu(self.bn1(self.conv1(x)), 0.2), scale_factor=2)
        x = F.leaky_relu(self.bn2(self.conv2(x)), 0.2)
        return self.bn3(torch.tanh(self.conv3(x)))


def codes(rows):
    low, high = rows.min(1, keepdim=True)[0], rows.max(1, keepdim=True)[0]
    s = (2 * HALF - 1) / (high - low).clamp_min(1e-8)
    z = (s * low).round() + HALF
    return (s * rows - z).round().clamp(-HALF, HALF - 1), s, z


class FakeWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w):
        q, s, z = codes(w.flatten(1))
        return ((q + z) / s).view_as(w)

    @staticmethod
    def backward(ctx, g):
        return g


class FakeRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, top):
        s = (2 * HALF - 1) / top
        return ((s * x - HALF).round().clamp(-HALF, HALF - 1) + HALF) / s

    @staticmethod
    def backward(ctx, g):
        return g, None


class ResNet20(nn.Module):
    def __init__(self, quantized):
        super().__init__()
        self.quantized = quantized
        shapes = [(16, 3, 1)]
        for width, before in ((16, 16), (32, 16), (64, 32)):
            shapes += [(width, before, 1 if width == before else 2)] + [(width, width, 1)] * 5
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, s, 1, bias=False) for o, i, s in shapes)
        self.bns = nn.ModuleList(nn.BatchNorm2d(o) for o, _, _ in shapes)
        self.linear = nn.Linear(64, CLASSES)
        self.distance = []

    def conv(self, i, x):
        w = self.convs[i].weight
        if self.quantized:
            w = FakeWeight.apply(w)
        x = F.conv2d(x, w, None, self.convs[i].stride, 1)
        bn = self.bns[i]
        if not self.quantized:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            self.distance.append(((mean - bn.running_mean) ** 2).mean() +
                                 ((var - bn.running_var) ** 2).mean())
        return bn(x)

    def relu(self, x):
        x = F.relu(x)
        return FakeRelu.apply(x, 6.0) if self.quantized else x

    def forward(self, x):
        self.distance = []
        x = self.relu(self.conv(0, x))
        for i in range(1, 19, 2):
            y = self.conv(i + 1, self.relu(self.conv(i, x)))
            if self.convs[i].stride[0] == 2:
                c = x.shape[1] // 2
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, c, c))
            x = self.relu(x + y)
        w = FakeWeight.apply(self.linear.weight) if self.quantized else self.linear.weight
        return F.linear(x.mean((2, 3)), w, self.linear.bias)


def inundate(p, velocity):
    """Gradient inundation of one weight, as in AIT's code."""
    g = p.grad
    b = g if velocity is None else 0.9 * velocity + g
    d, rows = (g + 0.9 * b).flatten(1), p.flatten(1)
    before = codes(rows)[0]
    share = lambda k: float((codes(rows - k * RATE * d)[0] != before).float().mean())
    k = 1.0
    if share(1) < RHO and float(d.abs().max()) > 0:
        k = 2.0
        while share(k) < RHO and k < 2.0 ** 60:
            k *= 2
        low, high = k / 2, k
        for _ in range(5):
            k = (low + high) / 2
            f = share(k)
            if abs(f - RHO) < RHO / 100:
                break
            low, high = (k, high) if f < RHO else (low, k)
    p -= k * RATE * d.view_as(p)
    return b.clone()


torch.manual_seed(0)
made, teacher, student = Generator(), ResNet20(False).eval(), ResNet20(True).eval()
for q in teacher.parameters():
    q.requires_grad_(False)
adam = torch.optim.Adam(made.parameters(), 1e-3, (0.5, 0.999))
weights = [q for n, q in student.named_parameters() if n.startswith("convs") or n == "linear.weight"]
others = [q for q in student.parameters() if all(q is not w for w in weights)]
sgd = torch.optim.SGD(others, RATE, momentum=0.9, nesterov=True)
velocities = [None] * len(weights)


def iteration():
    z, y = torch.randn(args.batch, 100), torch.randint(0, CLASSES, (args.batch,))
    x = made(z, y)
    t = teacher(x)
    loss = F.cross_entropy(t, y) + 0.1 * sum(teacher.distance) / len(teacher.distance)
    adam.zero_grad()
    loss.backward()
    adam.step()
    s = student(x.detach())
    kl = F.kl_div(F.log_softmax(s / T, 1), F.softmax(t.detach() / T, 1), reduction="batchmean")
    kl = kl * T * T / CLASSES
    student.zero_grad()
    kl.backward()
    sgd.step()
    with torch.no_grad():
        for i, w in enumerate(weights):
            velocities[i] = inundate(w, velocities[i])


iteration()
spent = []
for _ in range(args.rounds):
    start = time.perf_counter()
    iteration()
    spent.append(time.perf_counter() - start)
print(json.dumps({"what": "GDFQ+AIT iteration", "batch": args.batch, "threads": args.threads,
                  "median_s": round(statistics.median(spent), 3), "best_s": round(min(spent), 3),
                  "torch": torch.__version__, "core": args.core,
                  "load_before": round(os.getloadavg()[0], 2)}))
