#!/usr/bin/env python3
"""infer.py MODEL.safetensors PICTURE...: the classes of pictures, from Python by ctypes alone.

A Runtime loads a network once, float or low-bit; a run allocates nothing in libdfq. NumPy and PyTorch
show their memory to it by the buffer protocol, and take the logits without a copy
(numpy.frombuffer). DFQ_LIBRARY names the shared library where the system does not find it."""
import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint32, c_void_p

U8_NHWC, U8_NCHW, F32_NCHW, F32_NHWC = range(4)  # DFQ_PIXELS_*: floats are normalised


def struct(name, *fields):
    return type(name, (ctypes.Structure,), {'_fields_': [('struct_size', c_uint32), *fields]})


# The first fields of the structs in the headers are enough: each struct tells its size.
RuntimeOptions = struct('RuntimeOptions', ('n_probes', c_int32), ('batch', c_int64))
RuntimeInput = struct('RuntimeInput', ('pixels', c_int32), ('data', c_void_p), ('n', c_int64),
                      ('height', c_int64), ('width', c_int64), ('channels', c_int64))
RuntimeInfo = struct('RuntimeInfo', ('quantized', c_int32), ('batch', c_int64), ('image', c_int64),
                     ('channels', c_int64), ('classes', c_int64), ('shared_bytes', c_int64),
                     ('private_bytes', c_int64), ('macs', c_int64), ('integer_macs', c_int64),
                     ('kernels', c_char_p), ('image_height', c_int64), ('image_width', c_int64))


class Runtime:
    """A network that runs. One thread at a time; clone() makes another one for a second thread."""

    def __init__(self, path, batch=1, of=None):
        self.c = ctypes.CDLL(os.environ.get('DFQ_LIBRARY', 'libdfq.so'))
        self.c.dfq_context_get_error.restype = c_char_p
        self.context, self.handle = c_void_p(), c_void_p()
        if self.c.dfq_context_create(None, byref(self.context)) != 0:
            raise MemoryError('no context')
        if of is None:
            how = RuntimeOptions()
            self.c.dfq_runtime_options_init(byref(how), c_size_t(ctypes.sizeof(how)))
            how.batch = batch
            self.call('runtime_load', self.context, os.fsencode(path), None, byref(how), byref(self.handle))
        else:
            self.call('runtime_clone', of.handle, self.context, byref(self.handle))
        self.info = RuntimeInfo(struct_size=ctypes.sizeof(RuntimeInfo))
        self.call('runtime_get_info', self.handle, byref(self.info))
        self.logits = (c_float * (self.info.batch * self.info.classes))()

    def __del__(self):
        if getattr(self, 'context', None):
            self.c.dfq_runtime_release(self.handle)
            self.c.dfq_context_release(self.context)

    def call(self, name, *args):
        if getattr(self.c, 'dfq_' + name)(*args) != 0:
            raise RuntimeError(self.c.dfq_context_get_error(self.context).decode())

    def clone(self):
        """One for another thread, which shares the weights."""
        return Runtime(None, of=self)

    def values(self):
        """Of one image."""
        return self.info.image_height * self.info.image_width * self.info.channels

    def read(self, picture):
        """A PNG or JPEG file as bytes [height][width][3], resized and cropped as the network wants it."""
        pixels = bytearray(self.values())
        room = (ctypes.c_uint8 * len(pixels)).from_buffer(pixels)
        self.call('runtime_read_picture', self.handle, os.fsencode(picture), room, c_size_t(len(pixels)))
        return pixels

    def run(self, images, n=1, pixels=U8_NHWC):
        """Logits of n images in writable contiguous memory, [n, classes]; valid until the next run."""
        view = memoryview(images).cast('B')
        need = n * self.values() * (4 if pixels >= F32_NCHW else 1)
        if len(view) != need:
            raise ValueError(f'images have {len(view)} bytes, must have {need}')
        what = RuntimeInput()
        self.c.dfq_runtime_input_init(byref(what), c_size_t(ctypes.sizeof(what)), self.handle)
        what.data = ctypes.addressof(ctypes.c_char.from_buffer(view))
        what.n, what.pixels = n, pixels
        self.call('runtime_run', self.handle, byref(what), self.logits, c_int64(len(self.logits)))
        return memoryview(self.logits).cast('B')[:4 * n * self.info.classes].cast(
            'f', (n, self.info.classes))


def main():
    if len(sys.argv) < 3:
        sys.exit('usage: infer.py MODEL.safetensors PICTURE...')
    net = Runtime(sys.argv[1])
    for picture in sys.argv[2:]:
        logits = net.run(net.read(picture)).tolist()[0]
        print(f'{picture}: class {max(range(len(logits)), key=logits.__getitem__)}')


if __name__ == '__main__':
    try:
        main()
    except (RuntimeError, OSError, ValueError) as error:  # the library's line, or no library
        sys.exit(f'infer.py: {error}')
