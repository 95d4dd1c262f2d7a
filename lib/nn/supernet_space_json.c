/* Search spaces of networks in JSON. Unknown keys, missing keys and values out of range are errors
 * of one line each, which names the file and the key. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/json.h"
#include "nn/supernet.h"

enum { VERSION = 1, WIDTH_MAX = 4096, IMAGE_MAX = 1024, CLASSES_MAX = 65536 };

static const char *const mbconv_keys[] = {"dfq_space", "name",    "network", "image_px",
                                          "classes",   "stem",    "first",   "head",
                                          "stages",    "choices", NULL};
static const char *const vit_keys[] = {"dfq_space", "name",   "network", "image_px", "classes",
                                       "patch_px",  "tokens", "head",    "stages",   "optional",
                                       "width",     "depth",  "heads",   "ratio",    NULL};

const dfqi_supernet_space *dfqi_supernet_space_known(const char *name)
{
    static const dfqi_supernet_space *const known[] = {&dfqi_super_cifar_small,
                                                       &dfqi_super_cifar_full,
                                                       &dfqi_super_vit_small, &dfqi_super_vit_tiny};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]->name) == 0) return known[i];
    return NULL;
}

/* The JSON node to read, with the context and the file name for error texts. */
typedef struct reader {
    dfq_context *ctx;
    const char *file;
    dfqi_jnode at;
} reader;

static dfq_status open_list(const reader *r, const char *key, int32_t most, dfqi_jnode *list,
                            int32_t *out_n)
{
    DFQI_TRY(dfqi_json_get_array(r->at, key, list));
    int64_t n = dfqi_json_count(*list);
    if (n < 1 || n > most)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"%s\" has %lld entries, must be 1 to %d",
                         r->file, key, (long long)n, most);
    *out_n = (int32_t)n;
    return DFQ_OK;
}

/* -- MBConv ------------------------------------------------------------------------------------ */

static dfq_status read_stages(const reader *r, dfqi_supernet_space *s)
{
    static const char *const keys[] = {"width", "cells", "stride", NULL};
    int64_t cells = 0;
    dfqi_jnode list;
    DFQI_TRY(open_list(r, "stages", DFQI_SUPER_STAGES, &list, &s->n_stages));
    for (int32_t i = 0; i < s->n_stages; i++) {
        dfqi_jnode at;
        dfqi_super_stage *stage = &s->stages[i];
        DFQI_TRY(dfqi_json_get_object(dfqi_json_at(list, i), NULL, &at));
        DFQI_TRY(dfqi_json_only(at, keys));
        DFQI_TRY(dfqi_json_get_int(at, "width", 1, WIDTH_MAX, &stage->width));
        DFQI_TRY(dfqi_json_get_int(at, "cells", 1, DFQI_SUPER_CELLS, &stage->cells));
        DFQI_TRY(dfqi_json_get_int(at, "stride", 1, 4, &stage->stride));
        cells += stage->cells;
    }
    if (cells > DFQI_SUPER_CELLS)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                         "%s: \"cells\" of all \"stages\" make %lld, must be at most %d", r->file,
                         (long long)cells, DFQI_SUPER_CELLS);
    return DFQ_OK;
}

static dfq_status check_choice(const reader *r, const dfqi_supernet_space *s, int32_t i)
{
    const dfqi_super_choice *c = &s->choices[i];
    if (c->kernel % 2 == 0)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                         "%s: \"kernel\" of \"choices\" is %lld, must be odd", r->file,
                         (long long)c->kernel);
    for (int32_t k = 0; k < i; k++)
        if (s->choices[k].kernel == c->kernel && s->choices[k].expand == c->expand)
            return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                             "%s: \"choices\" has kernel %lld with expand %lld twice; remove one",
                             r->file, (long long)c->kernel, (long long)c->expand);
    return DFQ_OK;
}

static dfq_status read_choices(const reader *r, dfqi_supernet_space *s)
{
    static const char *const keys[] = {"kernel", "expand", NULL};
    dfqi_jnode list;
    DFQI_TRY(open_list(r, "choices", DFQI_SUPER_CHOICES, &list, &s->n_choices));
    for (int32_t i = 0; i < s->n_choices; i++) {
        dfqi_jnode at;
        DFQI_TRY(dfqi_json_get_object(dfqi_json_at(list, i), NULL, &at));
        DFQI_TRY(dfqi_json_only(at, keys));
        DFQI_TRY(dfqi_json_get_int(at, "kernel", 1, 15, &s->choices[i].kernel));
        DFQI_TRY(dfqi_json_get_int(at, "expand", 1, 16, &s->choices[i].expand));
        DFQI_TRY(check_choice(r, s, i));
    }
    return DFQ_OK;
}

static dfq_status read_mbconv(const reader *r, dfqi_supernet_space *s)
{
    DFQI_TRY(dfqi_json_only(r->at, mbconv_keys));
    DFQI_TRY(dfqi_json_get_int(r->at, "stem", 1, WIDTH_MAX, &s->stem));
    DFQI_TRY(dfqi_json_get_int(r->at, "first", 1, WIDTH_MAX, &s->first));
    DFQI_TRY(dfqi_json_get_int(r->at, "head", 1, WIDTH_MAX, &s->head));
    DFQI_TRY(read_stages(r, s));
    return read_choices(r, s);
}

