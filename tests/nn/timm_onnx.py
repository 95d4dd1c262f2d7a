"""How many of timm's classifiers the library reads from ONNX: each with random weights, exported by
TorchScript's exporter and, where that fails or its file is refused, by dynamo's; logits against ONNX
Runtime. A long run and no part of the tests. Nothing is downloaded.

usage: timm_onnx.py SOURCE_ROOT LIBRARY families|all [MILLIONS [TEXT]]
families: the smallest network of each module of timm; all: every one.
MILLIONS: networks with more parameters are left out (120).  TEXT: only names that have it."""
import collections
import multiprocessing
import os
import queue
import re
import sys
import tempfile
import time

import peers  # reads SOURCE_ROOT and LIBRARY
import numpy
import onnxruntime
import timm
import torch
from timm.models import _registry

SECONDS = 240  # for one network
WAYS = ('script 17', 'dynamo 18')


def size_of(name):
    """Millions of parameters; None: timm cannot make it here."""
    try:
        with torch.device('meta'):
            network = timm.create_model(name, pretrained=False)
        return sum(p.numel() for p in network.parameters()) / 1e6
    except Exception:  # some need values while they are made
        try:
            network = timm.create_model(name, pretrained=False)
            return sum(p.numel() for p in network.parameters()) / 1e6
        except Exception:
            return None


def chosen(which, most, text):
    """[(module, name, millions)], sizes over `most` left out."""
    smallest, every = {}, []
    for name in timm.list_models():
        module = _registry._model_to_module[name]
        if text not in name:
            continue
        size = size_of(name)
        if size is None or size > most:
            continue
        every.append((module, name, size))
        if module not in smallest or size < smallest[module][2]:
            smallest[module] = every[-1]
    return list(smallest.values()) if which == 'families' else every


def runtime_logits(path, x):
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads, how.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, how, providers=['CPUExecutionProvider'])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def attempt(dfq, entry, network, size):
    """The difference of logits, or a text that says why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = peers.export(entry, network, size, folder)
        except Exception as error:
            return f'not exported: {type(error).__name__}: {str(error).strip().splitlines()[0][:150]}'
        try:
            net = peers.engines.Network(dfq, path)
        except RuntimeError as error:
            return str(error).replace(folder + os.sep, '')
        x = numpy.random.default_rng(3).standard_normal((1, 3, *size), dtype=numpy.float32)
        pixels = peers.tensor(dfq, x)
        logits = dfq.make('tensor', 'graph_forward', net.graph, pixels)
        have = numpy.array(dfq.floats(logits))
        want = runtime_logits(path, x)
        far = abs(have - want).max() / abs(want).max()
        return float(far) if far < peers.BAR else f'WRONG: logits differ by {far:.2g} of the largest'


def one(name, said):
    """Puts (way, difference) or (None, reasons) of a network into the queue."""
    torch.set_num_threads(1)
    reasons = []
    with torch.no_grad():
        dfq = peers.engines.Library()
        entry = peers.Entry('timm', name)
        try:
            network, size = peers.make(entry)
            peers.randomise(network)
        except Exception as error:
            said.put((None, [f'not made: {error}']))
            return
        for way in WAYS:
            entry.onnx = way
            result = attempt(dfq, entry, network, size)
            if isinstance(result, float):
                said.put((way, result))
                return
            reasons.append(result)
    said.put((None, reasons))


def in_child(name):
    """In a process of its own, as exporters may take memory or time without end."""
    said = multiprocessing.Queue()
    child = multiprocessing.Process(target=one, args=(name, said))
    child.start()
    try:
        return said.get(timeout=SECONDS)
    except queue.Empty:
        child.kill()
        return None, [f'took more than {SECONDS} s, or ended']
    finally:
        child.join(10)


def kind(reason):
    """A refusal without the node's name and numbers, for counting."""
    return re.sub(r'-?\d[\d.e+-]*', 'N', re.sub(r'^[^:]*: (node "[^"]*" \((\w+)\))?', r'\2 ', reason))


def main():
    which, most, text = (sys.argv[3:] + ['120', ''][len(sys.argv) - 4:])[:3]
    names = chosen(which, float(most), text)
    loaded, ways, kinds = 0, collections.Counter(), collections.defaultdict(list)
    for i, (module, name, size) in enumerate(names, 1):
        begin = time.monotonic()
        way, result = in_child(name)
        if way:
            loaded += 1
            ways[way] += 1
            line = f'loads ({way}): {result:.1g}'
        else:
            line = ' || '.join(result)
            kinds[kind(result[-1 if 'not exported' in result[0] else 0])].append(name)
        print(f'{i}/{len(names)} {module} {name} {size:.1f} M: {line} '
              f'({time.monotonic() - begin:.0f} s)', flush=True)
    for reason, of in sorted(kinds.items(), key=lambda p: -len(p[1])):
        print(f'{len(of):4} {reason}: {", ".join(of[:6])}')
    print(f'{loaded} of {len(names)} load with logits of ONNX Runtime: {dict(ways)}')


if __name__ == '__main__':
    main()
