"""How many of timm's classifiers the library reads from ONNX: each with random weights, exported by
TorchScript's exporter and, where that fails, by dynamo's; logits of two images against ONNX Runtime's.
A long run and no part of the tests. Nothing is downloaded.

usage: timm_onnx.py SOURCE_ROOT LIBRARY families|larger|all [FOLDER [TEXT]]
families: NAMES below, small networks of nearly each module of timm. larger: LARGER ones. all: every one of at most MOST
million parameters.
FOLDER: keeps ONNX files and logits; those that are there are not made again.
TEXT: only names that have it."""
import collections
import multiprocessing
import os
import re
import sys
import tempfile
import time
import warnings

import peers  # reads SOURCE_ROOT and LIBRARY
import numpy
import onnxruntime
import timm
import torch
from timm.models import _registry

SECONDS, MOST = 300, 120
WAYS = ('script 17', 'dynamo 18')
NAMES = """
bat_resnext26ts beit_base_patch16_224 botnet26t_256 caformer_s18 cait_xxs24_224 coat_tiny
coatnet_pico_rw_224 convformer_s18 convit_tiny convmixer_1024_20_ks9_p14 convnext_atto
convnextv2_atto cpubone_nano crossvit_tiny_240 cs3darknet_s csatv2 cspnext_tiny cspresnet50
darknet53 davit_tiny deit_tiny_distilled_patch16_224 deit_tiny_patch16_224 densenet121 dla34
dpn68 dpn68b eca_nfnet_l0 eca_resnet33ts ecaresnet26t edgenext_xx_small efficientformer_l1
efficientformerv2_s0 efficientnet_b0 efficientvim_m1 efficientvit_b0 efficientvit_m0
ese_vovnet19b_slim eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 fbnetc_100 flexivit_small
focalnet_tiny_lrf gcresnet33ts gcvit_xxtiny gernet_s ghostnet_050 ghostnetv2_100 gmlp_ti16_224
halonet26t hardcorenas_a hgnet_tiny hiera_tiny_224 hrnet_w18_small iformer_t inception_next_atto
inception_resnet_v2 inception_v3 inception_v4 lambda_resnet26t lcnet_035 lcnetv2_small
legacy_seresnet18 legacy_xception levit_128 lowformer_b0 mambaout_femto maxvit_pico_rw_256
maxxvit_rmlp_nano_rw_256 mixer_s32_224 mixnet_s mobilenet_edgetpu_v2_xs mobilenetv3_small_050
mobilenetv4_conv_small mobileone_s0 mobilevit_xxs mobilevitv2_050 mvitv2_tiny
naflexvit_base_patch16_gap nest_tiny nextvit_small nf_resnet26 pit_xs_224 poolformer_s12
pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_004_tv regnetz_005 repghostnet_050 repvgg_a0
repvit_m1 res2net50d resmlp_12_224 resnest14d resnet18 resnet50_gn resnetaa50 resnetv2_18
resnetv2_50 rexnet_100 sam2_hiera_tiny samvit_base_patch16 sebotnet33ts_256 selecsls42
semnasnet_075 sequencer2d_s seresnext26t_32x4d shvit_s1 skresnet18 spnasnet_100 starnet_s1
swiftformer_xs swin_s3_tiny_224 swin_tiny_patch4_window7_224 swinv2_cr_tiny_224
swinv2_tiny_window8_256 tf_efficientnetv2_b0 tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m
twins_svt_base vgg11 visformer_tiny vit_base_patch16_siglip_gap_224 vit_relpos_base_patch16_224
vit_small_patch16_rope_ape_224 vit_tiny_r_s16_p8_224 vit_xsmall_patch16_clip_224
vitamin_small_224 volo_d1_224 xception41 xcit_nano_12_p16_224 xcit_nano_12_p8_224
""".split()
LARGER = """
resnet101d resnext50_32x4d seresnet50 efficientnet_b3 regnety_032 mobilenetv3_large_100 densenet201
vgg16_bn convnext_small swin_small_patch4_window7_224 vit_base_patch16_224 deit3_small_patch16_224
vit_small_patch14_dinov2 swin_base_patch4_window12_384 tf_efficientnetv2_s coatnet_0_rw_224
maxvit_tiny_tf_224 inception_resnet_v2
""".split()


def size_of(name):
    """Millions of parameters; infinity: timm cannot make it here."""
    for where in ('meta', 'cpu'):  # some need values while they are made
        try:
            with torch.device(where):
                network = timm.create_model(name, pretrained=False)
            return sum(p.numel() for p in network.parameters()) / 1e6
        except Exception:
            pass
    return float('inf')