/* -- ViT --------------------------------------------------------------------------------------- */

static dfq_status read_axis(const reader *r, const char *key, int64_t most, dfqi_super_axis *a)
{
    dfqi_jnode list;
    DFQI_TRY(open_list(r, key, DFQI_SUPER_VALUES, &list, &a->n));
    for (int32_t i = 0; i < a->n; i++) {
        DFQI_TRY(dfqi_json_get_int(dfqi_json_at(list, i), NULL, 1, most, &a->value[i]));
        if (i && a->value[i] <= a->value[i - 1])
            return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"%s\" must ascend, and does not at %lld",
                             r->file, key, (long long)a->value[i]);
    }
    return DFQ_OK;
}

static dfq_status read_axes(const reader *r, dfqi_supernet_space *s)
{
    dfqi_super_vit *v = &s->vit;
    DFQI_TRY(read_axis(r, "width", WIDTH_MAX, &v->width));
    DFQI_TRY(read_axis(r, "depth", 64, &v->depth));
    DFQI_TRY(read_axis(r, "heads", 64, &v->heads));
    DFQI_TRY(read_axis(r, "ratio", 16, &v->ratio));
    s->n_choices = dfqi_super_vit_choices(v);
    if (s->n_choices > DFQI_SUPER_CHOICES)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                         "%s: \"width\", \"depth\", \"heads\" and \"ratio\" make %d choices of a "
                         "stage, must be at most %d",
                         r->file, s->n_choices, DFQI_SUPER_CHOICES);
    return DFQ_OK;
}

static dfq_status read_vit(const reader *r, dfqi_supernet_space *s)
{
    dfqi_super_vit *v = &s->vit;
    int64_t stages;
    bool optional;
    DFQI_TRY(dfqi_json_only(r->at, vit_keys));
    DFQI_TRY(dfqi_json_get_int(r->at, "patch_px", 1, s->image, &v->patch));
    DFQI_TRY(dfqi_json_get_int(r->at, "tokens", 1, WIDTH_MAX, &v->tokens));
    DFQI_TRY(dfqi_json_get_int(r->at, "head", 1, WIDTH_MAX, &v->head));
    DFQI_TRY(dfqi_json_get_int(r->at, "stages", 1, DFQI_SUPER_CELLS, &stages));
    DFQI_TRY(dfqi_json_get_bool(r->at, "optional", &optional));
    if (s->image % v->patch)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"patch_px\" is %lld, must divide %lld",
                         r->file, (long long)v->patch, (long long)s->image);
    s->n_stages = (int32_t)stages;
    v->optional = optional;
    return read_axes(r, s);
}

/* -- both -------------------------------------------------------------------------------------- */

static dfq_status read_name(const reader *r, dfqi_supernet_space *s)
{
    const char *name;
    DFQI_TRY(dfqi_json_get_text(r->at, "name", &name));
    char plain[sizeof s->name];
    snprintf(plain, sizeof plain, "%s", name);
    dfqi_printable(plain);
    if (name[0] == '\0' || strcmp(plain, name) != 0)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"name\" must be 1 to %d bytes of plain text",
                         r->file, (int)sizeof s->name - 1);
    snprintf(s->name, sizeof s->name, "%s", name);
    return DFQ_OK;
}

/* Values within their ranges can still give a product that is too large. */
static dfq_status check_size(const reader *r, const dfqi_supernet_space *s)
{
    int32_t layers;
    double gib = dfqi_super_bytes(s, &layers) / (1 << 30);
    if (layers > DFQI_SUPER_LAYERS)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                         "%s: the supernet of space %s has %d layers, must have at most %d; take "
                         "fewer stages, choices or blocks",
                         r->file, s->name, layers, DFQI_SUPER_LAYERS);
    if (gib > DFQI_SUPER_GIB)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT,
                         "%s: the supernet of space %s has %.1f GiB of weights, must have at most "
                         "%d; take smaller widths, or fewer stages, choices or blocks",
                         r->file, s->name, gib, DFQI_SUPER_GIB);
    return DFQ_OK;
}

static dfq_status read_space(const reader *r, dfqi_supernet_space *s)
{
    const char *network;
    char show[DFQI_SHOW_MAX];
    int64_t version;
    DFQI_TRY(dfqi_json_get_int(r->at, "dfq_space", 1, INT32_MAX, &version));
    if (version > VERSION)
        return dfqi_fail(
            r->ctx, DFQ_E_UNSUPPORTED,
            "%s: \"dfq_space\" is %lld, must be %d; write the description for this version",
            r->file, (long long)version, VERSION);
    DFQI_TRY(read_name(r, s));
    DFQI_TRY(dfqi_json_get_text(r->at, "network", &network));
    DFQI_TRY(dfqi_json_get_int(r->at, "image_px", 1, IMAGE_MAX, &s->image));
    DFQI_TRY(dfqi_json_get_int(r->at, "classes", 2, CLASSES_MAX, &s->classes));
    if (strcmp(network, "mbconv") == 0)
        s->family = DFQI_SUPER_MBCONV;
    else if (strcmp(network, "vit") == 0)
        s->family = DFQI_SUPER_VIT;
    else
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"network\" is \"%s\", must be mbconv or vit",
                         r->file, dfqi_show(network, show));
    DFQI_TRY(s->family == DFQI_SUPER_VIT ? read_vit(r, s) : read_mbconv(r, s));
    return check_size(r, s);
}

