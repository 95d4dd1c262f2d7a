#!/usr/bin/env python3
"""make_onnx.py: small networks as both exporters of PyTorch write them, with inputs and logits. The older
exporter writes LayerNorm, GELU and attention in pieces; the newer one has queries, keys and values apart
here. Needs torch, onnx, onnxscript and safetensors."""
import pathlib
import warnings

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
SIDE, PATCH, WIDTH, HEADS, CLASSES = 32, 8, 16, 2, 10


class Attention(nn.Module):
    def __init__(self, apart):
        super().__init__()
        self.apart = apart
        if apart:
            self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        else:
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        b, n, d = x.shape
        if self.apart:
            q, k, v = (layer(x).view(b, n, HEADS, d // HEADS).transpose(1, 2)
                       for layer in (self.query, self.key, self.value))
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            q, k, v = self.qkv(x).reshape(b, n, 3, HEADS, d // HEADS).permute(2, 0, 3, 1, 4)
            x = (q @ k.transpose(-2, -1) * (d // HEADS) ** -0.5).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).reshape(b, n, d))


class Block(nn.Module):
    def __init__(self, apart):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDTH), Attention(apart)
        self.norm2, self.fc1 = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH)
        self.fc2 = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self, apart):
        super().__init__()
        tokens = (SIDE // PATCH) ** 2 + 1
        self.patch_embed = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, WIDTH))
        self.blocks = nn.ModuleList(Block(apart) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class CNN(nn.Module):
    """A residual block, squeeze-and-excite, groups, padding of one side, joined channels."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8, eps=1e-3)
        self.reduce, self.expand = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.conv3, self.bn3 = nn.Conv2d(8, 8, 3, 2, bias=False), nn.BatchNorm2d(8)
        self.conv4 = nn.Conv2d(16, 16, 3, 1, 1, groups=2)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        y = F.hardswish(self.bn2(self.conv2(x)))
        x = x + y * torch.sigmoid(self.expand(F.silu(self.reduce(y.mean((2, 3), keepdim=True)))))
        x = F.relu6(self.bn3(self.conv3(F.pad(x, (0, 1, 0, 1)))))
        x = torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1)
        x = F.max_pool2d(F.relu(self.conv4(x)), 2, 2)
        return self.fc(x.mean((2, 3)))


class Mixed(nn.Module):
    """Arithmetic that no layer takes into its parameters: powers, roots, norms of groups and of responses,
    other axes, copies, lists of entries, bounds."""

    def __init__(self):
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, CLASSES)
        self.one_group, self.groups = nn.GroupNorm(1, 8), nn.GroupNorm(4, 8)
        self.star_scale, self.star_bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))
        self.gamma, self.beta = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(8))
        self.tokens = nn.Parameter(torch.zeros(16, 64))
        self.by_token = nn.Parameter(torch.zeros(16, 1))
        self.mixer = nn.Conv1d(1, 1, 3, padding=1)

    def responses(self, x):
        """ConvNeXt V2's normalisation, with channels last."""
        g = x.norm(p=2, dim=(1, 2), keepdim=True)
        return x + self.gamma * (x * (g / (g.mean(-1, keepdim=True) + 1e-6))) + self.beta

    def forward(self, x):
        x = self.star_scale * F.relu(self.stem(x)) ** 2 + self.star_bias
        x = x + F.leaky_relu(self.one_group(x), 0.1)
        x = x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        x = self.responses(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.elu(self.groups(x)) + F.interpolate(F.max_pool2d(x, 2), scale_factor=2, mode='nearest')
        x = F.gelu(x, approximate='tanh').flatten(2).transpose(1, 2)
        x = self.tokens @ x
        x = F.normalize(x, dim=-1) * self.by_token + x[:, :, [1, 0, 2, 3, 7, 5, 6, 4]]
        x = x * x.softmax(1) + 2 - F.softplus(x)
        largest = x[:, 1::3].amax(1, keepdim=True)[:, :, [3, 1]]
        x = x + self.mixer(x.mean(1, keepdim=True)) * F.avg_pool1d(largest, 2)
        weight = self.tokens[:8, :8] - self.tokens[:8, :8].mean(1, keepdim=True)
        x = x @ (weight / (weight.var(1, keepdim=True, unbiased=False) + 1e-3).sqrt())
        x = F.pad(x, (0, 0, 1, 2), value=0.5)
        x = x.clamp(-0.7, 1.5) + (-x).exp() / (1 + x * x)
        x = x * x.mean(-1, keepdim=True) - x.sum(1, keepdim=True)
        return self.fc(x.mean(1))


class Letters(nn.Module):
    """Products by torch.einsum, as networks of other libraries have them: heads before and behind tokens,
    one head of keys for all, weights with an axis of heads, constants, transpositions."""

    def __init__(self):
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, WIDTH, PATCH, PATCH), nn.Linear(WIDTH, CLASSES)
        self.norm = nn.LayerNorm(WIDTH)
        self.q, self.k = nn.Parameter(torch.zeros(WIDTH, 2, 8)), nn.Parameter(torch.zeros(2, 8, WIDTH))
        self.v, self.out = nn.Parameter(torch.zeros(WIDTH, 16)), nn.Parameter(torch.zeros(2, 8, WIDTH))
        self.near, self.far = nn.Parameter(torch.zeros(2, 16, 5)), nn.Parameter(torch.zeros(5, 16))
        self.one_key, self.one_value = nn.Parameter(torch.zeros(WIDTH, 8)), nn.Parameter(torch.zeros(WIDTH, 8))

    def attend(self, x):
        q, k = torch.einsum('bnd,dhe->bhne', x, self.q), torch.einsum('bnd,hed->bnhe', x, self.k)
        v = torch.einsum('bnd,de->bne', x, self.v).reshape(-1, 16, 2, 8)
        s = torch.einsum('b h i d, b j h d -> b h i j', q, k) + torch.einsum('hiz,zj->hij', self.near, self.far)
        return torch.einsum('bihd,hdo->bio', torch.einsum('bhij,bjhd->bihd', s.softmax(-1), v), self.out)

    def share(self, x):
        """One head of keys and values for all heads of queries."""
        q, k = torch.einsum('bnd,hed->bnhe', x, self.k), torch.einsum('bmd,de->bme', x, self.one_key)
        s = torch.einsum('bnhk,bmk->bnhm', q, k).softmax(-1)
        o = torch.einsum('bnhm,bmv->bnhv', s, torch.einsum('bmd,dv->bmv', x, self.one_value))
        return torch.einsum('bnhv,hvd->bdn', o, self.out)

    def forward(self, x):
        x = torch.einsum('bchw->bhwc', self.stem(x)).flatten(1, 2)
        x = x + self.attend(self.norm(x))
        x = x + self.share(self.norm(x)).transpose(1, 2)
        return self.fc(x.mean(1))


def randomise(network):
    draw = torch.Generator().manual_seed(5)
    for key, t in network.state_dict().items():
        if t.is_floating_point():
            noise = torch.randn(t.shape, generator=draw)
            scale = (t.shape[0] / t.numel()) ** 0.5 if t.dim() > 1 else 0.2
            one = key.endswith('running_var') or (t.dim() == 1 and key.endswith('weight'))
            t.copy_(one + scale * (noise.abs() if 'running_var' in key else noise))


def export(network, name, dynamo, opset, **options):
    path = str(HERE / f'import_{name}.onnx')
    x = torch.zeros(1, 3, SIDE, SIDE)
    if dynamo:
        options.update(external_data=False, verbose=False)
    else:
        options.update(input_names=['x'], output_names=['y'])
    torch.onnx.export(network, (x,), path, dynamo=dynamo, opset_version=opset, **options)


def main():
    warnings.filterwarnings('ignore')
    torch.manual_seed(1)
    any_batch = {'dynamic_axes': {'x': {0: 'batch'}, 'y': {0: 'batch'}}}
    keep = {'training': torch.onnx.TrainingMode.PRESERVE, 'do_constant_folding': False}
    with torch.no_grad():
        x = torch.randn(3, 3, SIDE, SIDE)
        out = {'x': x}
        for name, network, dynamo, opset, options in (
                ('vit_pieces', ViT(False), False, 14, any_batch), ('vit_apart', ViT(True), True, 18, {}),
                ('cnn_norms', CNN(), False, 13, keep), ('cnn_folded', CNN(), True, 21, {}), ('mixed', Mixed(), False, 17, any_batch),
                ('mixed_new', Mixed(), True, 20, {}), ('letters', Letters(), False, 17, any_batch)):
            network.eval()
            randomise(network)
            export(network, name, dynamo, opset, **options)
            out[name] = network(x)
        save_file(out, HERE / 'import.safetensors')


if __name__ == '__main__':
    main()
