/* Architecture detection and parameter loading for vision transformers. */
#include "nn/load.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "nn/vit.h"

/* -- numbers in metadata ----------------------------------------------------------------------- */

/* Metadata have decimal points, whatever the program's locale says. Returns the locale to restore
 * with uselocale(); "C" is built in, so nothing is allocated. */
static locale_t use_decimal_points(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

/* "0.5,0.5,0.5" -> out[n], each in lo..hi; false if it is anything else. */
static bool parse_floats(const char *text, int n, double lo, double hi, float *out)
{
    locale_t before = use_decimal_points();
    int good = 0;
    for (; good < n; good++) {
        char *end;
        double v = strtod(text, &end);
        if (end == text || !(v >= lo && v <= hi) || *end != (good + 1 < n ? ',' : '\0')) break;
        out[good] = (float)v;
        text = end + 1;
    }
    uselocale(before);
    return good == n;
}

/* What the metadata say about `key`; `out` stays as it is where they say nothing. */
static dfq_status meta_floats(const dfqi_safetensors *st, const char *path, const char *key, int n,
                              double lo, double hi, float *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    char show[DFQI_SHOW_MAX];
    float v[3];
    if (!text) return DFQ_OK;
    if (!parse_floats(text, n, lo, hi, v))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is \"%.40s\", expected %d number%s from %g to %g%s", path,
                         key, dfqi_show(text, show), n, n > 1 ? "s" : "", lo, hi,
                         n > 1 ? ", separated by commas" : "");
    memcpy(out, v, (size_t)n * sizeof *v);
    return DFQ_OK;
}

/* The same for a whole number. */
static dfq_status meta_int(const dfqi_safetensors *st, const char *path, const char *key,
                           int64_t lo, int64_t hi, int64_t *out)
{
    float v = (float)*out;
    DFQI_TRY(meta_floats(st, path, key, 1, (double)lo, (double)hi, &v));
    if (v != floorf(v))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: metadata %s is %g, expected a whole number",
                         path, key, (double)v);
    *out = (int64_t)v;
    return DFQ_OK;
}

/* -- architecture ------------------------------------------------------------------------------ */

static const dfq_tensor *need(const dfqi_safetensors *st, const char *path, const char *name,
                              int32_t rank, dfq_status *status)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    if (!t)
        *status = dfqi_fail(
            st->ctx, DFQ_E_CORRUPT,
            "%s: there is no tensor %s; a ViT or DeiT with timm's names is expected", path, name);
    else if (t->rank != rank)
        *status = dfqi_fail(st->ctx, DFQ_E_SHAPE, "%s: tensor %s has rank %d, expected %d", path,
                            name, t->rank, rank);
    return *status == DFQ_OK ? t : NULL;
}

/* Larger extents are a mistake, and products of smaller ones fit. */
enum { MAX_EXTENT = 1 << 24 };

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
    if (n < 1 || n > MAX_EXTENT) return -1;
    int64_t r = (int64_t)sqrt((double)n);
    return r * r == n ? r : -1;
}

static dfq_status from_shapes(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    dfq_status status = DFQ_OK;
    const dfq_tensor *proj = need(st, path, "patch_embed.proj.weight", 4, &status);
    const dfq_tensor *pos = proj ? need(st, path, "pos_embed", 3, &status) : NULL;
    const dfq_tensor *fc1 = pos ? need(st, path, "blocks.0.mlp.fc1.weight", 2, &status) : NULL;
    const dfq_tensor *norm = fc1 ? need(st, path, "blocks.0.norm1.weight", 1, &status) : NULL;
    const dfq_tensor *head = norm ? need(st, path, "head.weight", 2, &status) : NULL;
    if (!head) return status;
    a->vit.width = proj->dims[0];
    a->channels = proj->dims[1];
    a->vit.patch = proj->dims[2];
    a->vit.depth = count_blocks(st);
    a->vit.hidden = fc1->dims[0];
    a->classes = head->dims[0];
    int64_t side = square_root(pos->dims[1] - 1);
    if (a->vit.width < 1 || a->vit.width > MAX_EXTENT || a->vit.patch < 1 || a->vit.patch > 1024 ||
        a->vit.hidden < 1 || a->vit.hidden > MAX_EXTENT || a->classes < 1 ||
        a->classes > MAX_EXTENT || a->channels != 3 || side < 1 || side > 1024)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: width %lld, patch %lld, channels %lld, %lld positions do not make a "
                         "vision transformer on square colour images with one class token",
                         path, (long long)a->vit.width, (long long)a->vit.patch,
                         (long long)a->channels, (long long)pos->dims[1]);
    a->image = side * a->vit.patch;
    a->vit.heads =
        a->vit.width % 64 == 0 ? a->vit.width / 64 : 0; /* timm's head width, unless told */
    return DFQ_OK;
}