dfq_status dfqi_supernet_space_parse(dfq_context *ctx, const char *file, const char *text,
                                     dfqi_supernet_space *out)
{
    dfqi_json *doc;
    dfqi_supernet_space s;
    memset(&s, 0, sizeof s);
    DFQI_TRY(dfqi_json_parse(ctx, file, text, strlen(text), &doc));
    dfq_status status = read_space(&(reader){ctx, file, dfqi_json_root(doc)}, &s);
    dfqi_json_release(doc);
    if (status == DFQ_OK) *out = s;
    return status;
}

/* Refuses a description with the name of a built-in space. */
dfq_status dfqi_supernet_space_read(dfq_context *ctx, const char *path, dfqi_supernet_space *out)
{
    dfqi_json *doc;
    dfqi_supernet_space s;
    memset(&s, 0, sizeof s);
    DFQI_TRY(dfqi_json_read(ctx, path, &doc));
    dfq_status status = read_space(&(reader){ctx, path, dfqi_json_root(doc)}, &s);
    dfqi_json_release(doc);
    if (status == DFQ_OK && dfqi_supernet_space_known(s.name))
        status = dfqi_fail(ctx, DFQ_E_CORRUPT,
                           "%s: \"name\" is \"%s\", that of a built-in space; choose another", path,
                           s.name);
    if (status == DFQ_OK) *out = s;
    return status;
}

/* -- writing ----------------------------------------------------------------------------------- */

static void put_mbconv(dfqi_jnode at, const dfqi_supernet_space *s)
{
    dfqi_json_put_int(at, "stem", s->stem);
    dfqi_json_put_int(at, "first", s->first);
    dfqi_json_put_int(at, "head", s->head);
    dfqi_jnode list = dfqi_json_put_array(at, "stages");
    for (int32_t i = 0; i < s->n_stages; i++) {
        dfqi_jnode stage = dfqi_json_put_object(list, NULL);
        dfqi_json_put_int(stage, "width", s->stages[i].width);
        dfqi_json_put_int(stage, "cells", s->stages[i].cells);
        dfqi_json_put_int(stage, "stride", s->stages[i].stride);
    }
    list = dfqi_json_put_array(at, "choices");
    for (int32_t i = 0; i < s->n_choices; i++) {
        dfqi_jnode choice = dfqi_json_put_object(list, NULL);
        dfqi_json_put_int(choice, "kernel", s->choices[i].kernel);
        dfqi_json_put_int(choice, "expand", s->choices[i].expand);
    }
}

static void put_axis(dfqi_jnode at, const char *key, const dfqi_super_axis *a)
{
    dfqi_jnode list = dfqi_json_put_array(at, key);
    for (int32_t i = 0; i < a->n; i++) dfqi_json_put_int(list, NULL, a->value[i]);
}

static void put_vit(dfqi_jnode at, const dfqi_supernet_space *s)
{
    dfqi_json_put_int(at, "patch_px", s->vit.patch);
    dfqi_json_put_int(at, "tokens", s->vit.tokens);
    dfqi_json_put_int(at, "head", s->vit.head);
    dfqi_json_put_int(at, "stages", s->n_stages);
    dfqi_json_put_bool(at, "optional", s->vit.optional != 0);
    put_axis(at, "width", &s->vit.width);
    put_axis(at, "depth", &s->vit.depth);
    put_axis(at, "heads", &s->vit.heads);
    put_axis(at, "ratio", &s->vit.ratio);
}

dfq_status dfqi_supernet_space_text(dfq_context *ctx, const dfqi_supernet_space *s, char **out)
{
    int vit = s->family == DFQI_SUPER_VIT;
    size_t size;
    dfqi_json *doc;
    DFQI_TRY(dfqi_json_new(ctx, s->name, &doc));
    dfqi_jnode root = dfqi_json_root(doc);
    dfqi_json_put_int(root, "dfq_space", VERSION);
    dfqi_json_put_text(root, "name", s->name);
    dfqi_json_put_text(root, "network", vit ? "vit" : "mbconv");
    dfqi_json_put_int(root, "image_px", s->image);
    dfqi_json_put_int(root, "classes", s->classes);
    if (vit)
        put_vit(root, s);
    else
        put_mbconv(root, s);
    dfq_status status = dfqi_json_dump(doc, 0, false, out, &size);
    dfqi_json_release(doc);
    return status;
}
