#!/usr/bin/env python3
"""quantize.py IN.safetensors OUT.safetensors [IMAGES STEPS]: libdfq from Python by ctypes alone.

Tensors show their memory as a memoryview: numpy.frombuffer, torch.frombuffer and array take it
without a copy. DFQ_LIBRARY names the shared library where the system does not find it."""
import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, \
    c_uint32, c_uint64, c_void_p

PROGRESS = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p)


def struct(name, *fields):
    return type(name, (ctypes.Structure,), {'_fields_': [('struct_size', c_uint32), *fields]})


# The first fields of the structs in the headers are enough: each struct tells its size.
ContextOptions = struct('ContextOptions', ('threads', c_int32), ('allocator', c_void_p),
                        ('log', c_void_p), ('log_user', c_void_p), ('progress', PROGRESS),
                        ('progress_user', c_void_p))
Progress = struct('Progress', ('reserved', c_int32), ('stage', c_char_p), ('done', c_uint64),
                  ('total', c_uint64), ('fraction', c_double))
SynthesizerOptions = struct('SynthesizerOptions', ('kind', c_int32), ('images', c_int64),
                          ('batch', c_int64), ('iterations', c_int64), ('seed', c_uint64))
TunerOptions = struct('TunerOptions', ('optimizer', c_int32), ('steps', c_int64))


class Library:
    """dfq.graph_load(...) calls dfq_graph_load; a status that is not 0 raises."""

    def __init__(self):
        self.c = ctypes.CDLL(os.environ.get('DFQ_LIBRARY', 'libdfq.so'))
        self.c.dfq_context_get_error.restype = c_char_p
        self.c.dfq_graph_get_name.restype = c_char_p
        self.c.dfq_tensor_get_data.restype = c_void_p
        self.c.dfq_tensor_get_dims.restype = POINTER(c_int64)
        self.c.dfq_tensor_get_bytes.restype = c_size_t
        self.context = None
        how = self.options(ContextOptions, 'context')
        how.progress = self.progress = PROGRESS(self.show)  # a reference keeps it alive
        self.context = self.make('context', 'context_create', byref(how))

    @staticmethod
    def show(progress, _):
        p = ctypes.cast(progress, POINTER(Progress)).contents
        print(f'\r{p.stage.decode()} {100 * p.fraction:3.0f} %  ', end='', file=sys.stderr)
        return 0  # anything else would stop the job

    def options(self, kind, name, *args):
        o = kind()
        getattr(self.c, f'dfq_{name}_options_init')(byref(o), c_size_t(ctypes.sizeof(o)), *args)
        return o

    def call(self, name, *args):
        if getattr(self.c, 'dfq_' + name)(*args) != 0:
            raise RuntimeError(self.c.dfq_context_get_error(self.context).decode())

    def make(self, noun, name, *args):
        """A handle that gives itself back."""
        h = Handle()
        h.release = getattr(self.c, f'dfq_{noun}_release')
        self.call(name, *args, byref(h))
        return h

    def floats(self, tensor):
        """The memory of an F32 tensor, shaped; valid while the tensor is held."""
        rank = self.c.dfq_tensor_get_rank(tensor)
        shape = self.c.dfq_tensor_get_dims(tensor)[:rank]
        n = self.c.dfq_tensor_get_bytes(tensor) // 4
        raw = (c_float * n).from_address(self.c.dfq_tensor_get_data(tensor))
        return memoryview(raw).cast('B').cast('f', shape)


class Handle(c_void_p):
    release = None

    def __del__(self):
        if self.value:
            self.release(self)


def classes(dfq, net, images):
    """The best class of each image."""
    logits = dfq.floats(dfq.make('tensor', 'graph_forward', net, images)).tolist()
    return [max(range(len(row)), key=row.__getitem__) for row in logits]


def main():
    if len(sys.argv) not in (3, 5):
        sys.exit('usage: quantize.py IN.safetensors OUT.safetensors [IMAGES STEPS]')
    source, out = (os.fsencode(a) for a in sys.argv[1:3])
    dfq = Library()
    net = dfq.make('graph', 'graph_load', dfq.context, source, None)
    auto, improved = c_int32(-1), c_int32(1)
    how = dfq.options(SynthesizerOptions, 'synthesizer', auto, improved, net)
    tune = dfq.options(TunerOptions, 'tuner', c_int32(0), None, c_int64(0))
    if len(sys.argv) == 5:
        how.images = int(sys.argv[3])
        how.iterations = tune.steps = int(sys.argv[4])
    synthesizer = dfq.make('synthesizer', 'synthesizer_create', net, byref(how))
    dfq.call('synthesizer_run', synthesizer)
    images = dfq.make('tensor', 'synthesizer_get_images', synthesizer)
    low = dfq.make('graph', 'graph_quantize', net, images, None)
    tuner = dfq.make('tuner', 'tuner_create', net, low, images, byref(tune))
    dfq.call('tuner_run', tuner)
    dfq.call('graph_save', low, out, c_int32(0))
    pairs = list(zip(classes(dfq, net, images), classes(dfq, low, images)))
    print(f'\n{sys.argv[2]}: {dfq.c.dfq_graph_get_name(low).decode()}, 4-bit; on its synthetic '
          f'images it agrees with the float network on {sum(a == b for a, b in pairs)} of '
          f'{len(pairs)}')


if __name__ == '__main__':
    try:
        main()
    except (RuntimeError, OSError, ValueError) as error:  # the library's line, no library, no number
        sys.exit(f'quantize.py: {error}')
