"""Exported networks in other engines: logits are those of the library, on the embedded network and on
tiny ones. Prints TAP; skipped where Python lacks NumPy, onnx or all engines.

usage: engines.py SOURCE_ROOT LIBRARY PROGRAM FIGURES

A code that lies between two values falls to either side by the last bit of a sum, and changes what
comes after. So most images must agree closely, and nearly all in their class."""
import os
import random
import subprocess
import sys
import tempfile
import traceback

root, library, program, figures = sys.argv[1:5]
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(root, 'scripts'), os.path.join(root, 'tests', 'cli')]
os.environ['DFQ_LIBRARY'] = library
try:
    import numpy
    import onnx
    import engines
except ImportError as error:
    print(f'1..0 # SKIP {error}; pip install numpy onnx onnxruntime openvino')
    sys.exit(0)
import tiny  # noqa: E402

IMAGES = 32


def have(name):
    try:
        __import__(name)
        return True
    except ImportError:
        return False


ENGINES = [name for name in engines.ENGINES if have(name)]
EXACT = [name for name in ENGINES if name != 'openvino' or engines.has_vnni()]  # of 8 x 8 bits


class Scene:
    """A folder with images of figures, the embedded network and a tiny one of each kind."""

    def __init__(self, folder):
        self.folder, self.dfq = folder, engines.Library()
        self.figures = self.path('figures')
        subprocess.run([figures, self.figures, str(IMAGES), '9'], check=True)
        tiny.make(folder)
        tiny.make_cnn(folder)
        tiny.make_swin(folder)
        self.pictures = self.path('pictures')

    def path(self, name):
        return os.path.join(self.folder, name)

    def embedded(self):
        return os.path.join(root, 'examples', 'figures_vit.safetensors')

    def quantize(self, source, *how):
        out = self.path('low.safetensors')
        subprocess.run([program, 'quantize', source, '-o', out, '-f', '-q', *how],
                       check=True, stdout=subprocess.DEVNULL)
        return out

    def agree(self, path, data, median, same=0.9, opset=0, int4=0, only=ENGINES, integer=0):
        """The median over images of the largest difference, by the largest logit; and classes."""
        net = engines.Network(self.dfq, path)
        out = net.export(self.path('net.onnx'), opset, int4, integer)
        onnx.checker.check_model(onnx.load(out), full_check=True)
        runs = {name: engines.ENGINES[name](out, 1) for name in only}
        worst, classes, peak = {name: [] for name in runs}, {name: [] for name in runs}, 0
        for x, z, _ in net.batches(data, IMAGES, 7):  # a last batch of another size
            peak = max(peak, abs(z).max())
            for name, run in runs.items():
                y = run(x)
                worst[name] += list(abs(y - z).max(1))
                classes[name] += list(y.argmax(1) == z.argmax(1))
        for name in runs:
            far, alike = numpy.median(worst[name]) / peak, numpy.mean(classes[name])
            print(f'# {name}: median {far:.2g}, largest {max(worst[name]) / peak:.2g} of the largest '
                  f'logit, {alike:.0%} of the same class')
            assert far <= median and alike >= same, (name, far, alike)


    def agree_but_for_noise(self, path, data, only, images=96):
        """As many images as differ by the rounding noise of floats differ: those on which the library
        differs from itself, once the pixels have noise in their last bits."""
        net = engines.Network(self.dfq, path)
        out = net.export(self.path('net.onnx'))
        draw = numpy.random.default_rng(1)
        runs = {name: engines.ENGINES[name](out, 1) for name in only}
        runs['noise'] = lambda x: net.logits(x + draw.normal(0, 5e-7, x.shape).astype(x.dtype))
        far, peak = {name: [] for name in runs}, 0
        for x, z, _ in net.batches(data, images, 8):
            peak = max(peak, abs(z).max())
            for name, run in runs.items():
                far[name] += list(abs(run(x) - z).max(1))
        shares = {name: numpy.mean(numpy.array(v) > FLOAT * peak) for name, v in far.items()}
        print('# images that differ: ' + ', '.join(f'{name} {share:.0%}' for name, share in shares.items()))
        for name in only:
            assert shares[name] < shares['noise'] + 0.3, (name, shares)


# A value that is rounded otherwise in every image would be off by more than MEDIAN.
FLOAT, MEDIAN = 1e-5, 5e-3
STATIC = ('--act-scale', 'tensor', '--images', '8', '--batch', '8', '--iters', '4', '--no-tune')


