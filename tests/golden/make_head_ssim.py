"""Golden data of the distillation losses: head-wise structural similarity, and KL at T = 5."""
import torch

import golden
from losses import head_ssim, kd_kl

SEED = 50

g = golden.generator(SEED)
t = torch.randn((2, 2, 3, 17, 8), generator=g)
s = 0.7 * t + 0.5 * torch.randn(t.shape, generator=g) + 0.2
t[0, 0, 0, :, 0] = 0.5  # a constant channel: only C2 keeps the quotient finite
zt = 3 * torch.randn((4, 10), generator=g)
zs = zt + torch.randn((4, 10), generator=g)

s64, zs64 = s.double().requires_grad_(), zs.double().requires_grad_()
layers, layers_all = head_ssim(t.double(), s64), head_ssim(t.double(), s64, drop=0)
kl = kd_kl(zt.double(), zs64)
out = {"t": t, "s": s, "layers": layers, "loss": layers.mean(),
       "layers_drop0": layers_all, "loss_drop0": layers_all.mean(), "zt": zt, "zs": zs, "kl": kl}
out["grad_s"], = torch.autograd.grad(layers.mean(), s64)
out["grad_s_drop0"], = torch.autograd.grad(layers_all.mean(), s64)
out["grad_zs"], = torch.autograd.grad(kl, zs64)
golden.write("head_ssim.safetensors", out, seed=SEED)
