"""Networks of timm, torchvision and transformers with random weights: the library loads the files that
they write and gives their logits, or says why it does not load them. Prints TAP, one line for each
network of ENTRIES; skipped where Python lacks torch, safetensors or the libraries. Nothing is
downloaded.

usage: peers.py SOURCE_ROOT LIBRARY [PART]     PART: only networks whose line has this text"""
import contextlib
import ctypes
import importlib.util
import io
import os
import sys
import tempfile
import time
import traceback
import warnings

root, library, *part = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(root, 'scripts'))
os.environ['DFQ_LIBRARY'] = library
os.environ['HF_HUB_OFFLINE'] = '1'
try:
    import numpy
    import torch
    import timm
    import torchvision
    import transformers
    from safetensors.torch import save_file
    import engines
    transformers.utils.logging.disable_progress_bar()
except ImportError as error:
    print(f'1..0 # SKIP {error}; pip install numpy torch timm torchvision transformers safetensors')
    sys.exit(0)

onnxscript = importlib.util.find_spec('onnxscript') is not None
IMAGES, BAR = 2, 1e-4  # of the largest logit


class Entry:
    """A network, the options of reading its file, and what is expected.

    name: what timm and torchvision call it; of transformers a class, whose configuration `make` has.
    make: further arguments of the maker; `depth` keeps networks small.
    load: fields of dfq_load_options.
    refused: a part of the error; None: it loads and its logits agree.
    drop: what the file shall not have: 'config'.
    shard: bytes of a file, of transformers: several files and their index.
    onnx: the exporter and its opset: 'script 17', 'norms 17' (BatchNorm apart), 'dynamo 18'; None:
        safetensors."""

    def __init__(self, source, name, make=None, load=None, refused=None, drop=(), shard=None,
                 onnx=None):
        self.source, self.name, self.make, self.load = source, name, make or {}, load or {}
        self.refused, self.drop, self.shard, self.onnx = refused, drop, shard, onnx

    def __str__(self):
        how = ' '.join(f'{k}={v}' for k, v in {**self.make, **self.load}.items()) + (
            f' in files of {self.shard}' if self.shard else '') + (
            f' by ONNX {self.onnx}' if self.onnx else '')
        return f'{self.source} {self.name}{" " + how if how else ""}'

    def load_options(self):
        return {k: v.encode() if isinstance(v, str) else v for k, v in self.load.items()}


# -- the list --------------------------------------------------------------------------------------

TINY = {'hidden_size': 48, 'intermediate_size': 96, 'num_hidden_layers': 2, 'num_attention_heads': 3,
        'image_size': 32, 'patch_size': 8, 'num_labels': 10}