def test_float(s):
    s.agree(s.embedded(), s.figures, FLOAT, 1)


def test_float_cnn(s):
    s.agree(s.path('cnn.safetensors'), s.pictures, FLOAT, 1)


def test_opsets(s):
    for opset in range(17, 26):
        s.agree(s.path('tiny.safetensors'), s.pictures, FLOAT, 1, opset)


def test_opsets_of_quantized(s):
    for how in (STATIC, ('--no-images',)):
        low = s.quantize(s.path('tiny.safetensors'), '-b', 'w6a6', *how)
        for opset in (17, 18, 25):
            s.agree(low, s.pictures, MEDIAN, 0.8, opset)


def test_rows_w8a8(s):
    s.agree(s.quantize(s.embedded(), '-b', 'w8a8', '--no-images'), s.figures, MEDIAN, only=EXACT)


def test_rows_w7a7(s):
    """Pairs of products fit in 16 bits: right on any CPU."""
    low = s.quantize(s.embedded(), '-b', 'w7a7', '--first-last-bits', '7', '--no-images')
    s.agree(low, s.figures, MEDIAN)


def row_codes(x, bits):
    """The codes of rows and their zero points, as the library computes them, in float32."""
    top = numpy.float32(2 ** bits - 1)
    lo = numpy.minimum(x.min(-1, keepdims=True), numpy.float32(0))
    scale = (numpy.maximum(x.max(-1, keepdims=True), numpy.float32(0)) - lo) / top
    zero_point = numpy.rint(-lo / scale)
    return numpy.clip(numpy.rint(x / scale) + zero_point, 0, top), zero_point


def row_grids(graph):
    """(values, codes, whether these have their zero points) of the inputs of linear layers: what follows
    the division by the scale, up to the DequantizeLinear. Queries have none."""
    for low in (n for n in graph.node if n.op_type == 'ReduceMin'):
        at, = (n for n in graph.node if n.op_type == 'Div' and n.input[0] == low.input[0])
        types = []
        while at.op_type in ('Div', 'Round', 'Sub', 'Min', 'Max', 'QuantizeLinear'):
            types.append(at.op_type)
            at = next(n for n in graph.node if at.output[0] in n.input)
        if at.op_type == 'DequantizeLinear':
            yield low.input[0], at.output[0], 'Sub' in types


def test_codes_of_rows(s):
    """Codes are the library's to the last one: each value is rounded before its zero point is added."""
    if 'onnxruntime' not in ENGINES:
        return
    import onnxruntime
    for bits, source, data in ((8, s.embedded(), s.figures), (4, s.embedded(), s.figures),
                               (8, s.path('swin.safetensors'), s.pictures)):
        low = s.quantize(source, '-b', f'w{bits}a{bits}', '--act-group', '0', '--no-images')
        net = engines.Network(s.dfq, low)
        model = onnx.load(net.export(s.path('net.onnx')))
        pairs = list(row_grids(model.graph))
        assert len(pairs) > 4, pairs
        for name in (name for pair in pairs for name in pair[:2]):
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
        for x, _, _ in net.batches(data, IMAGES, IMAGES):
            for values, codes, whole in pairs:  # the head's have 8 bits
                values, codes = session.run([values, codes], {'image': x})
                want, zero_point = row_codes(values, 8 if whole else bits)
                other = (codes != (want if whole else want - zero_point)).sum()
                assert other == 0, f'{other} of {want.size} codes of {bits} bits differ'


def test_rows_w4a4(s):
    s.agree(s.quantize(s.embedded(), '-b', 'w4a4', '--no-images'), s.figures, MEDIAN)


def test_groups_of_rows(s):
    s.agree(s.quantize(s.embedded(), '-b', 'w4a4', '--act-group', '16', '--no-images'), s.figures, MEDIAN)


def test_rows_of_zeros(s):
    """Keys and values that are 0 for every image have a scale all the same."""
    weights = tiny.tensors(random.Random(7))
    shape, values = weights['blocks.0.attn.qkv.weight']
    third = len(values) // 3
    weights['blocks.0.attn.qkv.weight'] = (shape, values[:third] + [0.0] * (2 * third))
    tiny.save(s.path('zeros.safetensors'), weights)
    for bits, only in (('w4a4', ENGINES), ('w8a8', EXACT)):
        s.agree(s.quantize(s.path('zeros.safetensors'), '-b', bits, '--no-images'), s.pictures, MEDIAN, 0.8,
                only=only)


