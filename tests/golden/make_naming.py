"""Golden data of the names that other libraries give: tiny vision transformers as Hugging Face's
transformers and torchvision store them, with images and logits in the same file. The first is
transformers' own network; the second has torchvision's names and torch's own attention.

usage: make_naming.py"""
import torch
from torch import nn
from transformers import ViTConfig, ViTForImageClassification

import golden

WIDTH, HIDDEN, DEPTH, HEADS, IMAGE, PATCH, CLASSES, IMAGES = 24, 48, 2, 2, 16, 8, 5, 3


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = (nn.LayerNorm(WIDTH, eps=1e-6) for _ in range(2))
        self.self_attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Dropout(0),
                                 nn.Linear(HIDDEN, WIDTH))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Torchvision(nn.Module):
    def __init__(self):
        super().__init__()
        tokens = (IMAGE // PATCH) ** 2 + 1
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.conv_proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.zeros(1, tokens, WIDTH))
        self.encoder.layers = nn.Sequential()
        for i in range(DEPTH):
            self.encoder.layers.add_module(f"encoder_layer_{i}", Encoder())
        self.encoder.ln = nn.LayerNorm(WIDTH, eps=1e-6)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(WIDTH, CLASSES))

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.encoder.pos_embedding
        return self.heads(self.encoder.ln(self.encoder.layers(x))[:, 0])


def transformers():
    config = ViTConfig(hidden_size=WIDTH, intermediate_size=HIDDEN, num_hidden_layers=DEPTH,
                       num_attention_heads=HEADS, image_size=IMAGE, patch_size=PATCH,
                       num_labels=CLASSES)
    return ViTForImageClassification(config)


def write(file, network):
    torch.manual_seed(5)
    network.eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() > 1 else 0.1) + (p == 1))
        tensors = golden.stored(network)
        x = torch.randn(IMAGES, 3, IMAGE, IMAGE)
        y = network.double()(x.double())
    golden.write(file, {**tensors, "x": x, "logits": getattr(y, "logits", y)})


write("naming_transformers.safetensors", transformers())
write("naming_torchvision.safetensors", Torchvision())