def vision_transformers():
    two = {'depth': 2}
    yield Entry('timm', 'vit_tiny_patch16_224')
    yield Entry('timm', 'vit_tiny_patch16_224', drop=('config',))
    yield Entry('timm', 'vit_small_patch32_224', two)
    yield Entry('timm', 'vit_base_patch8_224', two)
    yield Entry('timm', 'vit_base_patch16_384', two)
    yield Entry('timm', 'vit_large_patch16_224', two)
    yield Entry('timm', 'vit_huge_patch14_224', {**two, 'num_classes': 10})
    yield Entry('timm', 'deit_small_patch16_224', two)
    yield Entry('timm', 'deit_tiny_distilled_patch16_224', two)
    yield Entry('timm', 'deit3_small_patch16_224', two)
    yield Entry('timm', 'vit_medium_patch16_gap_256', two)
    yield Entry('timm', 'vit_medium_patch16_reg4_gap_256', two)
    yield Entry('timm', 'vit_base_patch16_gap_224', two)
    yield Entry('timm', 'vit_base_patch16_clip_224', two)
    yield Entry('timm', 'vit_betwixt_patch16_reg1_gap_256', two)
    yield Entry('timm', 'vit_tiny_patch16_224', {**two, 'global_pool': 'avg'})
    yield Entry('timm', 'vit_tiny_patch16_224', {**two, 'fc_norm': True})
    yield Entry('timm', 'vit_tiny_patch16_224', {**two, 'qkv_bias': False, 'qk_norm': True})
    yield Entry('timm', 'vit_small_patch14_reg4_dinov2', {**two, 'num_classes': 10, 'img_size': 112})
    yield Entry('timm', 'vit_small_patch14_dinov2', {**two, 'img_size': 70})
    yield Entry('timm', 'vit_huge_patch14_gap_224', {'depth': 1})
    yield Entry('timm', 'vit_base_patch32_clip_quickgelu_224', two)
    yield Entry('timm', 'vit_base_patch16_plus_240', two)
    yield Entry('timm', 'vit_giant_patch14_dinov2', {'depth': 1, 'num_classes': 10, 'img_size': 56})
    yield Entry('timm', 'vit_base_patch32_siglip_gap_256', {**two, 'num_classes': 10},
                load={'activation': 3})  # GELU's approximation by tanh
    yield Entry('timm', 'vit_tiny_patch16_224', two, load={'image_size': 160})
    yield Entry('timm', 'deit_tiny_distilled_patch16_224', two, load={'image_size': 256})
    yield Entry('timm', 'vit_small_patch14_reg4_dinov2', {**two, 'num_classes': 10, 'img_size': 112},
                load={'image_size': 168})
    yield Entry('torchvision', 'vit_b_32')
    yield Entry('transformers', 'ViTForImageClassification', TINY)
    yield Entry('transformers', 'DeiTForImageClassification', TINY)
    yield Entry('transformers', 'DeiTForImageClassificationWithTeacher', TINY)
    dino = {**TINY, 'layerscale_value': 0.5}
    yield Entry('transformers', 'Dinov2ForImageClassification', dino)
    yield Entry('transformers', 'Dinov2ForImageClassification', {**dino, 'use_swiglu_ffn': True})
    yield Entry('transformers', 'Dinov2Model', dino)
    yield Entry('transformers', 'Dinov2WithRegistersForImageClassification', dino)
    for act in ('quick_gelu', 'gelu_pytorch_tanh', 'relu', 'silu'):
        yield Entry('transformers', 'ViTForImageClassification', {**TINY, 'hidden_act': act})
    yield Entry('transformers', 'ViTForImageClassification', {**TINY, 'qkv_bias': False})
    yield Entry('transformers', 'ViTForImageClassification', {**TINY, 'image_size': [32, 32]}, shard=50000)
    yield Entry('transformers', 'ViTForImageClassification', {**TINY, 'image_size': [32, 48]})
    wide = {'image': 160, 'image_width': 224}
    yield Entry('timm', 'vit_tiny_patch16_224', {**two, 'img_size': (160, 224)}, load=wide, drop=('config',))
    yield Entry('timm', 'vit_tiny_patch16_224', two, load={'image_size': 288, 'image_size_width': 160})
    yield Entry('timm', 'vit_tiny_patch16_224', {**two, 'img_size': (160, 224)},
                load={**wide, 'image_size': 224, 'image_size_width': 224}, drop=('config',))
    yield Entry('transformers', 'ViTForImageClassification', {**TINY, 'hidden_act': 'mish'},
                refused='activation is "mish"')
    yield Entry('timm', 'vit_base_patch16_siglip_224', {**two, 'num_classes': 10}, refused='attn_pool')
    yield Entry('timm', 'vit_small_patch16_rope_ape_224', two, refused='EVA')
    yield Entry('timm', 'beit_base_patch16_224', two, refused='BEiT')
    yield Entry('timm', 'vit_base_patch16_rpn_224', two, refused='rpn')
    yield Entry('timm', 'vit_small_patch16_18x2_224', two, refused='parallel')
    yield Entry('timm', 'vit_base_patch16_xp_224', two, refused='parallel')
    yield Entry('timm', 'test_vit4', {}, refused='RMSNorm')
    yield Entry('timm', 'vit_base_r50_s16_384', two, refused='hybrid')


