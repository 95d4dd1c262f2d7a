"""Golden data of the generators: images of GDFQ's and Qimera's in both forms and of AutoReCon's cells,
and gradients of a few weights."""
import torch

import golden
from generators import CELLS, Arc, Pass, gdfq, qimera

SEED, BATCH, IMAGE, CLASSES, LATENT, SLOTS, REDUCED = 90, 4, 8, 3, 4, 2, 3


def record(out, form, p, x, kept):
    (x * seed).sum().backward()
    out[form + ".images"] = x
    for name in kept:
        out[f"{form}.{name}"] = p.w[name].grad


g = golden.generator(SEED)
z = torch.randn((BATCH, LATENT), generator=g).double()
y = torch.tensor([2, 0, 1, 2])
seed = torch.randn((BATCH, 3, IMAGE, IMAGE), generator=g).double()
slot_z = torch.randn((BATCH, SLOTS, LATENT), generator=g).double()
slot_y = torch.tensor([[2, 1], [0, 0], [1, 2], [0, 2]])
mix = torch.softmax(torch.randn((BATCH, SLOTS), generator=g).double(), 1)
wide_z = torch.randn((BATCH, 100), generator=g).double()
out = {"z": z, "labels": y, "seed": seed, "slot_z": slot_z, "slot_labels": slot_y, "mix": mix,
       "wide_z": wide_z}
kept = ["fc.bias", "bn0.weight", "bn1.bias", "bn2.weight", "conv3.weight"]
for form, large in (("small", False), ("large", True)):
    reduced = REDUCED if large else None
    p = Pass(IMAGE, CLASSES, y, large)
    record(out, "gdfq." + form, p, gdfq(p, z), kept + ([] if large else ["embed.weight"]))
    p = Pass(IMAGE, CLASSES, y, large)
    record(out, f"qimera.{form}.plain", p, qimera(p, z, reduced), kept + ["embed.weight"])
    p = Pass(IMAGE, CLASSES, slot_y, large, mix)
    record(out, f"qimera.{form}.mixed", p, qimera(p, slot_z, reduced), kept + ["embed.weight"])
for name, cells in CELLS.items():
    p = Pass(IMAGE, CLASSES, y, True)
    record(out, "arc." + name, p, Arc(p, cells).forward(wide_z),
           ["fc1.bias", "bn.weight", "conv.weight", "cell1.c1.bn.weight", "cell2.x5.bn.bias"])
    print(name, len(p.w), sum(w.numel() for w in p.w.values()))
golden.write("generator.safetensors", out, seed=SEED)
