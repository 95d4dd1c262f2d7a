"""The steps that peer_torch.py times. Each function returns a closure that does one step."""
import torch
import torch.nn.functional as F

import golden
import quant
import vit
from losses import inter_head, kd_kl, total_variation

CONFIG = vit.TINY_224
BITS = 4
SDPA = getattr(F, "scaled_dot_product_attention", None)


def load(path):
    if path:
        return golden.read(path)
    g = torch.Generator().manual_seed(1)
    return {k: torch.ones(s) if k.endswith("weight") and len(s) == 1
            else 0.02 * torch.randn(s, generator=g) for k, s in vit.shapes(CONFIG).items()}


def batch_of(n):
    g = torch.Generator().manual_seed(2)
    return torch.randn((n, 3, 224, 224), generator=g), torch.randint(0, 1000, (n,), generator=g)


def leaves(weights):
    return {k: v.clone().requires_grad_() for k, v in weights.items()}


def sgd(params):
    return torch.optim.SGD(params, lr=1e-6, momentum=0.9, nesterov=True)


def plain(w, x):
    """The network as fast as PyTorch offers it: fused attention where there is one."""
    if SDPA is None:
        return vit.forward(w, x, CONFIG)
    c, d = CONFIG, CONFIG.width
    x = F.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=c.patch)
    x = torch.cat((w["cls_token"].expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)), 1)
    x = x + w["pos_embed"]
    for i in range(c.depth):
        def p(name):
            return w[f"blocks.{i}.{name}.weight"], w[f"blocks.{i}.{name}.bias"]
        y = F.linear(F.layer_norm(x, (d,), *p("norm1"), c.eps), *p("attn.qkv"))
        q, k, v = y.reshape(len(x), -1, 3, c.heads, d // c.heads).permute(2, 0, 3, 1, 4)
        x = x + F.linear(SDPA(q, k, v).transpose(1, 2).flatten(2), *p("attn.proj"))
        y = F.gelu(F.linear(F.layer_norm(x, (d,), *p("norm2"), c.eps), *p("mlp.fc1")))
        x = x + F.linear(y, *p("mlp.fc2"))
    x = F.layer_norm(x, (d,), w["norm.weight"], w["norm.bias"], c.eps)
    return F.linear(x[:, 0], w["head.weight"], w["head.bias"])


def maybe_compiled(function, wanted):
    return torch.compile(function) if wanted and hasattr(torch, "compile") else function


def forward(weights, n, compiled):
    x, _ = batch_of(n)
    net = maybe_compiled(plain, compiled)

    def step():
        with torch.inference_mode():
            return net(weights, x)

    return step


def train(weights, n, compiled):
    x, y = batch_of(n)
    w = leaves(weights)
    optimiser = sgd(w.values())
    loss = maybe_compiled(lambda w, x, y: F.cross_entropy(plain(w, x), y), compiled)

    def step():
        optimiser.zero_grad()
        loss(w, x, y).backward()
        optimiser.step()

    return step


class Quantizers:
    """Min-max weights and LSQ activations, either written out or by PyTorch's fused operators."""

    def __init__(self, fused):
        self.fused = fused
        self.scalars, self.grid = {}, {}

    def weight(self, name, w):
        if not self.fused:
            return quant.weight(w, BITS)
        rows = w.detach().flatten(1)
        scale = (2 * rows.abs().amax(1)).clamp_min(1e-8) / (2 ** BITS - 1)
        zero_point = torch.zeros(len(scale), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(w, scale, zero_point, 0, -2 ** (BITS - 1),
                                                      2 ** (BITS - 1) - 1)

    def act(self, name, x):
        if name not in self.scalars:
            scale, zero_point, *grid = quant.lsq_init(x, BITS)
            self.scalars[name] = scale.requires_grad_(), zero_point.requires_grad_()
            self.grid[name] = grid
        (scale, zero_point), (qmin, qmax, g) = self.scalars[name], self.grid[name]
        if self.fused:
            return torch._fake_quantize_learnable_per_tensor_affine(x, scale, zero_point, qmin,
                                                                    qmax, g)
        return quant.LsqFunction.apply(x, scale, zero_point, qmin, qmax, g)


def lsq(weights, n, compiled, fused=False):
    x, _ = batch_of(n)
    w = leaves(weights)
    q = Quantizers(fused)
    with torch.no_grad():
        teacher = plain(weights, x)
        vit.forward(weights, x, CONFIG, q)  # initialises the quantizers
    optimiser = sgd([*w.values(), *(v for pair in q.scalars.values() for v in pair)])
    loss = maybe_compiled(lambda w, x: kd_kl(teacher, vit.forward(w, x, CONFIG, q)), compiled)

    def step():
        optimiser.zero_grad()
        loss(w, x).backward()
        optimiser.step()

    return step


def lsq_fused(weights, n, compiled):
    return lsq(weights, n, compiled, True)


def synth(weights, n, compiled):
    x, y = batch_of(n)
    x.requires_grad_()
    optimiser = torch.optim.AdamW([x], lr=0.1, weight_decay=1e-6)

    def objective(w, x):
        taps = {}
        logits = vit.forward(w, x, CONFIG, taps=taps)
        heads = torch.stack([inter_head(r) for r in taps["qk"]]).mean()
        return heads + F.cross_entropy(logits, y) + 2.5e-5 * total_variation(x)

    loss = maybe_compiled(objective, compiled)

    def step():
        optimiser.zero_grad()
        loss(weights, x).backward()
        optimiser.step()
        with torch.no_grad():
            x.clamp_(-1, 1)

    return step