def imported():
    """By ONNX; the newer exporter needs onnxscript."""
    two = {'depth': 2}
    for how in ('script 14', 'script 17', 'script 20') + (('dynamo 18',) if onnxscript else ()):
        yield Entry('timm', 'vit_tiny_patch16_224', two, onnx=how)
    yield Entry('timm', 'deit_tiny_distilled_patch16_224', two, onnx='script 17')
    yield Entry('timm', 'resnet18', onnx='norms 13')
    yield Entry('timm', 'vit_tiny_patch16_224', {**two, 'img_size': (160, 224)}, onnx='script 17')
    for name in ('resnet50', 'mobilenetv2_100', 'mobilenetv3_large_100', 'efficientnet_b0',
                 'tf_efficientnet_b0', 'convnext_atto', 'regnety_002', 'densenet121',
                 'swin_tiny_patch4_window7_224'):
        yield Entry('timm', name, onnx='script 17')
    small = {'num_classes': 10}
    for name in ('convnextv2_atto', 'poolformer_s12', 'mixer_s32_224', 'gmlp_ti16_224', 'resmlp_12_224',
                 'caformer_s18', 'gernet_s', 'cs3darknet_s', 'dpn68', 'focalnet_tiny_lrf', 'levit_128',
                 'mobilevitv2_050', 'pvt_v2_b0', 'xcit_nano_12_p16_224', 'cait_xxs24_224'):
        yield Entry('timm', name, small, onnx='script 17')
    yield Entry('timm', 'crossvit_tiny_240', small, onnx='script 17')  # bicubic
    yield Entry('timm', 'coat_tiny', small, onnx='script 17')  # bilinear
    yield Entry('timm', 'mvitv2_tiny', small, onnx='script 17', refused='Einsum')
    yield Entry('torchvision', 'maxvit_t', small, onnx='script 17')  # Einsum, axes cut across others
    swin = {'image_size': 64, 'patch_size': 4, 'embed_dim': 24, 'depths': [2, 2, 1], 'num_labels': 10,
            'num_heads': [2, 3, 6], 'window_size': 3}
    yield Entry('transformers', 'SwinForImageClassification', swin, onnx='script 17')
    if onnxscript:
        yield Entry('torchvision', 'vit_b_32', onnx='dynamo 18')
        yield Entry('transformers', 'ViTForImageClassification', TINY, onnx='dynamo 18')


def inverted_residuals():
    bare = {'drop': ('config',)}
    yield Entry('timm', 'efficientnet_b0')
    yield Entry('timm', 'efficientnet_b2')
    yield Entry('timm', 'tf_efficientnet_b0')
    yield Entry('timm', 'tf_efficientnet_b3')
    yield Entry('timm', 'efficientnet_lite0')
    yield Entry('timm', 'tf_efficientnet_lite2')
    yield Entry('timm', 'efficientnet_b0', refused="TensorFlow's padding", **bare)
    yield Entry('timm', 'tf_efficientnet_b0', load={'arch': 'tf_efficientnet_b0'}, **bare)
    yield Entry('timm', 'mobilenetv2_100')
    yield Entry('timm', 'mobilenetv2_050', **bare)
    yield Entry('timm', 'mobilenetv2_120d')
    yield Entry('timm', 'mobilenetv3_large_100')
    yield Entry('timm', 'tf_mobilenetv3_large_075')
    yield Entry('timm', 'mobilenetv3_small_100')
    yield Entry('timm', 'tinynet_a')
    yield Entry('timm', 'mnasnet_100', refused='tensors do not tell its strides', **bare)
    yield Entry('torchvision', 'efficientnet_b0')
    yield Entry('torchvision', 'efficientnet_b5', load={'image': 224})
    yield Entry('torchvision', 'mobilenet_v2')
    yield Entry('torchvision', 'mobilenet_v3_large')
    yield Entry('torchvision', 'mobilenet_v3_small')


