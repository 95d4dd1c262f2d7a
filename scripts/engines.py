"""Other engines that run ONNX files, and what the library computes on the same pixels. For tests and
benchmarks; needs NumPy, and of the engines what is at hand. DFQ_LIBRARY names the shared library."""
import copy
import ctypes
import os
import sys

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'examples'))
from infer import F32_NCHW, RuntimeInput  # noqa: E402
from quantize import ContextOptions, Library, struct  # noqa: E402

LoadOptions = struct('LoadOptions', ('interpolation', ctypes.c_int32), ('arch', ctypes.c_char_p),
                     ('mean', ctypes.c_void_p), ('std', ctypes.c_void_p),
                     ('heads', ctypes.c_int64), ('image', ctypes.c_int64),
                     ('crop', ctypes.c_double), ('resize', ctypes.c_int32),
                     ('stem', ctypes.c_int32), ('image_size', ctypes.c_int64),
                     ('activation', ctypes.c_int32), ('pooling', ctypes.c_int32),
                     ('class_names', ctypes.c_char_p), ('image_width', ctypes.c_int64),
                     ('image_size_width', ctypes.c_int64), ('resize_width', ctypes.c_int64))
RuntimeOptions = struct('RuntimeOptions', ('n_probes', ctypes.c_int32), ('batch', ctypes.c_int64),
                        ('probes', ctypes.c_void_p), ('profile', ctypes.c_int32),
                        ('integer', ctypes.c_int32))
ExportOptions = struct('ExportOptions', ('opset', ctypes.c_int32), ('int4', ctypes.c_int32),
                       ('integer', ctypes.c_int32))


def has_vnni():
    """Whether the CPU adds products of 8-bit codes in 32 bits. Without it engines add pairs of them in
    16 bits, which may saturate; OpenVINO cannot be told not to."""
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        return bool({'avx512_vnni', 'avx_vnni', 'asimddp'} & set(f.read().split()))


def onnxruntime_run(path, threads, batch=None, saturate=False):
    """batch: the extent of all inputs; None: any. saturate: sums may, on a CPU without VNNI, as they do
    where nobody says otherwise."""
    import onnxruntime
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = threads
    how.log_severity_level = 3
    how.add_session_config_entry('session.x64quantprecision', '0' if saturate else '1')
    if batch:
        how.add_free_dimension_override_by_name('batch', batch)
    session = onnxruntime.InferenceSession(path, how, providers=['CPUExecutionProvider'])
    return lambda x: session.run(None, {'image': x})[0]


def openvino_run(path, threads, batch=None):
    import openvino
    how = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32'}
    core = openvino.Core()
    model = core.read_model(path)
    if batch:
        model.reshape([batch, *list(model.input(0).partial_shape)[1:]])
    model = core.compile_model(model, 'CPU', how)
    return lambda x: model(x)[0]


ENGINES = {'onnxruntime': onnxruntime_run, 'openvino': openvino_run}


class Runtime:
    """A network as the library runs it: of float pixels that are normalised. integer: which it
    rounds to 8 bits, as engines do."""

    def __init__(self, dfq, path, threads, batch, integer=0):
        self.dfq = dfq = copy.copy(dfq)  # with a context that has so many threads
        how = dfq.options(ContextOptions, 'context')
        how.threads = threads
        dfq.context = dfq.make('context', 'context_create', ctypes.byref(how))
        run = dfq.options(RuntimeOptions, 'runtime')
        run.batch, run.integer = batch, integer
        self.handle = dfq.make('runtime', 'runtime_load', dfq.context, os.fsencode(path), None,
                               ctypes.byref(run))
        self.input = RuntimeInput()
        dfq.c.dfq_runtime_input_init(ctypes.byref(self.input),
                                     ctypes.c_size_t(ctypes.sizeof(self.input)), self.handle)
        self.input.n, self.input.pixels = batch, F32_NCHW

    def __call__(self, x):
        """x: contiguous float32 [batch,3,S,S]. The logits stay in the library."""
        self.input.data = x.ctypes.data
        self.dfq.call('runtime_run', self.handle, ctypes.byref(self.input), None, ctypes.c_int64(0))

    def peak(self):
        """Operations a second of the machine: (of floats, of codes)."""
        peak = ctypes.c_double(), ctypes.c_double()
        self.dfq.call('runtime_measure_peak', self.handle, *map(ctypes.byref, peak))
        return tuple(p.value for p in peak)


class Network:
    """A network of the library: its logits, its ONNX file."""

    def __init__(self, dfq, path, **how):
        """how: fields of LoadOptions."""
        load = dfq.options(LoadOptions, 'load')
        for field, value in how.items():
            setattr(load, field, value)
        self.dfq, self.path = dfq, path
        self.graph = dfq.make('graph', 'graph_load_with', dfq.context, os.fsencode(path),
                              ctypes.byref(load))

    def export(self, path, opset=0, int4=0, integer=0):
        how = self.dfq.options(ExportOptions, 'export')
        how.opset, how.int4, how.integer = opset, int4, integer
        self.dfq.call('graph_export', self.graph, os.fsencode(path), ctypes.byref(how), None)
        return path

    def logits(self, x):
        """Of pixels that are normalised, float32 [n,3,S,S]."""
        dfq = self.dfq
        t = dfq.make('tensor', 'tensor_create', dfq.context, ctypes.c_int32(0), ctypes.c_int32(x.ndim),
                     (ctypes.c_int64 * x.ndim)(*x.shape))
        numpy.asarray(dfq.floats(t))[...] = x
        z = dfq.make('tensor', 'graph_forward', self.graph, t)  # held while its memory is read
        return numpy.array(dfq.floats(z))

    def batches(self, data, images, batch):
        """Yields (pixels, logits, labels) of a data set, normalised, some images at a time."""
        dfq = self.dfq
        dfq.c.dfq_dataset_get_count.restype = ctypes.c_int64
        data = dfq.make('dataset', 'dataset_open', dfq.context, os.fsencode(data), ctypes.c_int32(0))
        n = min(dfq.c.dfq_dataset_get_count(data), images)
        for first in range(0, n, batch):
            count = min(batch, n - first)
            x = dfq.make('tensor', 'dataset_get_batch', data, self.graph, ctypes.c_int64(first),
                         ctypes.c_int64(count))
            z = dfq.make('tensor', 'graph_forward', self.graph, x)
            labels = [dfq.c.dfq_dataset_get_label(data, ctypes.c_int64(first + i))
                      for i in range(count)]
            yield numpy.array(dfq.floats(x)), numpy.array(dfq.floats(z)), numpy.array(labels)