def test_static_w8a8(s):
    s.agree(s.quantize(s.embedded(), '-b', 'w8a8', *STATIC), s.figures, MEDIAN, only=EXACT)


def test_static_w4a4(s):
    s.agree(s.quantize(s.embedded(), '-b', 'w4a4', *STATIC), s.figures, MEDIAN)


def test_integer_cnn(s):
    """The image and sums are rounded once more."""
    s.agree(s.quantize(s.path('cnn.safetensors'), '-b', 'w8a8', *STATIC[2:]), s.pictures, 0.03, 0.8, integer=1)


def test_parity(s):
    for grids in ((), ('--weight-grid', 'minmax-asym', '--act-grid', 'minmax')):
        s.agree(s.quantize(s.path('tiny.safetensors'), '-b', 'w4a8', '--mode', 'parity', *grids,
                           *STATIC[2:]), s.pictures, MEDIAN, 0.8)


def test_rotated_and_mixed(s):
    """One scale a tensor behind a rotation; widths of 3 and 5 bits; a layer left float."""
    tiny_vit = s.path('tiny.safetensors')
    s.agree(s.quantize(tiny_vit, '-b', 'w5a6', '--rotate', 'on', *STATIC), s.pictures, MEDIAN, 0.8)
    s.agree(s.quantize(tiny_vit, '-b', 'w3a5', '--skip', 'blocks.0.mlp.fc1,blocks.1.attn.qk',
                       *STATIC), s.pictures, MEDIAN, 0.8)


def test_4_bit_types(s):
    """OpenVINO takes uint4 for weights, not for activations."""
    tiny_vit, ort = s.path('tiny.safetensors'), [name for name in ENGINES if name == 'onnxruntime']
    for group in ('0', '16'):
        w4 = ('-b', 'w4a4', '--weight-group', group)
        s.agree(s.quantize(tiny_vit, *w4, *STATIC), s.pictures, MEDIAN, 0.8, int4=1, only=ort)
        s.agree(s.quantize(tiny_vit, *w4, '--act-group', '0', '--no-images'), s.pictures, MEDIAN, 0.8, int4=1)
    s.agree(s.quantize(s.embedded(), '-b', 'w4a4', '--no-images'), s.figures, MEDIAN, int4=1)
    s.agree(s.quantize(s.embedded(), '-b', 'w4a8', '--no-images'), s.figures, MEDIAN, int4=1, only=EXACT)


def test_swin(s):
    """Windows, shifted ones, biases and merging; what else differs is noise."""
    swin = s.path('swin.safetensors')
    s.agree(swin, s.pictures, FLOAT, 1)
    for only, *how in ((EXACT, 'w8a8', '--no-images'), (ENGINES, 'w4a4', '--act-group', '0', '--no-images'),
                       (EXACT, 'w8a8', *STATIC)):
        s.agree_but_for_noise(s.quantize(swin, '-b', *how), s.pictures, only)


def test_cnn(s):
    cnn = s.path('cnn.safetensors')
    for bits in ('w8a8', 'w4a4'):
        s.agree(s.quantize(cnn, '-b', bits, '--real', s.pictures, '--images', '16', '--no-tune'),
                s.pictures, MEDIAN, 0.8)
    s.agree(s.quantize(cnn, '-b', 'w4a4', '--mode', 'parity', '--steps', '12', '--batch', '4'),
            s.pictures, MEDIAN, 0.8)


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith('test_') and (len(sys.argv) < 6 or n in sys.argv[5:])]
    if not ENGINES:
        print('1..0 # SKIP no engine; pip install onnxruntime openvino')
        return 0
    print(f'1..{len(tests)}')
    if EXACT != ENGINES:
        print('# skipped: products of 8 x 8 bits in OpenVINO, whose sums saturate on this CPU')
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(folder)
        for i, (name, test) in enumerate(tests, 1):
            try:
                test(scene)
                print(f'ok {i} - {name}')
            except Exception:  # the next test shall run all the same
                bad += 1
                print(f'not ok {i} - {name}')
                traceback.print_exc()
            sys.stdout.flush()
    print(f'{len(tests) - bad} passed, {bad} failed')
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
