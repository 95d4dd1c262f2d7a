/* Architecture detection and parameter loading for vision transformers. */
#include "nn/load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/vit.h"

/* -- numbers in metadata ------------------------------------------------------------------------- */

/* "0.5,0.5,0.5" -> out[n]; false if it is anything else. */
static bool parse_floats(const char *text, int n, float *out)
{
    for (int i = 0; i < n; i++) {
        char *end;
        double v = strtod(text, &end);
        if (end == text || !isfinite(v) || *end != (i + 1 < n ? ',' : '\0')) return false;
        out[i] = (float)v;
        text = end + 1;
    }
    return true;
}

static dfq_status meta_floats(const dfqi_safetensors *st, const char *path, const char *key, int n,
                              float *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    float v[3];
    if (!text) return DFQ_OK;
    if (!parse_floats(text, n, v))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is \"%.40s\", expected %d number%s separated by commas",
                         path, key, text, n, n > 1 ? "s" : "");
    memcpy(out, v, (size_t)n * sizeof *v);
    return DFQ_OK;
}

/* -- architecture --------------------------------------------------------------------------------- */

static const dfq_tensor *need(const dfqi_safetensors *st, const char *path, const char *name,
                              int32_t rank, dfq_status *status)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    if (!t)
        *status = dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                            "%s: there is no tensor %s; a ViT or DeiT with timm's names is expected",
                            path, name);
    else if (t->rank != rank)
        *status = dfqi_fail(st->ctx, DFQ_E_SHAPE, "%s: tensor %s has rank %d, expected %d", path,
                            name, t->rank, rank);
    return *status == DFQ_OK ? t : NULL;
}

static int64_t count_blocks(const dfqi_safetensors *st)
{
    char name[64];
    for (int64_t i = 0;; i++) {
        snprintf(name, sizeof name, "blocks.%d.norm1.weight", (int)i);
        if (i >= 1000 || !dfqi_st_find(st, name)) return i;
    }
}

static int64_t square_root(int64_t n)
{
    int64_t r = (int64_t)sqrt((double)n);
    return r * r == n ? r : -1;
}

static dfq_status from_shapes(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    dfq_status status = DFQ_OK;
    const dfq_tensor *proj = need(st, path, "patch_embed.proj.weight", 4, &status);
    const dfq_tensor *pos = proj ? need(st, path, "pos_embed", 3, &status) : NULL;
    const dfq_tensor *fc1 = pos ? need(st, path, "blocks.0.mlp.fc1.weight", 2, &status) : NULL;
    const dfq_tensor *head = fc1 ? need(st, path, "head.weight", 2, &status) : NULL;
    if (!head) return status;
    a->width = proj->dims[0];
    a->channels = proj->dims[1];
    a->patch = proj->dims[2];
    a->depth = count_blocks(st);
    a->hidden = fc1->dims[0];
    a->classes = head->dims[0];
    int64_t side = square_root(pos->dims[1] - 1);
    if (a->width < 1 || a->patch < 1 || a->patch > 1024 || a->hidden < 1 || a->classes < 1 ||
        a->channels != 3 || side < 1 || side > 1024)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: width %lld, patch %lld, channels %lld, %lld positions do not make a "
                         "vision transformer on square colour images with one class token",
                         path, (long long)a->width, (long long)a->patch, (long long)a->channels,
                         (long long)pos->dims[1]);
    a->image = side * a->patch;
    a->heads = a->width % 64 == 0 ? a->width / 64 : 0; /* timm's head width, unless told */
    return DFQ_OK;
}

static void set3(float *v, float a, float b, float c)
{
    v[0] = a, v[1] = b, v[2] = c;
}

static dfq_status check_arch(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    if (a->heads < 1 || a->width % a->heads)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: width %lld and %lld heads do not fit; say the number of heads in the "
                         "metadata key \"heads\"",
                         path, (long long)a->width, (long long)a->heads);
    for (int i = 0; i < 3; i++)
        if (!(a->std[i] > 0))
            return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: metadata std[%d] is %g, must be above 0",
                             path, i, (double)a->std[i]);
    return DFQ_OK;
}

dfq_status dfqi_arch_find(const dfqi_safetensors *st, const char *path, const char *arch_name,
                          dfqi_arch *out)
{
    dfqi_arch a = {.family = DFQI_FAMILY_VIT, .eps = 1e-6f};
    float heads = 0, resize = 0;
    const char *name = arch_name ? arch_name : dfqi_st_meta_find(st, "architecture");
    if (!name) name = "vit";
    if (strncmp(name, "vit", 3) != 0 && strncmp(name, "deit", 4) != 0)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                         "%s: architecture \"%.60s\" is not known; names begin with vit or deit",
                         path, name);
    DFQI_TRY(from_shapes(st, path, &a));
    snprintf(a.name, sizeof a.name, "%s", name);
    if (name[0] == 'd') { /* DeiT was trained with ImageNet's statistics, ViT with 0.5 */
        set3(a.mean, 0.485f, 0.456f, 0.406f);
        set3(a.std, 0.229f, 0.224f, 0.225f);
    } else {
        set3(a.mean, 0.5f, 0.5f, 0.5f);
        set3(a.std, 0.5f, 0.5f, 0.5f);
    }
    DFQI_TRY(meta_floats(st, path, "mean", 3, a.mean));
    DFQI_TRY(meta_floats(st, path, "std", 3, a.std));
    DFQI_TRY(meta_floats(st, path, "eps", 1, &a.eps));
    DFQI_TRY(meta_floats(st, path, "heads", 1, &heads));
    DFQI_TRY(meta_floats(st, path, "resize", 1, &resize));
    if (heads >= 1 && heads <= 4096) a.heads = (int64_t)heads;
    a.resize = resize >= 1 && resize <= 16384 ? (int32_t)resize : 0;
    DFQI_TRY(check_arch(st->ctx, path, &a));
    *out = a;
    return DFQ_OK;
}

