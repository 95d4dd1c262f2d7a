"""Golden data of interpolated position embeddings: a grid of 4 x 4 made larger and smaller by
torch's bicubic interpolation with antialias, which timm's resample_abs_pos_embed uses.

usage: make_positions.py"""
import torch
import torch.nn.functional as F

import golden

WIDTH, SIDE = 8, 4

positions = torch.randn((1, 1 + SIDE * SIDE, WIDTH), generator=golden.generator(3))
grid = positions[:, 1:].double().reshape(1, SIDE, SIDE, WIDTH).permute(0, 3, 1, 2)
out = {"pos_embed": positions}
for to in (3, 6):
    fitted = F.interpolate(grid, (to, to), mode="bicubic", antialias=True, align_corners=False)
    fitted = fitted.permute(0, 2, 3, 1).reshape(1, to * to, WIDTH)
    out[f"to_{to}"] = torch.cat([positions[:, :1].double(), fitted], 1)
golden.write("positions.safetensors", out)
