/* Support: see support.h. */
#include "nn/support.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "nn/family.h"
#include "nn/naming.h"
#include "nn/positions.h"
#include "nn/vit_forms.h"
#include "support/fail_alloc.h"
#include "support/formula.h"
#include "support/small_vit.h"

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
    return dfqt_vit(
        image, 10,
        (dfqi_vit_arch){
            .patch = patch, .width = width, .depth = depth, .heads = heads, .hidden = 2 * width});
}

dfqi_arch dfqt_resnet(dfqi_keys keys, int64_t width, int32_t stages, int32_t units)
{
    dfqi_arch a = {.family = DFQI_FAMILY_RESNET,
                   .name = "resnet_test",
                   .image = {32, 32},
                   .channels = 3,
                   .classes = 10,
                   .eps = 1e-5f,
                   .mean = {0.5f, 0.5f, 0.5f},
                   .std = {0.5f, 0.5f, 0.5f},
                   .of.cnn = {.keys = keys, .width = width, .small = 1}};
    a.of.cnn.padded = keys == DFQI_KEYS_AKAMASTER;
    for (int32_t s = 0; s < stages; s++) a.of.cnn.units[s] = units;
    return a;
}

dfqi_arch dfqt_mobilenet(dfqi_keys keys)
{
    dfqi_arch a = dfqt_resnet(keys, 0, 0, 0);
    a.family = DFQI_FAMILY_MOBILENET;
    memcpy(a.name, "mobilenet_test", 15);
    a.image = dfqi_square(224);
    a.classes = 1000;
    a.of.cnn.small = 0;
    return a;
}

/* Weights have the variance of He's initialisation, so that activations neither vanish nor
 * explode. */
void dfqt_fill(dfqi_network *net)
{
    for (int32_t p = 0; p < net->n_params; p++) {
        const dfqi_param *q = &net->params[p];
        const char *end = strrchr(q->name, '.');
        int64_t n = dfqi_tensor_count(q->tensor);
        float scale = 0.2f, base = 0.0f;
        if (q->tensor->rank > 1)
            scale = sqrtf(6.0f / (float)(n / q->tensor->dims[0]));
        else if (strcmp(end, ".weight") == 0 || strcmp(end, ".running_var") == 0)
            base = 1.0f;
        for (int64_t i = 0; i < n; i++)
            dfqi_tensor_f32(q->tensor)[i] = base + scale * dfqt_noise((uint32_t)p, (uint32_t)i);
    }
}

void dfqt_file(const dfqi_network *net, file *out)
{
    *out = (file){.st = {.ctx = net->ctx, .n_entries = net->n_params}};
    ck_assert_int_le(net->n_params, 300);
    out->st.entries = out->entries;
    out->st.meta = out->meta;
    for (int32_t i = 0; i < net->n_params; i++)
        out->entries[i] = (dfqi_st_entry){net->params[i].name, net->params[i].tensor};
}

void dfqt_file_meta(file *f, const char *key, const char *value)
{
    f->meta[f->st.n_meta++] = (dfqi_st_meta){(char *)(uintptr_t)key, (char *)(uintptr_t)value};
}

dfq_status dfqt_take(const dfqi_safetensors *st, const char *path, const dfq_load_options *o,
                     dfqi_arch *arch, dfqi_network *out)
{
    dfqi_safetensors view = {.ctx = st->ctx};
    const dfqi_naming *naming;
    dfqi_arena names;
    dfqi_arena_init(&names, st->ctx);
    dfq_status status = dfqi_naming_apply(st, path, &names, &view, &naming);
    if (status == DFQ_OK) status = dfqi_vit_unify(&view, &names, path, dfqi_image_told(st, o));
    if (status == DFQ_OK) status = dfqi_arch_find(&view, path, naming, o, arch);
    if (status == DFQ_OK && o && o->image_size) status = dfqi_positions_fit(&view, arch);
    if (status == DFQ_OK) status = dfqi_network_take(&view, path, arch, out);
    dfqi_naming_view_fini(&view);
    dfqi_arena_fini(&names);
    return status;
}

typedef struct taking {
    dfqi_safetensors *st;
    const dfq_load_options *o;
} taking;

static dfq_status take_once(dfq_context *ctx, void *arg)
{
    const taking *t = arg;
    dfqi_arch a;
    dfqi_network net;
    t->st->ctx = ctx;
    DFQI_TRY(dfqt_take(t->st, "some.file", t->o, &a, &net));
    dfqi_network_fini(&net);
    return DFQ_OK;
}

void dfqt_sweep_take(dfqi_safetensors *st, const dfq_load_options *o)
{
    taking t = {st, o};
    fail_alloc_sweep(take_once, &t, 1);
}

void dfqt_loading_begin(loading *l, const dfqi_arch *a)
{
    *l = (loading){.ctx = dfqt_context(1)};
    ck_assert_int_eq(dfqi_network_new(l->ctx, a, &l->source), DFQ_OK);
}

void dfqt_loading_end(loading *l)
{
    dfqi_network_fini(&l->source);
    dfq_context_release(l->ctx);
}
