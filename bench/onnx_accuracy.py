#!/usr/bin/env python3
"""onnx_accuracy.py NET.safetensors DATA [ONNX...]: what other engines make of exported networks.

The library decodes and normalises the images of DATA, computes their logits, and exports NET if no
ONNX file is named. ONNX Runtime and OpenVINO, where Python has them, get the same pixels. For each
engine and file one line of JSON: how many are right, how many have the library's class, and the
largest and the median (over images) of the largest difference of a logit. DFQ_LIBRARY names the
shared library."""
import argparse
import json
import os
import sys
import tempfile

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'scripts'))
import engines  # noqa: E402


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('net')
    p.add_argument('data')
    p.add_argument('onnx', nargs='*')
    p.add_argument('--images', type=int, default=10 ** 9)
    p.add_argument('--batch', type=int, default=50)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--opset', type=int, default=0)
    p.add_argument('--int4', action='store_true')
    p.add_argument('--resize', type=int, default=0,
                   help='shorter side of pictures; -1: pictures as they are; 0: as the network says')
    p.add_argument('--engines', default=','.join(engines.ENGINES))
    return p.parse_args()


def compare(o, net, runs):
    worst, right, same = ({key: [] for key in runs} for _ in range(3))
    own, peak = [], 0.0
    for x, z, labels in net.batches(o.data, o.images, o.batch):
        own += list(z.argmax(1) == labels)
        peak = max(peak, float(abs(z).max()))
        for key, run in runs.items():
            y = run(x)
            right[key] += list(y.argmax(1) == labels)
            same[key] += list(y.argmax(1) == z.argmax(1))
            worst[key] += list(abs(y - z).max(1))
    print(json.dumps({'engine': 'libdfq', 'file': o.net, 'images': len(own), 'right': int(sum(own)),
                      'largest_logit': round(peak, 3)}))
    for name, path in (key for key in runs):
        key = name, path
        print(json.dumps({'engine': name, 'file': path, 'right': int(sum(right[key])),
                          'same_class': int(sum(same[key])),
                          'largest_difference': float(f'{max(worst[key]):.3g}'),
                          'median_difference': float(f'{numpy.median(worst[key]):.3g}')}))


def main():
    o = arguments()
    net = engines.Network(engines.Library(), o.net, resize=o.resize)
    with tempfile.TemporaryDirectory() as folder:
        files = o.onnx or [net.export(os.path.join(folder, 'net.onnx'), o.opset, o.int4)]
        runs = {}
        for name in o.engines.split(','):
            for path in files:
                try:
                    runs[name, path] = engines.ENGINES[name](path, o.threads)
                except ImportError:
                    print(f'{name} is not installed: skipped', file=sys.stderr)
        compare(o, net, runs)


if __name__ == '__main__':
    main()