static void set3(float *v, float a, float b, float c)
{
    v[0] = a, v[1] = b, v[2] = c;
}

static dfq_status check_arch(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    if (a->vit.heads < 1 || a->vit.width % a->vit.heads)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: width %lld and %lld heads do not fit; say the number of heads in the "
                         "metadata key \"heads\"",
                         path, (long long)a->vit.width, (long long)a->vit.heads);
    return DFQ_OK;
}

dfq_status dfqi_arch_find(const dfqi_safetensors *st, const char *path, const char *arch_name,
                          dfqi_arch *out)
{
    dfqi_arch a = {.family = DFQI_FAMILY_VIT, .eps = 1e-6f};
    int64_t resize = 0;
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
    DFQI_TRY(meta_floats(st, path, "mean", 3, -1e3, 1e3, a.mean));
    DFQI_TRY(meta_floats(st, path, "std", 3, 1e-6, 1e3, a.std));
    DFQI_TRY(meta_floats(st, path, "eps", 1, 0.0, 1.0, &a.eps));
    DFQI_TRY(meta_int(st, path, "heads", 1, 4096, &a.vit.heads));
    DFQI_TRY(meta_int(st, path, "resize", 0, 16384, &resize));
    a.resize = (int32_t)resize;
    DFQI_TRY(check_arch(st->ctx, path, &a));
    *out = a;
    return DFQ_OK;
}

/* -- parameters -------------------------------------------------------------------------------- */

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
    if (!t) return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing", path, e->name);
    if (t->rank != e->rank || memcmp(t->dims, e->dims, (size_t)e->rank * sizeof *e->dims) != 0)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE, "%s: tensor %s is %s, expected %s", path, e->name,
                         dfqi_shape_text(t->rank, t->dims, have, sizeof have),
                         dfqi_shape_text(e->rank, e->dims, want, sizeof want));
    if (t->dtype != DFQI_F32 && t->dtype != DFQI_F16 && t->dtype != DFQI_BF16)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                         "%s: tensor %s is %s, expected F32, F16 or BF16", path, e->name,
                         dfqi_dtype_name(t->dtype));
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
                             path, name, (long long)net->arch.vit.depth);
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

/* -- metadata ---------------------------------------------------------------------------------- */

dfq_status dfqi_arch_meta(const dfqi_arch *a, dfqi_arena *arena, dfqi_st_meta out[DFQI_ARCH_META])
{
    static const char *const keys[DFQI_ARCH_META] = {"architecture", "eps", "heads", "mean",
                                                     "resize",       "std", "format"};
    char text[DFQI_ARCH_META][96];
    const float *m = a->mean, *s = a->std;
    locale_t before = use_decimal_points();
    snprintf(text[0], sizeof text[0], "%s", a->name);
    snprintf(text[1], sizeof text[1], "%.9g", (double)a->eps);
    snprintf(text[2], sizeof text[2], "%lld", (long long)a->vit.heads);
    snprintf(text[3], sizeof text[3], "%.9g,%.9g,%.9g", (double)m[0], (double)m[1], (double)m[2]);
    snprintf(text[4], sizeof text[4], "%d", a->resize);
    snprintf(text[5], sizeof text[5], "%.9g,%.9g,%.9g", (double)s[0], (double)s[1], (double)s[2]);
    snprintf(text[6], sizeof text[6], "dfq");
    uselocale(before);
    for (int i = 0; i < DFQI_ARCH_META; i++) {
        out[i].key = dfqi_arena_strdup(arena, keys[i]);
        out[i].value = dfqi_arena_strdup(arena, text[i]);
        if (!out[i].key || !out[i].value) return DFQ_E_NOMEM;
    }
    return DFQ_OK;
}
