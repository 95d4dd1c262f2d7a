#!/usr/bin/env python3
"""peers_int8.py VIT.safetensors IMAGES RESNET20.safetensors CIFAR: the runtime beside ONNX Runtime
and OpenVINO, all in one run.

Networks: the two files, ResNet-50 and MobileNetV2 with random weights; float (the transformer) and
quantized. A peer's integer network is the faster one of two: of ONNX Runtime's own quantizer (QDQ, int8,
per channel, calibrated on some of the images) and, for static scales, of `dfq export`, of
convolutional networks with --integer. Quantized networks of the library round images to 8 bits, as
the peers' do. In each round
every kind takes a turn, so that what else the machine does meets all of them; the median of the
rounds counts. Sizes of batches are fixed in all engines. Standard output: versions, a line of JSON
for each kind, and Markdown tables. DFQ_LIBRARY names the shared library; Python needs numpy, onnx,
onnxruntime and openvino. Measure on an otherwise idle machine; it takes some ten minutes."""
import argparse
import ctypes
import functools
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'scripts'))
import engines  # noqa: E402
import peer_networks as networks  # noqa: E402
import peer_tables as tables  # noqa: E402

BATCHES = 1, 8
TURN = 0.04   # seconds of a turn, at least
PAUSE = 0.25  # before another engine's turn: idle threads of OpenVINO spin for over a tenth of a second
WARM = 0.15   # seconds of work behind a pause: until the system has given each thread its core
# As users run them; on a CPU without VNNI sums of their 8-bit products may saturate then.
PEERS = {**engines.ENGINES, 'onnxruntime': functools.partial(engines.onnxruntime_run, saturate=True)}
if not engines.has_vnni():
    PEERS[tables.EXACT] = engines.onnxruntime_run


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    for name in ('vit', 'images', 'resnet20', 'cifar'):
        p.add_argument(name)
    p.add_argument('--threads', default='1,2', help='comma list of thread counts')
    p.add_argument('--rounds', type=int, default=9)
    p.add_argument('--calibrate', type=int, default=8, help='images that scales come from')
    p.add_argument('--only', default='', help='networks, comma list of ' + ', '.join(NETWORKS))
    return p.parse_args()


class Job:
    """The kinds of one network: files, and what runs them."""

    def __init__(self, o, dfq, folder, name, path, data):
        self.o, self.dfq, self.name = o, dfq, name
        self.at = lambda kind: os.path.join(folder, f'{name}-{kind}')
        self.net = engines.Network(dfq, path)
        self.own = {}    # kind of arithmetic -> file of the library
        self.peers = {}  # the same -> ONNX files
        data = dfq.make('dataset', 'dataset_open', dfq.context, os.fsencode(data), ctypes.c_int32(0))
        self.images = dfq.make('tensor', 'dataset_get_batch', data, self.net.graph, ctypes.c_int64(0),
                               ctypes.c_int64(max(o.calibrate, *BATCHES)))
        self.pixels = numpy.array(dfq.floats(self.images))

    def quantize(self, kind, bits, act_scale=networks.ACT_SCALE_AUTO, act_group=networks.ACT_GROUP_AUTO):
        return networks.quantized(self.dfq, self.net, self.at(kind), bits, self.images, act_scale, act_group)

    def float(self):
        self.own['float'] = self.net.path
        self.peers['float'] = [self.net.export(self.at('float.onnx'))]

    def int8(self, static):
        """What the peers run where the library has 8 bits or less; static: a file to export."""
        source = self.net.export(self.at('source.onnx'))
        low = engines.Network(self.dfq, static).export(self.at('export.onnx'), integer=self.name != 'vit')
        self.peers['int8'] = [
            networks.quantize_static(source, self.at('ort.onnx'), self.pixels[:self.o.calibrate]), low]

    def kinds(self, threads):
        """(engine, arithmetic, file, batch) -> what runs it."""
        made = {}
        for batch in BATCHES:
            for kind, path in self.own.items():
                made['libdfq', kind, '', batch] = engines.Runtime(self.dfq, path, threads, batch,
                                                                       kind != 'float')
            for engine, load in PEERS.items():
                for kind, paths in self.peers.items():
                    for path in paths if engine != tables.EXACT or kind == 'int8' else ():
                        which = os.path.basename(path).split('-')[-1]
                        made[engine, kind, which, batch] = load(path, threads, batch)
        return made