def residual_networks():
    yield Entry('timm', 'resnet18')
    yield Entry('timm', 'resnet18', load={'image': 160, 'image_width': 256})
    yield Entry('timm', 'resnet50d')
    yield Entry('timm', 'resnet18d', drop=('config',))
    yield Entry('timm', 'resnet26t')
    yield Entry('timm', 'resnet10t')
    yield Entry('timm', 'resnet50c')
    yield Entry('timm', 'resnet50s')
    yield Entry('timm', 'resnext50_32x4d')
    yield Entry('timm', 'resnext50d_32x4d')
    yield Entry('timm', 'wide_resnet50_2')
    yield Entry('timm', 'resnetaa50', refused='export it to ONNX')
    yield Entry('timm', 'seresnet50', refused='does not belong to a ResNet', drop=('config',))
    yield Entry('timm', 'resnet50_gn', refused='no BatchNorm')
    onnx = {'refused': 'read from ONNX alone'}
    yield Entry('timm', 'regnety_002', drop=('config',), **onnx)
    yield Entry('torchvision', 'regnet_x_400mf', **onnx)
    yield Entry('torchvision', 'densenet121', **onnx)
    yield Entry('torchvision', 'vgg11_bn', {'num_classes': 10}, **onnx)
    yield Entry('torchvision', 'resnet50')
    yield Entry('torchvision', 'resnext50_32x4d')
    yield Entry('torchvision', 'wide_resnet50_2')


def swin_transformers():
    tiny = {'embed_dim': 24, 'depths': (2, 2, 2), 'num_heads': (2, 3, 6), 'num_classes': 10}
    yield Entry('timm', 'swin_tiny_patch4_window7_224')
    yield Entry('timm', 'swin_tiny_patch4_window7_224', drop=('config',))
    yield Entry('timm', 'swin_small_patch4_window7_224', {'num_classes': 10})
    yield Entry('timm', 'swin_base_patch4_window12_384', {'depths': (2, 2, 2, 2), 'num_classes': 10})
    yield Entry('timm', 'swin_tiny_patch4_window7_224', tiny, load={'image': 224}, drop=('config',))
    yield Entry('timm', 'swin_tiny_patch4_window7_224', {**tiny, 'window_size': 5},
                load={'image': 224}, drop=('config',))  # maps are padded
    yield Entry('timm', 'swin_tiny_patch4_window7_224', load={'image_size': 288})
    yield Entry('timm', 'swin_tiny_patch4_window7_224', load={'image_size': 288, 'image_size_width': 160})
    yield Entry('timm', 'swin_tiny_patch4_window7_224', {'img_size': (160, 224)},
                load={'image': 160, 'image_width': 224})
    yield Entry('torchvision', 'swin_t')
    yield Entry('torchvision', 'swin_s', {'num_classes': 10})
    swin = {'image_size': 64, 'patch_size': 4, 'embed_dim': 24, 'depths': [2, 2, 1], 'num_labels': 10,
            'num_heads': [2, 3, 6]}
    yield Entry('transformers', 'SwinForImageClassification', {**swin, 'window_size': 4})
    yield Entry('transformers', 'SwinForImageClassification', {**swin, 'window_size': 3})
    yield Entry('timm', 'swinv2_tiny_window8_256', {'num_classes': 10}, refused='Swin V2')
    yield Entry('torchvision', 'swin_v2_t', {'num_classes': 10}, refused='Swin V2')


ENTRIES = [*vision_transformers(), *swin_transformers(), *inverted_residuals(), *residual_networks(),
           *imported()]


# -- making them -----------------------------------------------------------------------------------

def randomise(network):
    """Values at which a wrong order of channels, a norm or a scale left out shows."""
    draw = torch.Generator().manual_seed(7)
    for key, t in network.state_dict().items():
        if not t.is_floating_point():
            continue
        noise = torch.randn(t.shape, generator=draw)
        if key.endswith('running_var'):
            value = 1 + 0.5 * noise.abs()
        elif t.dim() == 1 or t.numel() == max(t.shape):  # norms, biases, running means, LayerScale
            value = (1 if key.endswith(('weight', 'gamma', 'lambda1', 'scale')) else 0) + 0.2 * noise
        elif key.endswith('weight') and 'embed' not in key.rsplit('.', 2)[0][-6:]:
            value = noise * (t.shape[0] / t.numel()) ** 0.5
        else:  # tokens, positions, tables
            value = 0.3 * noise
        t.copy_(value)


