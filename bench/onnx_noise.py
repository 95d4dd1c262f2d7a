#!/usr/bin/env python3
"""onnx_noise.py NET.safetensors DATA [IMAGES]: how far an exported network in ONNX Runtime is from the
library, beside how far each of the two is from itself when float sums have another order.

Four sets of logits of the same pixels: the library with its fastest kernels and with those of AVX2,
ONNX Runtime with its graph optimisations and without. For each pair a line of JSON: images of one
class, and the median and the largest of the largest difference of a logit. DFQ_LIBRARY names the
shared library."""
import itertools
import json
import os
import subprocess
import sys
import tempfile

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'scripts'))
import engines  # noqa: E402


def session(path, optimised):
    import onnxruntime
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads, how.log_severity_level = 1, 3
    if not optimised:
        how.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    net = onnxruntime.InferenceSession(path, how, providers=['CPUExecutionProvider'])
    return lambda x: net.run(None, {'image': x})[0]


def collect(net, data, images, runs):
    """{name: logits} of the library and of each run, and the labels."""
    sets, labels = {key: [] for key in ('libdfq', *runs)}, []
    for x, z, of in net.batches(data, images, 10):
        sets['libdfq'].append(z)
        labels.append(of)
        for key, run in runs.items():
            sets[key].append(run(x))
    return {key: numpy.concatenate(v) for key, v in sets.items()}, numpy.concatenate(labels)


def main():
    path, data, images, *out = sys.argv[1:4] + (['650'] if len(sys.argv) < 4 else []) + sys.argv[4:]
    net = engines.Network(engines.Library(), path, resize=0)
    if out:  # the child with other kernels
        numpy.save(out[0], collect(net, data, int(images), {})[0]['libdfq'])
        return
    with tempfile.TemporaryDirectory() as folder:
        file, other = os.path.join(folder, 'net.onnx'), os.path.join(folder, 'logits.npy')
        net.export(file)
        sets, labels = collect(net, data, int(images), {'onnxruntime': session(file, True),
                                                        'onnxruntime, plain': session(file, False)})
        subprocess.run([sys.executable, __file__, path, data, images, other], check=True,
                       env={**os.environ, 'DFQ_KERNELS': 'avx2'})
        sets['libdfq, avx2'] = numpy.load(other)
    print(json.dumps({'images': len(labels), 'right': {k: int((v.argmax(1) == labels).sum()) for k, v in sets.items()}}))
    for a, b in itertools.combinations(sets, 2):
        far = abs(sets[a] - sets[b]).max(1)
        same = int((sets[a].argmax(1) == sets[b].argmax(1)).sum())
        print(json.dumps({'pair': [a, b], 'same_class': same, 'median': float(f'{numpy.median(far):.3g}'),
                          'largest': float(f'{far.max():.3g}')}))


if __name__ == '__main__':
    main()
