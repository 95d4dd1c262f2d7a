#!/usr/bin/env python3
"""export.py IN.safetensors OUT.onnx [OPSET]: a float or quantized network for other engines, from
Python by ctypes alone. Where Python has ONNX Runtime, it tells whether both agree about noise.

DFQ_LIBRARY names the shared library where the system does not find it."""
import ctypes
import os
import sys
from ctypes import byref, c_int32, c_int64

from quantize import Library, struct

ExportOptions = struct('ExportOptions', ('opset', c_int32), ('int4', c_int32), ('integer', c_int32))
ExportInfo = struct('ExportInfo', ('opset', c_int32), ('ir_version', c_int32), ('reserved', c_int32),
                    ('nodes', c_int64), ('constants', c_int64), ('bytes', c_int64))


def compare(dfq, net, path):
    """The largest difference of a logit, on a noise image; None without ONNX Runtime."""
    try:
        import numpy
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    shape = [1, *session.get_inputs()[0].shape[1:]]  # the batch is free
    noise = numpy.random.default_rng(0).standard_normal(shape, 'f4')
    images = dfq.make('tensor', 'tensor_create', dfq.context, c_int32(0), c_int32(4),
                      (c_int64 * 4)(*shape))
    numpy.copyto(numpy.asarray(dfq.floats(images)), noise)
    logits = dfq.make('tensor', 'graph_forward', net, images)
    there, = session.run(None, {'image': noise})
    return float(abs(there - numpy.asarray(dfq.floats(logits))).max())


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit('usage: export.py IN.safetensors OUT.onnx [OPSET]')
    dfq = Library()
    net = dfq.make('graph', 'graph_load', dfq.context, os.fsencode(sys.argv[1]), None)
    how = dfq.options(ExportOptions, 'export')
    if len(sys.argv) == 4:
        how.opset = int(sys.argv[3])
    done = ExportInfo(struct_size=ctypes.sizeof(ExportInfo))
    dfq.call('graph_export', net, os.fsencode(sys.argv[2]), byref(how), byref(done))
    print(f'{sys.argv[2]}: opset {done.opset}, {done.nodes} operators, {done.bytes} bytes')
    far = compare(dfq, net, sys.argv[2])
    if far is not None:
        print(f'ONNX Runtime: logits differ by {far:.2g} at most')


if __name__ == '__main__':
    try:
        main()
    except (RuntimeError, OSError, ValueError) as error:  # the library's line, no library, no number
        sys.exit(f'export.py: {error}')
