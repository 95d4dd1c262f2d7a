"""Golden data of the diagnostics: gradients and exact Hessians of a very small transformer whose
weights hold what 3-bit codes stand for; activations are float."""
import torch
import torch.nn.functional as F

import golden
import quant
import vit

SEED, BITS, BATCH, TEMPERATURE = 90, 3, 5, 20.0
SMALL = vit.Config(image=8, patch=4, width=8, depth=1, heads=2, classes=4, mlp=12)


def weights(g):
    """As golden.tiny_weights: the largest entry of a row is positive, -3.5 steps would be a tie."""
    out = {}
    for name, shape in vit.shapes(SMALL).items():
        w = torch.randn(shape, generator=g)
        if "norm" in name and name.endswith("weight"):
            w = 1 + 0.1 * w
        elif len(shape) < 2 or name in ("cls_token", "pos_embed"):
            w = 0.2 * w
        else:
            rows = w.flatten(1)
            rows *= 2 / rows.shape[1] ** 0.5
            rows *= rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
        out[name] = w
    return out


def dequantized(w, dtype):
    step, codes = quant.weight_codes(w, BITS)
    return (codes * step.reshape(-1, *(1,) * (w.dim() - 1))).to(dtype)


def losses(s, t, labels):
    """KL with AIT's factors, KL at T = 1, cross-entropy."""
    def kl(temperature):
        p, q = (t / temperature).softmax(1), (s / temperature).log_softmax(1)
        return temperature ** 2 * (p * (p.log() - q)).sum(1).mean()
    return kl(TEMPERATURE) / SMALL.classes, kl(1.0), F.cross_entropy(s, labels)


def run(w, x, labels, dtype):
    full = golden.cast(w, dtype)
    names = [n for n, v in w.items() if v.dim() > 1 and n not in ("cls_token", "pos_embed")]
    free = [dequantized(w[n], dtype).requires_grad_() for n in names]
    sizes = [v.numel() for v in free]
    with torch.no_grad():
        t = vit.forward(full, x.to(dtype), SMALL)
    s = vit.forward({**full, **dict(zip(names, free))}, x.to(dtype), SMALL)
    out = {"loss": [], "norm": [], "norms": [], "trace": [], "traces": [], "frobenius": [],
           "eigenvalue": []}
    gradients = []
    for loss in losses(s, t, labels):
        grad = torch.cat([v.flatten() for v in torch.autograd.grad(loss, free, create_graph=True)])
        rows = []
        for v in grad:
            row = torch.autograd.grad(v, free, retain_graph=True)
            rows.append(torch.cat([r.flatten() for r in row]))
        h = torch.stack(rows)
        h = (h + h.T) / 2
        e = torch.linalg.eigvalsh(h)
        off = h - torch.diag(torch.diag(h))
        gradients.append(grad.detach())
        out["loss"].append(loss.detach())
        out["norm"].append(grad.detach().norm())
        out["norms"].append(torch.stack([v.norm() for v in grad.detach().split(sizes)]))
        out["trace"].append(torch.trace(h))
        out["traces"].append(torch.stack([v.sum() for v in torch.diag(h).split(sizes)]))
        out["frobenius"].append((off ** 2).sum().sqrt())
        out["eigenvalue"].append(e[e.abs().argmax()])
        print(names, [float(v) for v in e[[0, 1, -2, -1]]])
    out = {k: torch.stack(v) for k, v in out.items()}
    kl, ce = gradients[0], gradients[2]
    cos = F.cosine_similarity
    out["cosine"] = cos(kl, ce, 0)
    out["cosines"] = torch.stack([cos(a, b, 0) for a, b in zip(kl.split(sizes), ce.split(sizes))])
    return out


g = golden.generator(SEED)
w = weights(g)
x = torch.randn((BATCH, 3, SMALL.image, SMALL.image), generator=g)
labels = torch.randint(0, SMALL.classes, (BATCH,), generator=g)
out = run(w, x, labels, torch.float64)
out32 = run(w, x, labels, torch.float32)
for k, v in out.items():
    print(k, v, golden.far(out32[k], v))
golden.write("diagnose.safetensors",
             {**{f"weight.{k}": v for k, v in w.items()}, "x": x, "labels": labels, **out},
             seed=SEED, bits=BITS, temperature=TEMPERATURE)