def vit(o, dfq, folder):
    job = Job(o, dfq, folder, 'vit', o.vit, o.images)
    job.float()
    for w, a in (8, 8), (4, 8), (4, 4):
        job.own[f'w{w}a{a}'] = job.quantize(f'w{w}a{a}', (w, a))
    job.own['w4a4 rows'] = job.quantize('w4a4rows', (4, 4), act_group=networks.ACT_GROUP_NONE)
    job.int8(job.quantize('static', (8, 8), networks.ACT_SCALE_TENSOR))
    return job


def cnn(o, dfq, folder, name, path, data):
    job = Job(o, dfq, folder, name, path, data)
    job.own['w8a8'] = job.quantize('w8a8', (8, 8))
    job.int8(job.own['w8a8'])
    return job


NETWORKS = {
    'vit': vit,
    'resnet20': lambda o, dfq, at: cnn(o, dfq, at, 'resnet20', o.resnet20, o.cifar),
    'resnet50': lambda o, dfq, at: cnn(o, dfq, at, 'resnet50', networks.resnet50().save(
        os.path.join(at, 'resnet50')), o.images),
    'mobilenetv2': lambda o, dfq, at: cnn(o, dfq, at, 'mobilenetv2', networks.mobilenet_v2().save(
        os.path.join(at, 'mobilenetv2')), o.images),
}


def turn(run, x, warm):
    """Seconds of the fastest of some runs behind such that warm up, for `warm` seconds and one run."""
    begin = time.perf_counter()
    run(x)
    while time.perf_counter() - begin < warm:
        run(x)
    best, begin = float('inf'), time.perf_counter()
    while True:
        start = time.perf_counter()
        run(x)
        end = time.perf_counter()
        best = min(best, end - start)
        if end - begin > TURN:
            return best


def measure(jobs, threads, rounds):
    """(network, engine, arithmetic, file, batch) -> median seconds."""
    kinds = {(job.name, *key): (run, numpy.ascontiguousarray(job.pixels[:key[-1]]))
             for job in jobs for key, run in job.kinds(threads).items()}
    seconds = {key: [] for key in kinds}
    before = None
    for _ in range(rounds):
        for key, (run, x) in kinds.items():
            another = key[1] != before
            time.sleep(PAUSE if another else 0)
            seconds[key].append(turn(run, x, WARM if another else 0))
            before = key[1]
    return {key: statistics.median(s) for key, s in seconds.items()}


def first_call(path, threads):
    """Loading, first call and memory, in a process of its own."""
    child = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'first_call.py')
    out = subprocess.run([sys.executable, child, path, str(threads)], check=True,
                         capture_output=True, text=True)
    return json.loads(out.stdout)


def main():
    o = arguments()
    dfq = engines.Library()
    print(json.dumps({name: importlib.metadata.version(name) for name in engines.ENGINES}))
    all_threads = [int(t) for t in o.threads.split(',')]
    with tempfile.TemporaryDirectory() as folder:
        jobs = [make(o, dfq, folder) for name, make in NETWORKS.items()
                if not o.only or name in o.only.split(',')]
        found, peaks, first = {}, {}, {}
        for threads in all_threads:
            for (*key, batch), s in measure(jobs, threads, o.rounds).items():
                found[(*key, batch, threads)] = batch / s
                print(json.dumps(dict(zip(('network', 'engine', 'arithmetic', 'file', 'batch',
                                           'threads'), (*key, batch, threads)),
                                      ms=round(1e3 * s, 3), img_per_s=round(batch / s, 1))),
                      flush=True)
            for job in jobs:
                for kind, path in job.own.items():
                    first[job.name, kind, threads] = first_call(path, threads)
            net = engines.Runtime(dfq, jobs[0].own['w8a8'], threads, 1)
            peaks[threads] = [max(p) for p in zip(*(net.peak() for _ in range(5)))]
    tables.show(found, peaks, first, all_threads)


if __name__ == '__main__':
    main()
