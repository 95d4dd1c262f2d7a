"""Golden data of Swin transformers: one tiny network as timm, torchvision and Hugging Face's
transformers compute and store it, with images and logits in the same file. A map of 10 x 10 tokens
in windows of 3 is padded and shifted, one of 5 x 5 is merged with padding, and one of 3 x 3 is one
window. timm's file also has a gradient of the images, and two bias tables for another window as
timm interpolates them.

usage: make_swin.py"""
import torch
import torchvision
from timm.layers import resize_rel_pos_bias_table
from timm.models.swin_transformer import SwinTransformer
from transformers import SwinConfig, SwinForImageClassification

import golden

IMAGE, PATCH, WINDOW, WIDTH, DEPTHS, HEADS, RATIO, CLASSES, IMAGES = 40, 4, 3, 8, (2, 2, 1), (2, 2, 4), 2, 5, 2
OBLONG = 20, 36  # maps of 5 x 9, 3 x 5 and 2 x 3 tokens


def timm(image=IMAGE):
    return SwinTransformer(img_size=image, patch_size=PATCH, window_size=WINDOW, embed_dim=WIDTH,
                           depths=DEPTHS, num_heads=HEADS, mlp_ratio=RATIO, num_classes=CLASSES)


def vision():
    return torchvision.models.SwinTransformer([PATCH, PATCH], WIDTH, list(DEPTHS), list(HEADS),
                                              [WINDOW, WINDOW], RATIO, num_classes=CLASSES)


def transformers():
    return SwinForImageClassification(SwinConfig(
        image_size=IMAGE, patch_size=PATCH, window_size=WINDOW, embed_dim=WIDTH, depths=list(DEPTHS),
        num_heads=list(HEADS), mlp_ratio=RATIO, num_labels=CLASSES))


def write(file, network):
    torch.manual_seed(6)
    network.eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() > 1 else 0.1) + (p == 1))
    tensors = golden.stored(network)
    size = OBLONG if "oblong" in file else (IMAGE, IMAGE)
    x = torch.randn(IMAGES, 3, *size)
    leaf = x.double().requires_grad_()
    y = network.double()(leaf)
    y = getattr(y, "logits", y)
    y.square().sum().backward()
    more = {"x": x, "logits": y}
    if file == "swin_timm.safetensors":
        table = tensors["layers.0.blocks.0.attn.relative_position_bias_table"]
        more["grad.x"] = leaf.grad
        for side in (5, 2):
            shape = ((2 * side - 1) ** 2, table.shape[1])
            more[f"table.{side}"] = resize_rel_pos_bias_table(table, (side, side), shape)
    golden.write(file, {**tensors, **more})


write("swin_timm.safetensors", timm())
write("swin_oblong.safetensors", timm(OBLONG))
write("swin_torchvision.safetensors", vision())
write("swin_transformers.safetensors", transformers())
