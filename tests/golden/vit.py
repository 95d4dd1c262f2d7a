"""A vision transformer as a function of a dict of tensors with timm's names."""
from typing import NamedTuple

import torch
import torch.nn.functional as F


class Config(NamedTuple):
    image: int
    patch: int
    width: int
    depth: int
    heads: int
    classes: int
    mlp: int = 0  # hidden width of the MLP; 0: 4 * width
    eps: float = 1e-6

    @property
    def tokens(self):
        return (self.image // self.patch) ** 2 + 1


TINY_224 = Config(image=224, patch=16, width=192, depth=12, heads=3, classes=1000)


class Float:
    """No quantization: the default for `forward`. A quantizer has the same two methods."""

    def weight(self, name, w):
        return w

    def act(self, name, x):
        return x


def shapes(c):
    """{name: shape} of every parameter, in the order of the forward pass."""
    d, m = c.width, c.mlp or 4 * c.width
    out = {"cls_token": (1, 1, d), "pos_embed": (1, c.tokens, d),
           "patch_embed.proj.weight": (d, 3, c.patch, c.patch), "patch_embed.proj.bias": (d,)}
    for i in range(c.depth):
        for name, rows, cols in (("norm1", d, 0), ("attn.qkv", 3 * d, d), ("attn.proj", d, d),
                                 ("norm2", d, 0), ("mlp.fc1", m, d), ("mlp.fc2", d, m)):
            out[f"blocks.{i}.{name}.weight"] = (rows, cols) if cols else (rows,)
            out[f"blocks.{i}.{name}.bias"] = (rows,)
    return {**out, "norm.weight": (d,), "norm.bias": (d,),
            "head.weight": (c.classes, d), "head.bias": (c.classes,)}


def act_names(c):
    """Quantized activations in the order of the forward pass."""
    per_block = ("attn.qkv.in", "attn.q", "attn.k", "attn.p", "attn.v", "attn.proj.in",
                 "mlp.fc1.in", "mlp.fc2.in")
    return [f"blocks.{i}.{n}" for i in range(c.depth) for n in per_block] + ["head.in"]


def forward(w, x, c, quant=Float(), taps=None):
    """Logits [B,classes] of x [B,3,image,image].

    taps: a dict that receives per block "qk" (raw query-key products, before the scale), "softmax"
    [B,H,N,N] and "av" (attention times values per head, before the concatenation) [B,H,N,d]."""
    taps = {} if taps is None else taps
    for key in ("qk", "softmax", "av"):
        taps[key] = []

    def linear(name, v):
        return F.linear(quant.act(name + ".in", v), quant.weight(name, w[name + ".weight"]),
                        w[name + ".bias"])

    def norm(name, v):
        return F.layer_norm(v, (c.width,), w[name + ".weight"], w[name + ".bias"], c.eps)

    def attention(name, v):
        b, n, _ = v.shape
        qkv = linear(name + ".qkv", v).reshape(b, n, 3, c.heads, c.width // c.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        qk = quant.act(name + ".q", q) @ quant.act(name + ".k", k).transpose(-1, -2)
        p = (qk * (c.width // c.heads) ** -0.5).softmax(-1)
        av = quant.act(name + ".p", p) @ quant.act(name + ".v", v)
        for key, value in (("qk", qk), ("softmax", p), ("av", av)):
            taps[key].append(value)
        return linear(name + ".proj", av.transpose(1, 2).reshape(b, n, c.width))

    x = F.conv2d(x, quant.weight("patch_embed.proj", w["patch_embed.proj.weight"]),
                 w["patch_embed.proj.bias"], stride=c.patch)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat((w["cls_token"].expand(len(x), -1, -1), x), 1) + w["pos_embed"]
    for i in range(c.depth):
        name = f"blocks.{i}."
        x = x + attention(name + "attn", norm(name + "norm1", x))
        hidden = F.gelu(linear(name + "mlp.fc1", norm(name + "norm2", x)))
        x = x + linear(name + "mlp.fc2", hidden)
    return linear("head", norm("norm", x)[:, 0])
