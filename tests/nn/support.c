/* Support: see support.h. */
#include "nn/support.h"

#include <check.h>
#include <stdint.h>

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context *ctx = NULL;
    dfq_context_options o;
    dfq_context_options_init(&o, sizeof o);
    o.threads = threads;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

dfqi_arch dfqt_arch(int64_t image, int64_t patch, int64_t width, int64_t depth, int64_t heads)
{
    return (dfqi_arch){.family = DFQI_FAMILY_VIT,
                       .name = "vit_test",
                       .image = image,
                       .channels = 3,
                       .classes = 10,
                       .vit.patch = patch,
                       .vit.width = width,
                       .vit.depth = depth,
                       .vit.heads = heads,
                       .vit.hidden = 2 * width,
                       .eps = 1e-6f,
                       .mean = {0.5f, 0.5f, 0.5f},
                       .std = {0.5f, 0.5f, 0.5f}};
}

void dfqt_file(const dfqi_network *net, file *out)
{
    *out = (file){.st = {.ctx = net->ctx, .n_entries = net->n_params}};
    ck_assert_int_le(net->n_params, 60);
    out->st.entries = out->entries;
    out->st.meta = out->meta;
    for (int32_t i = 0; i < net->n_params; i++)
        out->entries[i] = (dfqi_st_entry){net->params[i].name, net->params[i].tensor};
}

void dfqt_file_meta(file *f, const char *key, const char *value)
{
    f->meta[f->st.n_meta++] = (dfqi_st_meta){(char *)(uintptr_t)key, (char *)(uintptr_t)value};
}
