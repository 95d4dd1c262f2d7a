"""Golden data of the forms of vision transformers: tiny networks of timm and transformers with their
own names, each with images and logits, in one file. A tensor is called "FORM:NAME".

usage: make_vit_forms.py"""
import torch
from timm.layers import SwiGLUPacked
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from transformers import Dinov2Config, Dinov2ForImageClassification

import golden

WIDTH, DEPTH, HEADS, IMAGE, PATCH, CLASSES, IMAGES = 12, 2, 3, 12, 4, 5, 3
OBLONG = 8, 12


def timm(kind=VisionTransformer, image=IMAGE, **how):
    return kind(img_size=image, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS,
                mlp_ratio=2, **{"num_classes": CLASSES, **how})


def dinov2():
    return Dinov2ForImageClassification(Dinov2Config(
        hidden_size=WIDTH, mlp_ratio=2, num_hidden_layers=DEPTH, num_attention_heads=HEADS,
        image_size=IMAGE, patch_size=PATCH, num_labels=CLASSES))


FORMS = {
    "distilled": timm(VisionTransformerDistilled),
    "scaled": timm(init_values=1.0, no_embed_class=True),  # DeiT-III
    "registers": timm(init_values=1.0, reg_tokens=3, no_embed_class=True),
    "mean": timm(class_token=False, reg_tokens=2, no_embed_class=True, global_pool="avg",
                 qkv_bias=False),
    "avg": timm(global_pool="avg", fc_norm=False),
    "prenorm": timm(pre_norm=True, qk_norm=True),
    "gated": timm(mlp_layer=SwiGLUPacked, act_layer="silu", init_values=1.0),
    "quick": timm(act_layer="quick_gelu"),
    "backbone": timm(num_classes=0),
    "dinov2": dinov2(),
    "oblong": timm(image=OBLONG),
}


out = {}
torch.manual_seed(5)
for form, network in FORMS.items():
    network.eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() > 1 else 0.1) + (p == 1))
        tensors = {f"{form}:{k}": v.clone() for k, v in golden.stored(network).items()}
        x = torch.randn(IMAGES, 3, *(OBLONG if form == "oblong" else (IMAGE, IMAGE)))
        y = network.double()(x.double())
    out.update({**tensors, f"{form}:x": x, f"{form}:logits": getattr(y, "logits", y)})
golden.write("vit_forms.safetensors", out)
