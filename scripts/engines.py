"""Other engines that run ONNX files, and what the library computes on the same pixels. For tests and
benchmarks; needs NumPy, and of the engines what is at hand. DFQ_LIBRARY names the shared library."""
import ctypes
import os
import sys

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'examples'))
from quantize import Library, struct  # noqa: E402

LoadOptions = struct('LoadOptions', ('interpolation', ctypes.c_int32), ('arch', ctypes.c_char_p),
                     ('mean', ctypes.c_void_p), ('std', ctypes.c_void_p),
                     ('heads', ctypes.c_int64), ('image', ctypes.c_int64),
                     ('crop', ctypes.c_double), ('resize', ctypes.c_int32),
                     ('stem', ctypes.c_int32))
ExportOptions = struct('ExportOptions', ('opset', ctypes.c_int32), ('int4', ctypes.c_int32))


def onnxruntime_run(path, threads):
    import onnxruntime
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = threads
    how.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, how, providers=['CPUExecutionProvider'])
    return lambda x: session.run(None, {'image': x})[0]


def openvino_run(path, threads):
    import openvino
    how = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32'}
    model = openvino.Core().compile_model(path, 'CPU', how)
    return lambda x: model(x)[0]


ENGINES = {'onnxruntime': onnxruntime_run, 'openvino': openvino_run}


class Network:
    """A network of the library: its logits, its ONNX file."""

    def __init__(self, dfq, path, resize=0):
        load = dfq.options(LoadOptions, 'load')
        load.resize = resize
        self.dfq, self.path = dfq, path
        self.graph = dfq.make('graph', 'graph_load_with', dfq.context, os.fsencode(path),
                              ctypes.byref(load))

    def export(self, path, opset=0, int4=0):
        how = self.dfq.options(ExportOptions, 'export')
        how.opset, how.int4 = opset, int4
        self.dfq.call('graph_export', self.graph, os.fsencode(path), ctypes.byref(how), None)
        return path

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
