"""Golden data of the first ten generation steps on the tiny network, random draws included."""
import torch
import torch.nn.functional as F

import golden
import vit
from losses import inter_head, total_variation

SEED = 70
STEPS, KEEP = 10, (1, 2, 5, 10)
T_MAX, ROLL = 2000, 8
WEIGHTS = {"ssim": 1.0, "ce": 1.0, "tv": 2.5e-5}
LIMIT = 1.0  # (1 - mean) / std with mean = std = 0.5; the lower limit is its negative


def draw(g):
    """Everything random, in float32."""
    b, image = golden.TINY_BATCH, golden.TINY.image
    per_channel = (STEPS, b, 3)
    noise = torch.randn(per_channel, generator=g)
    rem = T_MAX - 1 - torch.arange(STEPS)
    return {"x0": torch.randn((b, 3, image, image), generator=g),
            "labels": torch.randint(0, golden.TINY.classes, (b,), generator=g),
            "roll": torch.randint(-ROLL, ROLL + 1, (STEPS, 2), generator=g),
            "noise": noise, "offset": noise * 0.5 * rem[:, None, None] / T_MAX,
            "jitter_m": torch.rand(per_channel, generator=g) * 2 - 1,
            "jitter_s": (torch.rand(per_channel, generator=g) * 2 - 1).exp()}


def generate(d, dtype):
    weights = golden.cast(golden.tiny_weights(), dtype)
    x = golden.leaf(d["x0"], dtype)
    optimiser = torch.optim.AdamW([x], lr=0.1, weight_decay=1e-6)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_MAX, eta_min=0.001)
    out, losses, rates = {}, [], []
    for i in range(STEPS):
        offset, m, s = (d[k][i].to(dtype)[:, :, None, None]
                        for k in ("offset", "jitter_m", "jitter_s"))
        seen = torch.roll(x, shifts=tuple(int(v) for v in d["roll"][i]), dims=(2, 3))
        seen = (seen + offset - m) / s
        taps = {}
        logits = vit.forward(weights, seen, golden.TINY, taps=taps)
        ssim = torch.stack([inter_head(r) for r in taps["qk"]]).mean()
        ce, tv = F.cross_entropy(logits, d["labels"]), total_variation(x)
        total = WEIGHTS["ssim"] * ssim + WEIGHTS["ce"] * ce + WEIGHTS["tv"] * tv
        optimiser.zero_grad()
        total.backward()
        if i == 0:
            out["grad1"] = x.grad.clone()
        losses.append(torch.stack((total, ssim, ce, tv)).detach())
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            x.clamp_(-LIMIT, LIMIT)
        if i + 1 in KEEP:
            out[f"x{i + 1}"] = x.detach().clone()
    return {**out, "losses": torch.stack(losses), "lr": torch.tensor(rates)}


d = draw(golden.generator(SEED))
out, out32 = generate(d, torch.float64), generate(d, torch.float32)
for key, v in out.items():
    off = (out32[key].double() - v.double()).abs().flatten()
    print("%s, float32 to float64: largest %.1e, 99.9 %% below %.1e" % (
        key, off.max(), off.sort().values[int(0.999 * (len(off) - 1))]))
golden.write("synth.safetensors", {**d, **out}, seed=SEED, weights_seed=golden.TINY_SEED)