/* -- parameters ------------------------------------------------------------------------------------ */

static dfq_status check_values(dfq_context *ctx, const char *path, const char *name,
                               const dfq_tensor *t)
{
    const float *v = dfqi_tensor_f32(t);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++)
        if (!isfinite(v[i]))
            return dfqi_fail(ctx, DFQ_E_NUMERIC, "%s: tensor %s holds %g at element %lld", path,
                             name, (double)v[i], (long long)i);
    return DFQ_OK;
}

static dfq_status take_one(const dfqi_safetensors *st, const char *path, const dfqi_expect *e,
                           dfqi_param *out)
{
    const dfq_tensor *t = dfqi_st_find(st, e->name);
    char have[96], want[96];
    if (!t)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing", path, e->name);
    if (t->rank != e->rank || memcmp(t->dims, e->dims, (size_t)e->rank * sizeof *e->dims) != 0)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE, "%s: tensor %s is %s, expected %s", path, e->name,
                         dfqi_shape_text(t->rank, t->dims, have, sizeof have),
                         dfqi_shape_text(e->rank, e->dims, want, sizeof want));
    if (t->dtype != DFQI_F32 && t->dtype != DFQI_F16 && t->dtype != DFQI_BF16)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED, "%s: tensor %s is %s, expected F32, F16 or BF16",
                         path, e->name, dfqi_dtype_name(t->dtype));
    DFQI_TRY(dfqi_tensor_to_f32(t, &out->tensor));
    out->name = dfqi_strdup(st->ctx, e->name);
    if (!out->name) return DFQ_E_NOMEM;
    return check_values(st->ctx, path, e->name, out->tensor);
}

/* pre_logits: an unused layer in old ViT files */
static bool harmless(const char *name)
{
    return strncmp(name, "pre_logits.", 11) == 0;
}

static dfq_status check_leftover(const dfqi_safetensors *st, const char *path,
                                 const dfqi_network *net)
{
    for (int64_t i = 0; i < st->n_entries; i++) {
        const char *name = st->entries[i].name;
        if (!dfqi_network_find(net, name) && !harmless(name))
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                             "%s: tensor %.80s does not belong to a %lld-block vision transformer",
                             path, name, (long long)net->arch.depth);
    }
    return DFQ_OK;
}

dfq_status dfqi_network_take(const dfqi_safetensors *st, const char *path, const dfqi_arch *arch,
                             dfqi_network *out)
{
    dfqi_network net = {.ctx = st->ctx, .arch = *arch};
    dfq_status status;
    int32_t n = dfqi_vit_count(arch);
    net.params = dfqi_calloc(st->ctx, (size_t)n, sizeof *net.params);
    if (!net.params) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < n; i++) {
        dfqi_expect e;
        dfqi_vit_expect(arch, i, &e);
        net.n_params = i + 1;
        DFQI_GOTO(take_one(st, path, &e, &net.params[i]), fail);
    }
    DFQI_GOTO(check_leftover(st, path, &net), fail);
    *out = net;
    return DFQ_OK;
fail:
    dfqi_network_fini(&net);
    return status;
}

/* -- metadata --------------------------------------------------------------------------------------- */

dfq_status dfqi_arch_meta(const dfqi_arch *a, dfqi_arena *arena, dfqi_st_meta out[DFQI_ARCH_META])
{
    static const char *const keys[DFQI_ARCH_META] = {"architecture", "eps",    "heads", "mean",
                                                     "resize",       "std",    "format"};
    for (int i = 0; i < DFQI_ARCH_META; i++) {
        char text[96];
        if (i == 0) snprintf(text, sizeof text, "%s", a->name);
        if (i == 1) snprintf(text, sizeof text, "%.9g", (double)a->eps);
        if (i == 2) snprintf(text, sizeof text, "%lld", (long long)a->heads);
        if (i == 4) snprintf(text, sizeof text, "%d", a->resize);
        if (i == 3 || i == 5) {
            const float *v = i == 3 ? a->mean : a->std;
            snprintf(text, sizeof text, "%.9g,%.9g,%.9g", (double)v[0], (double)v[1], (double)v[2]);
        }
        if (i == 6) snprintf(text, sizeof text, "dfq");
        out[i].key = dfqi_arena_strdup(arena, keys[i]);
        out[i].value = dfqi_arena_strdup(arena, text);
        if (!out[i].key || !out[i].value) return DFQ_E_NOMEM;
    }
    return DFQ_OK;
}
