#!/usr/bin/env python3
"""peers_int8.py FLOAT.safetensors DATA [LOW.safetensors...]: speed of exported networks in other
engines, beside that of ONNX Runtime's own quantizer.

Exports the float network and each low-bit one, lets ONNX Runtime quantize the exported float network
(QDQ, int8, per channel, calibrated on images of DATA), and runs all files in ONNX Runtime and
OpenVINO. In each round every kind takes a turn, so that what else the machine does meets all of
them; the median of the rounds counts. One line of JSON for each kind, with the versions in a first
line. DFQ_LIBRARY names the shared library. Measure on an otherwise idle machine."""
import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import tempfile
import time

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'scripts'))
import engines  # noqa: E402


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('float')
    p.add_argument('data')
    p.add_argument('low', nargs='*')
    p.add_argument('--batch', default='1,8', help='comma list of batch sizes')
    p.add_argument('--threads', default='1,2', help='comma list of thread counts')
    p.add_argument('--rounds', type=int, default=15)
    p.add_argument('--calibrate', type=int, default=32, help="images for ONNX Runtime's quantizer")
    p.add_argument('--resize', type=int, default=0,
                   help='shorter side of pictures; -1: pictures as they are; 0: as the network says')
    p.add_argument('--engines', default=','.join(engines.ENGINES))
    return p.parse_args()


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


def files(o, folder, dfq, pixels):
    """Name -> ONNX file."""
    net = engines.Network(dfq, o.float, o.resize)
    made = {'float': net.export(os.path.join(folder, 'float.onnx'))}
    made['onnxruntime quantizer'] = quantize_static(made['float'], os.path.join(folder, 'ort.onnx'),
                                                    pixels)
    for i, path in enumerate(o.low):
        low = engines.Network(dfq, path, o.resize)
        made[os.path.basename(path)] = low.export(os.path.join(folder, f'{i}.onnx'))
    return made


def measure(kinds, rounds):
    """Seconds of each kind, by round; the first round warms up."""
    seconds = {key: [] for key in kinds}
    for _ in range(rounds + 1):
        for key, (run, x) in kinds.items():
            begin = time.perf_counter()
            run(x)
            seconds[key].append(time.perf_counter() - begin)
    return {key: statistics.median(s[1:]) for key, s in seconds.items()}


def main():
    o = arguments()
    dfq = engines.Library()
    most = max(o.calibrate, *map(int, o.batch.split(',')))
    pixels = next(engines.Network(dfq, o.float, o.resize).batches(o.data, most, most))[0]
    print(json.dumps({name: importlib.metadata.version(name) for name in o.engines.split(',')}))
    with tempfile.TemporaryDirectory() as folder:
        made = files(o, folder, dfq, pixels[:o.calibrate])
        for threads in map(int, o.threads.split(',')):
            kinds = {}
            for engine in o.engines.split(','):
                for name, path in made.items():
                    run = engines.ENGINES[engine](path, threads)
                    for batch in map(int, o.batch.split(',')):
                        x = numpy.ascontiguousarray(pixels[:batch])
                        kinds[engine, name, batch] = run, x
            for (engine, name, batch), s in measure(kinds, o.rounds).items():
                print(json.dumps({'engine': engine, 'file': name, 'batch': batch, 'threads': threads,
                                  'ms': round(1e3 * s, 3), 'img_per_s': round(batch / s, 1)}),
                      flush=True)


if __name__ == '__main__':
    main()
