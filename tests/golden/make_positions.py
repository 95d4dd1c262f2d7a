"""Golden data of interpolated position embeddings: grids of 4 x 4 and 2 x 8 made larger and smaller by
torch's bicubic interpolation with antialias, which timm's resample_abs_pos_embed uses.

usage: make_positions.py"""
import torch
import torch.nn.functional as F

import golden

WIDTH, SIDE = 8, 4

positions = torch.randn((1, 1 + SIDE * SIDE, WIDTH), generator=golden.generator(3))
out = {"pos_embed": positions}


def add(name, old, new):
    grid = positions[:, 1:].double().reshape(1, *old, WIDTH).permute(0, 3, 1, 2)
    fitted = F.interpolate(grid, new, mode="bicubic", antialias=True, align_corners=False)
    fitted = fitted.permute(0, 2, 3, 1).reshape(1, new[0] * new[1], WIDTH)
    out[name] = torch.cat([positions[:, :1].double(), fitted], 1)


for to in (3, 6):
    add(f"to_{to}", (SIDE, SIDE), (to, to))
add("to_6x3", (SIDE, SIDE), (6, 3))
add("from_2x8_to_5x4", (2, 8), (5, 4))
golden.write("positions.safetensors", out)
