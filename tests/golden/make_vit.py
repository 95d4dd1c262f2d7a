"""Golden data of the plain network: the tiny random one, and real ViT-Tiny weights where present.

usage: make_vit.py [weights.safetensors [folder of validation images]]"""
import csv
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

import golden
import vit


def tiny():
    weights = golden.tiny_weights()
    x, y = golden.tiny_batch()
    runs = {}
    for dtype in (torch.float32, torch.float64):
        w, xi = golden.cast(weights, dtype, True), golden.leaf(x, dtype)
        taps = {}
        logits = vit.forward(w, xi, golden.TINY, taps=taps)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        runs[dtype] = (w, xi, logits, loss, taps)
    w, xi, logits, loss, taps = runs[torch.float64]
    w32, x32, logits32 = runs[torch.float32][:3]
    print("tiny, float32 to float64: logits %.1e, input gradient %.1e, parameter gradients %.1e" % (
        golden.far(logits32, logits), golden.far(x32.grad, xi.grad),
        max(golden.far(w32[k].grad, w[k].grad) for k in w)))
    golden.write("tiny_vit.safetensors",
                 {**weights, "x": x, "labels": y, "logits": logits}, seed=golden.TINY_SEED)
    golden.write("tiny_vit_grad.safetensors",
                 {**{"grad." + k: v.grad for k, v in w.items()}, "grad.x": xi.grad, "loss": loss,
                  **{f"{key}.{i}": t[:1] for key in taps for i, t in enumerate(taps[key])}},
                 seed=golden.TINY_SEED)


def synthetic_images():
    """Bytes [4,3,224,224] from a formula of integers only; the C test repeats it."""
    b, c, y, x = np.ogrid[:4, :3, :224, :224]
    v = x * (3 + b) + y * (5 + 2 * c) + ((x * y) >> (4 + b)) + 64 * c
    return torch.from_numpy((v & 255).astype(np.uint8))


def normalise(u8):
    return (u8.float() / 255 - 0.5) / 0.5


def classify(weights, folder):
    """Predictions on the central 224x224 of every listed image."""
    from PIL import Image
    with open(os.path.join(folder, "labels.csv"), newline="") as f:
        rows = [(r["file"], int(r["label"])) for r in csv.DictReader(f)]
    logits = []
    for at in range(0, len(rows), 25):
        batch = []
        for name, _ in rows[at:at + 25]:
            a = np.asarray(Image.open(os.path.join(folder, name)).convert("RGB"))
            top, left = (round((n - 224) / 2) for n in a.shape[:2])  # half to even: 1.5 is 2
            a = a[top:top + 224, left:left + 224].transpose(2, 0, 1)
            batch.append(torch.from_numpy(a.copy()))
        logits.append(vit.forward(weights, normalise(torch.stack(batch)), vit.TINY_224))
    logits = torch.cat(logits)
    labels = torch.tensor([label for _, label in rows])
    best = logits.topk(5)
    hits = best.indices == labels[:, None]
    print("real weights: top-1 %d, top-5 %d of %d" % (hits[:, 0].sum(), hits.sum(), len(rows)))
    return {"val.labels": labels, "val.top5": best.indices, "val.prediction": best.indices[:, 0],
            "val.margin": best.values[:, 0] - best.values[:, 1],
            "val.correct": torch.stack((hits[:, 0].sum(), hits.sum()))}


def real(path, folder):
    weights = golden.read(path)
    assert sum(v.numel() for v in weights.values()) == 5717416
    x = normalise(synthetic_images())
    with torch.no_grad():
        logits = vit.forward(golden.cast(weights, torch.float64), x.double(), vit.TINY_224)
        print("real weights, float32 to float64: logits %.1e" % golden.far(
            vit.forward(weights, x, vit.TINY_224), logits))
        out = {"logits": logits}
        if folder:
            out.update(classify(weights, folder))
    golden.write("real_vit.safetensors", out, seed="none")


tiny()
if len(sys.argv) > 1:
    real(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
