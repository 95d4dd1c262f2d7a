/* Any bytes as the file of a network, float or low-bit; what is accepted becomes a runtime, which
 * runs on one image. */
#include <stdio.h>
#include <unistd.h>

#include <dfq/runtime.h>

#include "fuzz/target.h"

/* One file for all inputs, without a name in the file system. */
static int put(const uint8_t *data, size_t size, char *path, size_t cap)
{
    static FILE *f;
    if (!f) f = tmpfile();
    if (!f) abort();
    snprintf(path, cap, "/proc/self/fd/%d", fileno(f));
    return ftruncate(fileno(f), 0) == 0 && pwrite(fileno(f), data, size, 0) == (ssize_t)size;
}

static dfq_status run(dfq_runtime *rt)
{
    static const uint8_t pixels[256 * 256 * 3];
    dfq_runtime_info info = {.struct_size = sizeof info};
    dfq_runtime_input in;
    dfq_runtime_output out = {.struct_size = sizeof out};
    dfq_runtime_input_init(&in, sizeof in, rt);
    in.data = pixels;
    if (dfq_runtime_get_info(rt, &info) != DFQ_OK || info.channels != 3) abort();
    if (info.image > 256) return DFQ_OK;
    dfq_status status = dfq_runtime_run(rt, &in, NULL, 0);
    if (status != DFQ_OK) return status;
    if (dfq_runtime_get_output(rt, 0, &out) != DFQ_OK || out.dims[1] != info.classes) abort();
    return DFQ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dfq_context *ctx = target_context();
    dfq_runtime *rt = NULL;
    char path[64];
    if (!ctx) return 0;
    if (put(data, size, path, sizeof path)) {
        dfq_status status = dfq_runtime_load(ctx, path, NULL, NULL, &rt);
        target_check(ctx, status);
        if (status == DFQ_OK) target_check(ctx, run(rt));
        dfq_runtime_release(rt);
    }
    dfqi_context_release(ctx);
    return 0;
}