def runtime_logits(path, x):
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads, how.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, how, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return numpy.concatenate([session.run(None, {name: x[i:i + 1]})[0] for i in range(len(x))])


def pixels(size):
    return numpy.random.default_rng(3).standard_normal((2, 3, *size), dtype=numpy.float32)


def write(name, way, base):
    """Writes BASE.onnx and BASE.npz with the logits of ONNX Runtime and of PyTorch, or BASE.err."""
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    try:
        with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            entry = peers.Entry('timm', name, onnx=way)
            network, size = peers.make(entry)
            peers.randomise(network)
            path = peers.export(entry, network, size, folder)
            x = pixels(size)
            arrays = {'size': size, 'y': runtime_logits(path, x), 'torch': network(torch.from_numpy(x)).numpy()}
            with open(path, 'rb') as source, open(base + '.onnx', 'wb') as to:
                to.write(source.read())
            numpy.savez(base + '.npz', **arrays)
    except Exception as error:
        line = (str(error).strip().splitlines() or [''])[0][:160]
        with open(base + '.err', 'w') as to:
            to.write(f'not exported: {type(error).__name__}: {line}')


def written(name, way, base):
    """In a process of its own, as exporters may take memory or time without end."""
    if not os.path.exists(base + '.npz') and not os.path.exists(base + '.err'):
        child = multiprocessing.Process(target=write, args=(name, way, base))
        child.start()
        child.join(SECONDS)
        child.kill()
        child.join()
    if os.path.exists(base + '.npz'):
        return None
    if os.path.exists(base + '.err'):
        with open(base + '.err') as text:
            return text.read()
    return f'not exported: took more than {SECONDS} s, or ended'


def compare(dfq, base):
    """A text, and whether it loads with the logits of the other engine."""
    have, want = None, numpy.load(base + '.npz')
    try:
        net = peers.engines.Network(dfq, base + '.onnx')
    except RuntimeError as error:
        return str(error).split('.onnx: ', 1)[-1], False
    have = net.logits(pixels(want['size']))
    largest = abs(want['y']).max()
    far = abs(have - want['y']).max() / largest
    spread = abs(want['torch'] - want['y']).max() / largest if 'torch' in want else 0
    if far < peers.BAR:
        return f'loads, {far:.1g}', True
    if far < 2 * spread:  # random weights that amplify last bits
        return f'loads, {far:.1g}; PyTorch and ONNX Runtime differ by {spread:.1g}', True
    return f'WRONG: logits differ by {far:.2g} of the largest', False


def one(dfq, name, folder):
    """(the exporter or None, what is said)."""
    for way in WAYS:
        base = os.path.join(folder, f'{name}.{way.split()[0]}')
        said = written(name, way, base)
        if said is None:
            said, good = compare(dfq, base)
            return (way if good else None), said
    return None, said


def kind(said):
    """A refusal without the node's name and numbers, for counting."""
    said = re.sub(r'^node "[^"]*" \((\w+)\)', r'\1', said)
    return re.sub(r'-?\d[\d.e+-]*', 'N', said)


def run(names, folder):
    dfq = peers.engines.Library()
    loaded, ways, kinds = 0, collections.Counter(), collections.defaultdict(list)
    for i, name in enumerate(names, 1):
        begin = time.monotonic()
        way, said = one(dfq, name, folder)
        loaded += way is not None
        ways[way] += 1
        if not way:
            kinds[kind(said)].append(name)
        print(f'{i}/{len(names)} {_registry._model_to_module[name]} {name}: {said} '
              f'({time.monotonic() - begin:.0f} s)', flush=True)
    for reason, of in sorted(kinds.items(), key=lambda p: -len(p[1])):
        print(f'{len(of):4} {reason}: {", ".join(of[:6])}')
    print(f'{loaded} of {len(names)} load with the logits of ONNX Runtime: {dict(ways)}')


def main():
    which, folder, text = (sys.argv[3:] + ['', ''])[:3]
    lists = {'families': NAMES, 'larger': LARGER}
    names = lists[which] if which in lists else [n for n in timm.list_models() if size_of(n) <= MOST]
    names = [n for n in names if text in n]
    if folder:
        os.makedirs(folder, exist_ok=True)
        run(names, folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(names, folder)


if __name__ == '__main__':
    main()