def make(entry):
    """The network and the shape of its images."""
    if entry.source == 'timm':
        network = timm.create_model(entry.name, pretrained=False, **entry.make)
        size = entry.make.get('img_size') or network.pretrained_cfg['input_size'][1:]
    elif entry.source == 'torchvision':
        network = torchvision.models.get_model(entry.name, weights=None, **entry.make)
        size = entry.make.get('image_size', 224)
    else:
        kind = getattr(transformers, entry.name)
        network = kind(kind.config_class(**entry.make))
        size = network.config.image_size
    for side in ('image', 'image_size'):
        if entry.load.get(side):
            size = entry.load[side], entry.load.get(side + '_width') or entry.load[side]
    return network.eval(), (size, size) if isinstance(size, int) else tuple(size)


def export(entry, network, size, folder):
    """Writes the network as ONNX."""
    path, (how, opset) = os.path.join(folder, 'net.onnx'), entry.onnx.split()
    options = {'dynamo': how == 'dynamo', 'opset_version': int(opset)}
    if how == 'dynamo':
        options |= {'external_data': False, 'verbose': False}
    if how == 'norms':
        options |= {'training': torch.onnx.TrainingMode.PRESERVE, 'do_constant_folding': False}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        torch.onnx.export(network, (torch.zeros(1, 3, *size),), path, **options)
    return path


def save(entry, network, folder):
    """Writes the network as its own library does. Returns the file."""
    path = os.path.join(folder, 'model.safetensors')
    if entry.source == 'timm':
        timm.models.save_for_hf(network, folder, safe_serialization=True)
    elif entry.source == 'transformers':
        network.save_pretrained(folder, **({'max_shard_size': entry.shard} if entry.shard else {}))
        path += '.index.json' if entry.shard else ''
    else:
        path = os.path.join(folder, 'net.safetensors')
        save_file(network.state_dict(), path)
    if 'config' in entry.drop:
        os.remove(os.path.join(folder, 'config.json'))
    return path


def logits_of(entry, network, x):
    sized = entry.load.get('image_size')
    if sized:
        network.set_input_size((sized, entry.load.get('image_size_width') or sized))
    y = network(torch.from_numpy(x))
    y = getattr(y, 'logits', getattr(y, 'pooler_output', y))
    return y.numpy()


# -- comparing -------------------------------------------------------------------------------------

def check(dfq, entry):
    """What the line says of the network; an AssertionError if it is not as expected."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        network, size = make(entry)
        randomise(network)
        path = export(entry, network, size, folder) if entry.onnx else save(entry, network, folder)
        try:
            net = engines.Network(dfq, path, **entry.load_options())
        except RuntimeError as error:
            text = str(error).replace(folder + os.sep, '')
            assert entry.refused and entry.refused in text, f'refused: {text}'
            return f'refused as it should be: {text}'
        assert not entry.refused, f'loaded, must be refused by "{entry.refused}"'
        x = numpy.random.default_rng(3).standard_normal((IMAGES, 3, *size), dtype=numpy.float32)
        want = logits_of(entry, network, x)
        have = net.logits(x)
        assert have.shape == want.shape, f'logits {have.shape}, must be {want.shape}'
        far = abs(have - want).max() / abs(want).max()
        assert far < BAR, f'logits differ by {far:.2g} of the largest'
        return f'logits differ by {far:.1g} of the largest'


def main():
    dfq = engines.Library()
    entries = [e for e in ENTRIES if not part or part[0] in str(e)]
    failed = loads = 0
    print(f'1..{len(entries)}')
    for i, entry in enumerate(entries, 1):
        begin = time.monotonic()
        try:
            said, word = check(dfq, entry), 'ok'
            loads += not entry.refused
        except AssertionError as error:
            said, word = str(error), 'not ok'
        except Exception:  # of the other libraries
            said, word = traceback.format_exc().strip().replace('\n', ' | '), 'not ok'
        failed += word != 'ok'
        took = time.monotonic() - begin
        print(f'{word} {i} - {entry}: {said} ({took:.1f} s)'.replace('#', '\\#'), flush=True)
    print(f'# {loads} of {len(entries)} load with the logits of the original')
    print(f'# {len(entries) - failed} passed, {failed} failed')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
