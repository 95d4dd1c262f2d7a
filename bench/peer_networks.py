"""The networks that peers_int8.py runs: convolutional ones with random weights, quantized ones, and
their ONNX files."""
import ctypes
import json
import os
import struct

import engines
import numpy

QuantizeOptions = engines.struct(
    'QuantizeOptions', ('mode', ctypes.c_int32), ('weight_bits', ctypes.c_int32),
    ('act_bits', ctypes.c_int32), ('first_last_bits', ctypes.c_int32),
    ('weight_grid', ctypes.c_int32), ('act_grid', ctypes.c_int32), ('n_layers', ctypes.c_int32),
    ('layers', ctypes.c_void_p), ('rotate', ctypes.c_int32), ('act_scale', ctypes.c_int32),
    ('rounding', ctypes.c_int32), ('drawn_images', ctypes.c_int32), ('seed', ctypes.c_uint64),
    ('act_group', ctypes.c_int32))
ACT_SCALE_AUTO, ACT_SCALE_ROW, ACT_SCALE_TENSOR = range(3)
ACT_GROUP_AUTO, ACT_GROUP_NONE = -1, 0
ROUNDING_AUTO = 0
ROUNDING_NEAREST = 16  # speed does not depend on it, and it is quick


class Weights(dict):
    """Random weights that keep the size of activations, by their names in torchvision."""

    def __init__(self):
        super().__init__()
        self.rng = numpy.random.default_rng(0)

    def conv(self, name, norm, out, inputs, taps, gain=1.0):
        r = self.rng
        shape = out, inputs, taps, taps
        spread = numpy.sqrt(2 / (inputs * taps * taps))
        self[name + '.weight'] = r.standard_normal(shape) * spread
        self[norm + '.weight'] = gain * r.uniform(0.5, 1.5, out)
        self[norm + '.bias'] = 0.1 * r.standard_normal(out)
        self[norm + '.running_mean'] = 0.1 * r.standard_normal(out)
        self[norm + '.running_var'] = r.uniform(0.5, 2, out)

    def linear(self, name, out, inputs):
        self[name + '.weight'] = 0.02 * self.rng.standard_normal((out, inputs))
        self[name + '.bias'] = numpy.zeros(out)

    def save(self, path):
        head, data = {}, b''
        for name, value in self.items():
            raw = value.astype('<f4').tobytes()
            head[name] = {'dtype': 'F32', 'shape': value.shape,
                          'data_offsets': [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(head).encode()
        with open(path, 'wb') as f:
            f.write(struct.pack('<Q', len(text)) + text + data)
        return path


def resnet50():
    w, inputs = Weights(), 64
    w.conv('conv1', 'bn1', 64, 3, 7)
    for stage, (units, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512)), 1):
        for i in range(units):
            p = f'layer{stage}.{i}.'
            w.conv(p + 'conv1', p + 'bn1', width, inputs, 1)
            w.conv(p + 'conv2', p + 'bn2', width, width, 3)
            w.conv(p + 'conv3', p + 'bn3', 4 * width, width, 1, 0.2)
            if i == 0:
                w.conv(p + 'downsample.0', p + 'downsample.1', 4 * width, inputs, 1)
            inputs = 4 * width
    w.linear('fc', 1000, 2048)
    return w


def mobilenet_v2():
    w, inputs, k = Weights(), 32, 1
    w.conv('features.0.0', 'features.0.1', 32, 3, 3)
    for expand, out, units in ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3),
                               (6, 160, 3), (6, 320, 1)):
        for _ in range(units):
            p, wide, at = f'features.{k}.conv.', inputs * expand, 0
            if expand > 1:
                w.conv(p + '0.0', p + '0.1', wide, inputs, 1)
                at = 1
            w.conv(f'{p}{at}.0', f'{p}{at}.1', wide, 1, 3)
            w.conv(f'{p}{at + 1}', f'{p}{at + 2}', out, wide, 1)
            inputs, k = out, k + 1
    w.conv('features.18.0', 'features.18.1', 1280, 320, 1)
    w.linear('classifier.1', 1000, 1280)
    return w


def quantized(dfq, net, path, bits, images, act_scale=ACT_SCALE_AUTO, act_group=ACT_GROUP_AUTO,
              rounding=ROUNDING_NEAREST):
    """Writes a low-bit file of the network; bits of weights and of activations."""
    how = QuantizeOptions()
    dfq.c.dfq_quantize_options_init(ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    how.weight_bits, how.act_bits = bits
    how.act_scale, how.act_group, how.rounding = act_scale, act_group, rounding
    low = dfq.make('graph', 'graph_quantize', net.graph, images, ctypes.byref(how))
    dfq.call('graph_save', low, os.fsencode(path), ctypes.c_int32(0))
    return path


def quantize_static(source, out, pixels):
    """The file that ONNX Runtime's quantizer makes of a float one."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.rest = iter(pixels)

        def get_next(self):
            x = next(self.rest, None)
            return None if x is None else {'image': x[None]}

    quant_pre_process(source, out + '.pre')
    quantization.quantize_static(out + '.pre', out, Reader(), per_channel=True,
                                 quant_format=quantization.QuantFormat.QDQ,
                                 activation_type=quantization.QuantType.QUInt8,
                                 weight_type=quantization.QuantType.QInt8)
    return out
