#!/usr/bin/env python3
"""make_corpus.py [PROGRAM]: makes the hand-picked part of tests/fuzz/corpus/ (needs Pillow and onnx; networks are
quantized by PROGRAM, dfq). Inputs that once failed are added to the same folders by hand, named after
what they broke."""
import io
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

from PIL import Image

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def put(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def picture(mode, kind, **options):
    im = Image.new("RGB", (12, 9))
    im.putdata([(20 * x, 25 * y, 9 * x * y % 256) for y in range(9) for x in range(12)])
    out = io.BytesIO()
    im.convert(mode).save(out, kind, **options)
    return out.getvalue()


def networks(program):
    """A transformer and a convolutional network as small as they can be, float and low-bit."""
    sys.path.insert(0, str(CORPUS.parents[1] / "cli"))
    import tiny
    tiny.WIDTH, tiny.DEPTH, tiny.HIDDEN = 8, 1, 8
    with tempfile.TemporaryDirectory() as folder:
        tiny.make(folder)
        tiny.make_cnn(folder)
        few = ["--no-tune", "--images", "2", "--iters", "1"]
        for name, source, *how in (
                ("row", "tiny", "--bits", "w4a4", "--no-images"),
                ("static", "tiny", "--bits", "w8a8", "--act-scale", "tensor", *few),
                ("parity", "tiny", "--bits", "w4a8", "--mode", "parity", *few),
                ("low_cnn", "cnn", "--bits", "w4a4", *few)):
            out = f"{folder}/out"
            subprocess.run([program, "quantize", f"{folder}/{source}.safetensors", "-o", out, "-f", "-q",
                            *how], check=True)
            put("network", name, pathlib.Path(out).read_bytes())
        for source in ("tiny", "cnn"):
            put("network", "float_" + source, pathlib.Path(f"{folder}/{source}.safetensors").read_bytes())


def index(weight_map, **more):
    return json.dumps({"weight_map": weight_map, **more}).encode()


def put_indices():
    put("index", "good", index({"a": "1", "b": "2"}, metadata={"total_size": 8, "heads": "3"}))
    put("index", "swapped", index({"a": "2", "b": "1"}))
    put("index", "missing", index({"a": "1", "b": "2", "c": "2"}))
    put("index", "too-few", index({"a": "1"}))
    put("index", "no-reader", index({"a": "1", "b": "3"}))
    put("index", "outside", index({"a": "../1", "b": "2"}))
    put("index", "twice", b'{"weight_map": {"a": "1", "a": "2"}}')
    put("index", "number", index({"a": 1, "b": "2"}))
    put("index", "metadata", index({"a": "1", "b": "2"}, metadata=[]))
    put("index", "none", b"{}")


def onnx_files():
    """Small graphs: a network that is read, and each thing that is refused."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    import numpy

    def node(op, inputs, outputs, **attributes):
        return helper.make_node(op, inputs, outputs, name='n', **attributes)

    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def constant(name, value):
        return numpy_helper.from_array(numpy.asarray(value), name)

    ones = numpy.ones((2, 3), numpy.float32)
    head = [node('GlobalAveragePool', ['x'], ['p']), node('Flatten', ['p'], ['f']),
            node('Gemm', ['f', 'w'], ['y'], transB=1)]

    def graph(name, nodes=head, weights=(), image=(1, 3, 8, 8), outputs=('y',), opset=18, more=()):
        g = helper.make_graph(list(nodes), 'g', [info('x', image), *more],
                              [info(y, None) for y in outputs], [constant('w', ones), *weights])
        model = helper.make_model(g, opset_imports=[helper.make_opsetid('', opset)])
        put('onnx', name, model.SerializeToString())
        return model

    def int64(name, *values):
        return constant(name, numpy.array(values, numpy.int64))

    whole = graph('good').SerializeToString()
    put('onnx', 'truncated', whole[:-9])
    put('onnx', 'deep', deep(40))
    put('onnx', 'no_graph', b'\x08\x08\x42\x02\x10\x12')
    graph('batch', image=('b', 3, 8, 8))
    graph('batch_of_8', image=(8, 3, 8, 8))
    graph('any_size', image=(1, 3, 'h', 'w'))
    graph('not_square', image=(1, 3, 8, 16))
    graph('grey', image=(1, 1, 8, 8))
    graph('two_outputs', outputs=('y', 'f'))
    graph('two_inputs', more=[info('z', (1, 3, 8, 8))])
    graph('old_opset', opset=9)
    graph('unknown', [node('Det', ['x'], ['f']), head[2]])
    graph('nameless', [helper.make_node('Det', ['x'], ['f']), head[2]])
    einsum_files(graph, node, constant)
    graph('other_domain', [helper.make_node('Mine', ['x'], ['f'], name='n', domain='me'), head[2]])
    graph('cycle', [node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']),
                    node('GlobalAveragePool', ['b'], ['p']), *head[1:]])
    graph('twice', [*head, node('Relu', ['x'], ['p'])])
    inner = helper.make_graph([node('Relu', ['x'], ['r'])], 'inner', [], [info('r', None)])
    graph('if', [node('If', ['w'], ['p'], then_branch=inner, else_branch=inner), *head[1:]])
    graph('shape_of_2_64', [*head[:2], node('Reshape', ['f', 's'], ['r']), node('Gemm', ['r', 'w'], ['y'])],
          [int64('s', 2 ** 33, 2 ** 33)])
    graph('fill_of_2_60', [node('ConstantOfShape', ['s'], ['c']), node('Add', ['x', 'c'], ['a']),
                           node('GlobalAveragePool', ['a'], ['p']), *head[1:]], [int64('s', 2 ** 60)])
    graph('divides_by_0', [node('Div', ['s', 'z'], ['d']), node('Reshape', ['f', 'd'], ['y'])],
          [int64('s', 1), int64('z', 0)])
    graph('index', [*head[:2], node('Gather', ['f', 's'], ['y'], axis=1)], [int64('s', 9)])
    graph('axis', [node('Softmax', ['x'], ['y'], axis=7)])
    graph('two_sizes', [head[0], head[1], node('MatMul', ['f', 'w'], ['y'])])
    graph('no_image', [node('Relu', ['w'], ['y'])])
    graph('image_alone', [node('Relu', ['x'], ['y'])])
    graph('reshape_across', [node('Transpose', ['x'], ['t'], perm=[0, 2, 3, 1]), node('Reshape', ['t', 's'], ['r']),
                             node('ReduceMean', ['r', 'a'], ['y'], keepdims=0)], [int64('s', 1, 8, 3, 8), int64('a', 1, 3)])
    for name, size, how in (('nearest', 12, {'coordinate_transformation_mode': 'asymmetric', 'nearest_mode': 'floor'}),
                            ('linear', 16, {}), ('cubic', 16, {}), ('antialias', 4, {'mode': 'linear', 'antialias': 1}),
                            ('rounded', 24, {'mode': 'nearest', 'coordinate_transformation_mode': 'asymmetric'})):
        resize = helper.make_node('Resize', ['x', '', '', 's'], ['r'], name='/up/Resize', **{'mode': name, **how})
        graph('resize_' + name, [resize, node('GlobalAveragePool', ['r'], ['p']), *head[1:]], [int64('s', 1, 3, 8, size)])
    for name, place in (('outside', '../w'), ('absolute', '/etc/passwd'), ('missing', 'none.bin')):
        model = graph('external_' + name)
        w = model.graph.initializer[0]
        w.ClearField('raw_data')
        w.data_location = TensorProto.EXTERNAL
        w.external_data.add(key='location', value=place)
        put('onnx', 'external_' + name, model.SerializeToString())
    model = graph('bytes')
    model.graph.initializer[0].raw_data = b'1234'
    put('onnx', 'bytes', model.SerializeToString())
    model = graph('text')
    model.graph.initializer[0].data_type = TensorProto.STRING
    put('onnx', 'text', model.SerializeToString())
    for name in ('cnn_norms', 'vit_pieces', 'mixed'):
        path = CORPUS.parents[1] / 'golden' / f'import_{name}.onnx'
        put('onnx', name, path.read_bytes())


def einsum_files(graph, node, constant):
    """Equations that are read, and such that are refused. Operands are x [1,3,8,8], its means f [1,3], w [2,3]
    and v [3,2]."""
    import numpy
    start = [node('GlobalAveragePool', ['x'], ['p']), node('Flatten', ['p'], ['f'])]
    more = [constant('v', numpy.ones((3, 2), numpy.float32))]

    def put_equation(name, text, operands=('f', 'w'), **attributes):
        nodes = [*start, node('Einsum', list(operands), ['y'], **{'equation': text, **attributes})]
        graph('einsum_' + name, nodes, more)

    put_equation('weight', 'ab,cb->ac')
    put_equation('of_constants', 'ab,bc->ac', ('w', 'v'))
    graph('einsum_heads', [node('Einsum', ['x', 'x'], ['s'], equation=' B C i j , B C k j -> B i C k '),
                           node('Einsum', ['s', 'v'], ['t'], equation='bihk,hm->bmik'),
                           node('GlobalAveragePool', ['t'], ['p']), node('Flatten', ['p'], ['y'])], more)
    put_equation('twice', 'aa,ca->ac')
    put_equation('ellipsis', '...b,cb->...c')
    put_equation('ranks', 'abd,cb->ac')
    put_equation('extents', 'ab,bc->ac')
    put_equation('alone', 'ab,cd->ac')
    put_equation('nowhere', 'ab,cb->ad')
    put_equation('implicit', 'ab,cb')
    put_equation('three', 'ab,cb,cb->ac', ('f', 'w', 'w'))
    put_equation('operands', 'ab->ab')
    put_equation('outer', 'abcd,abef->abcdef', ('x', 'x'))
    put_equation('by_channel', 'ab,cb->abc')
    put_equation('long', 'ab,cb->ac' + ' ' * 200)
    put_equation('letters', 'abcdefghijklmnopqrstuvwxyz,cb->ac')
    put_equation('symbol', 'a1,cb->ac')
    graph('einsum_none', [*start, node('Einsum', ['f', 'w'], ['y'])])


def deep(n):
    """Graphs in attributes of nodes of graphs: field 7 of the model, 1, 5 and 6 of what is inside."""
    data = b''
    for i in range(n):
        for field in (6, 5, 1):
            data = bytes([field << 3 | 2]) + varint(len(data)) + data
    return b'\x08\x08' + bytes([7 << 3 | 2]) + varint(len(data)) + data


def varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def main():
    onnx_files()
    put_indices()
    two = {"__metadata__": {"format": "pt"}, "a": tensor("F32", [2, 1], 0, 8),
           "b": tensor("I64", [], 8, 16)}
    put("safetensors", "two", safetensors(two, bytes(16)))
    put("safetensors", "dtypes", safetensors(
        {t: tensor(t, [1], i * 8, i * 8 + n) for i, (t, n) in enumerate(
            [("F16", 2), ("BF16", 2), ("U8", 1), ("I8", 1), ("I32", 4)])}, bytes(36)))
    put("safetensors", "overlap", safetensors(
        {"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, bytes(3)))
    put("safetensors", "overflow", safetensors({"a": tensor("F32", [1 << 62, 4], 0, 0)}))
    put("safetensors", "beyond", safetensors({"a": tensor("U8", [99], 0, 99)}, bytes(9)))
    put("safetensors", "escapes", safetensors(b'{"\\u00e9\\n\\"":{"dtype":"U8","shape":[0]}}'))
    put("safetensors", "no_header", struct.pack("<Q", 1 << 63) + b"{}")
    put("safetensors", "empty", b"")

    put("image", "rgb.png", picture("RGB", "PNG"))
    put("image", "rgba.png", picture("RGBA", "PNG"))
    put("image", "palette.png", picture("P", "PNG"))
    put("image", "bilevel.png", picture("1", "PNG"))
    put("image", "rgb.jpg", picture("RGB", "JPEG", quality=50))
    put("image", "progressive.jpg", picture("RGB", "JPEG", progressive=True, quality=50))
    put("image", "grey.jpg", picture("L", "JPEG", quality=50))
    put("image", "lossy.webp", picture("RGB", "WEBP", quality=50))
    put("image", "lossless.webp", picture("RGBA", "WEBP", lossless=True))
    put("image", "cmyk.jpg", picture("CMYK", "JPEG", quality=50))
    put("image", "cut.jpg", picture("RGB", "JPEG", quality=50)[:-9])

    put("labels", "good", b"file,label\na.png,1\nb/c.jpg,9\n")
    put("labels", "crlf", b"\xef\xbb\xbffile,label\r\na.png,1\r\n\r\nb.png,0")
    put("labels", "double", b"file,label\na.png,1\nb.png,1\na.png,2\n")
    put("labels", "climb", b"file,label\na/../../b.png,1\n")
    put("labels", "range", b"file,label\na.png,10\n")
    put("labels", "zero", b"file,label\na\0.png,1\n")

    put("names", "lines", b"\xef\xbb\xbftench, Tinca\r\ngoldfish\r\n\r\n")
    put("names", "synsets", b"n01440764 tench, Tinca tinca\nn01443537 goldfish\n")
    put("names", "list", b'["tench", ["n01443537", "goldfish"]]')
    put("names", "object", b'{"1": "tench", "0": ["n01443537", "goldfish"]}')
    put("names", "numbers", b'{"tench": 1, "goldfish": 0}')
    put("names", "config", b'{"id2label": {"0": "tench"}}')
    put("names", "twice", b'{"tench": 0, "goldfish": 0}')
    put("names", "zero", b"a\0b\n")

    if len(sys.argv) > 1:
        networks(sys.argv[1])


if __name__ == "__main__":
    main()
