#!/usr/bin/env python3
"""onnx_accuracy.py NET.safetensors DATA [ONNX...]: what other engines make of exported networks.

The library decodes and normalises the images of DATA, computes their logits, and exports NET if no
ONNX file is named. ONNX Runtime and OpenVINO, where Python has them, get the same pixels. For each
engine and file one line of JSON: how many are right, how many have the library's class, and the
largest difference of a logit. DFQ_LIBRARY names the shared library."""
import argparse
import ctypes
import json
import os
import sys
import tempfile

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'examples'))
from quantize import Library, struct  # noqa: E402

LoadOptions = struct('LoadOptions', ('interpolation', ctypes.c_int32), ('arch', ctypes.c_char_p),
                     ('mean', ctypes.c_void_p), ('std', ctypes.c_void_p),
                     ('heads', ctypes.c_int64), ('image', ctypes.c_int64),
                     ('crop', ctypes.c_double), ('resize', ctypes.c_int32),
                     ('stem', ctypes.c_int32))
ExportOptions = struct('ExportOptions', ('opset', ctypes.c_int32))


def ort_run(path, threads):
    import onnxruntime
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = threads
    how.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, how, providers=['CPUExecutionProvider'])
    return lambda x: session.run(None, {'image': x})[0]


def openvino_run(path, threads):
    import openvino
    model = openvino.Core().compile_model(path, 'CPU', {'INFERENCE_NUM_THREADS': threads,
                                                        'INFERENCE_PRECISION_HINT': 'f32'})
    return lambda x: model(x)[0]


ENGINES = {'onnxruntime': ort_run, 'openvino': openvino_run}


def library_logits(dfq, net, data, images, batch):
    """Yields (pixels, logits, labels), some images at a time."""
    c = dfq.c
    c.dfq_dataset_get_count.restype = ctypes.c_int64
    n = min(c.dfq_dataset_get_count(data), images)
    for first in range(0, n, batch):
        count = min(batch, n - first)
        x = dfq.make('tensor', 'dataset_get_batch', data, net, ctypes.c_int64(first),
                     ctypes.c_int64(count))
        z = dfq.make('tensor', 'graph_forward', net, x)
        labels = [c.dfq_dataset_get_label(data, ctypes.c_int64(first + i)) for i in range(count)]
        yield numpy.array(dfq.floats(x)), numpy.array(dfq.floats(z)), numpy.array(labels)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('net')
    p.add_argument('data')
    p.add_argument('onnx', nargs='*')
    p.add_argument('--images', type=int, default=10 ** 9)
    p.add_argument('--batch', type=int, default=50)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--opset', type=int, default=0)
    p.add_argument('--resize', type=int, default=0, help='-1: pictures as they are; 0: as the network says')
    p.add_argument('--engines', default=','.join(ENGINES))
    o = p.parse_args()
    dfq = Library()
    load = dfq.options(LoadOptions, 'load')
    load.resize = o.resize
    net = dfq.make('graph', 'graph_load_with', dfq.context, os.fsencode(o.net), ctypes.byref(load))
    data = dfq.make('dataset', 'dataset_open', dfq.context, os.fsencode(o.data), ctypes.c_int32(0))
    with tempfile.TemporaryDirectory() as folder:
        if not o.onnx:
            o.onnx = [os.path.join(folder, 'net.onnx')]
            how = dfq.options(ExportOptions, 'export')
            how.opset = o.opset
            dfq.call('graph_export', net, os.fsencode(o.onnx[0]), ctypes.byref(how), None)
        runs = {}
        for name in o.engines.split(','):
            for path in o.onnx:
                try:
                    runs[name, path] = ENGINES[name](path, o.threads)
                except ImportError:
                    print(f'{name} is not installed: skipped', file=sys.stderr)
        compare(o, dfq, net, data, runs)


def compare(o, dfq, net, data, runs):
    right = {key: 0 for key in runs}
    same, worst, own, n, peak = dict(right), dict(right), 0, 0, 0.0
    for x, z, labels in library_logits(dfq, net, data, o.images, o.batch):
        n += len(labels)
        own += int((z.argmax(1) == labels).sum())
        peak = max(peak, float(abs(z).max()))
        for key, run in runs.items():
            y = run(x)
            right[key] += int((y.argmax(1) == labels).sum())
            same[key] += int((y.argmax(1) == z.argmax(1)).sum())
            worst[key] = max(worst[key], float(abs(y - z).max()))
    print(json.dumps({'engine': 'libdfq', 'file': o.net, 'images': n, 'right': own,
                      'largest_logit': round(peak, 3)}))
    for name, path in runs:
        print(json.dumps({'engine': name, 'file': path, 'right': right[name, path],
                          'same_class': same[name, path],
                          'largest_difference': float(f'{worst[name, path]:.3g}')}))


if __name__ == '__main__':
    main()
