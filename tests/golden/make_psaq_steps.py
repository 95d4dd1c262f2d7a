"""Golden data of ten generation steps by PSAQ-ViT's recipe: two passes of five.

The entropy of the tiny network's few patches is so rough a function that float32 and float64 part
after some steps. So it is in the first gradient alone; the steps follow the other two terms."""
import torch
import torch.nn.functional as F

import golden
import vit
from losses import patch_entropy, total_variation

SEED = 71
PASS, WARM, KEEP = 5, 1, (1, 10)
ROLL = (15, 30)
RATE, TARGET = 0.2, 425.0
LIMIT = 1.0  # (1 - mean) / std with mean = std = 0.5; the lower limit is its negative


def draw(g):
    """Everything random, in float32."""
    b, image = golden.TINY_BATCH, golden.TINY.image
    roll = torch.cat([torch.randint(-most, most + 1, (PASS,), generator=g) for most in ROLL])
    return {"x0": torch.randn((b, 3, image, image), generator=g),
            "labels": torch.randint(0, golden.TINY.classes, (b,), generator=g),
            "roll": torch.stack((roll, roll), 1),
            "flip": torch.randint(0, 2, (2 * PASS,), generator=g)}


def rate(step):
    t = step % PASS
    if t < WARM:
        return RATE * (t + 1) / WARM
    return 0.5 * RATE * (1 + torch.cos(torch.tensor(torch.pi * (t - WARM) / (PASS - WARM))).item())


def generate(d, dtype):
    weights = golden.cast(golden.tiny_weights(), dtype)
    x = golden.leaf(d["x0"], dtype)
    optimiser = torch.optim.Adam([x], lr=RATE, betas=(0.5, 0.9), eps=1e-8)
    out, losses = {}, []
    for i in range(2 * PASS):
        optimiser.param_groups[0]["lr"] = rate(i)
        seen = torch.roll(x, shifts=tuple(int(v) for v in d["roll"][i]), dims=(2, 3))
        if d["flip"][i]:
            seen = torch.flip(seen, dims=(3,))
        taps = {}
        logits = vit.forward(weights, seen, golden.TINY, taps=taps)
        ce = F.cross_entropy(logits, d["labels"])
        tv = (total_variation(seen, 1.0) - TARGET).abs()
        total = ce + 0.05 * tv
        if i == 0:
            out["entropy"] = -sum(patch_entropy(av) for av in taps["av"])
            out["grad1"], = torch.autograd.grad(total + out["entropy"], x, retain_graph=True)
        optimiser.zero_grad()
        total.backward()
        losses.append(torch.stack((total, ce, tv)).detach())
        optimiser.step()
        with torch.no_grad():
            x.clamp_(-LIMIT, LIMIT)
        if i + 1 in KEEP:
            out[f"x{i + 1}"] = x.detach().clone()
    return {**out, "losses": torch.stack(losses),
            "lr": torch.tensor([rate(i) for i in range(2 * PASS)])}


d = draw(golden.generator(SEED))
out, out32 = generate(d, torch.float64), generate(d, torch.float32)
for key, v in out.items():
    off = (out32[key].double() - v.double()).abs().flatten()
    print("%s, float32 to float64: largest %.1e, 99.9 %% below %.1e" % (
        key, off.max(), off.sort().values[int(0.999 * (len(off) - 1))]))
golden.write("psaq.safetensors", {**d, **out, "target": torch.tensor([TARGET])}, seed=SEED,
             weights_seed=golden.TINY_SEED)
