"""first_call.py NET.safetensors THREADS: milliseconds that a runtime takes to load and for its first
call with one image, and the bytes that are resident then over those before the library was there.
A line of JSON. A process of its own, without NumPy, so that nothing else is resident."""
import ctypes
import json
import os
import sys
import time
from ctypes import byref, c_size_t, sizeof

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'examples'))
from infer import RuntimeInfo, RuntimeInput  # noqa: E402
from quantize import ContextOptions  # noqa: E402


def resident():
    with open('/proc/self/statm') as f:
        return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def check(status):
    if status != 0:
        sys.exit(f'status {status}')


before = resident()
c = ctypes.CDLL(os.environ.get('DFQ_LIBRARY', 'libdfq.so'))
how, net, context = ContextOptions(), ctypes.c_void_p(), ctypes.c_void_p()
c.dfq_context_options_init(byref(how), c_size_t(sizeof(how)))
how.threads = int(sys.argv[2])
check(c.dfq_context_create(byref(how), byref(context)))
start = time.perf_counter()
check(c.dfq_runtime_load(context, os.fsencode(sys.argv[1]), None, None, byref(net)))
loaded = time.perf_counter()
info, image = RuntimeInfo(struct_size=sizeof(RuntimeInfo)), RuntimeInput()
check(c.dfq_runtime_get_info(net, byref(info)))
c.dfq_runtime_input_init(byref(image), c_size_t(sizeof(image)), net)
pixels = (ctypes.c_uint8 * (info.image ** 2 * info.channels))()
image.data = ctypes.addressof(pixels)
begin = time.perf_counter()
check(c.dfq_runtime_run(net, byref(image), None, ctypes.c_int64(0)))
end = time.perf_counter()
print(json.dumps({'load_ms': round(1e3 * (loaded - start), 2),
                  'first_ms': round(1e3 * (end - begin), 2),
                  'resident': resident() - before}))
