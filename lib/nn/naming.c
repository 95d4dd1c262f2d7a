/* The table of names, and the view of a file under this library's names. */
#include "nn/naming.h"

#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "nn/family.h"
#include "nn/naming_priv.h"

/* -- the table --------------------------------------------------------------------------------- */

typedef dfqi_naming_pattern pattern;

static const pattern of_timm[] = {{"cls_token", "cls_token"},
                                  {"pos_embed", "pos_embed"},
                                  {"register_tokens", "reg_token"}, /* DINOv2's own */
                                  {"mask_token", NULL},
                                  {"patch_embed.*", "patch_embed.*"},
                                  {"blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*"},
                                  {"blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*"},
                                  {"blocks.#.*", "blocks.#.*"},
                                  {"norm.*", "norm.*"},
                                  {"head.*", "head.*"},
                                  {"pre_logits.*", NULL}, /* unused, in old files */
                                  {NULL, NULL}};

static const pattern of_torchvision[] = {
    {"class_token", "cls_token"},
    {"encoder.pos_embedding", "pos_embed"},
    {"conv_proj.*", "patch_embed.proj.*"},
    {"encoder.layers.encoder_layer_#.ln_1.*", "blocks.#.norm1.*"},
    {"encoder.layers.encoder_layer_#.self_attention.in_proj_*", "blocks.#.attn.qkv.*"},
    {"encoder.layers.encoder_layer_#.self_attention.out_proj.*", "blocks.#.attn.proj.*"},
    {"encoder.layers.encoder_layer_#.ln_2.*", "blocks.#.norm2.*"},
    {"encoder.layers.encoder_layer_#.mlp.0.*", "blocks.#.mlp.fc1.*"},
    {"encoder.layers.encoder_layer_#.mlp.3.*", "blocks.#.mlp.fc2.*"},
    {"encoder.layers.encoder_layer_#.mlp.linear_1.*", "blocks.#.mlp.fc1.*"},
    {"encoder.layers.encoder_layer_#.mlp.linear_2.*", "blocks.#.mlp.fc2.*"},
    {"encoder.ln.*", "norm.*"},
    {"heads.head.*", "head.*"},
    {NULL, NULL}};

static const pattern of_transformers[] = {
    {"embeddings.cls_token", "cls_token"},
    {"embeddings.distillation_token", "dist_token"},
    {"embeddings.register_tokens", "reg_token"},
    {"embeddings.mask_token", NULL},
    {"embeddings.position_embeddings", "pos_embed"},
    {"embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"},
    {"encoder.layer.#.layernorm_before.*", "blocks.#.norm1.*"},
    {"encoder.layer.#.attention.attention.query.*", "blocks.#.attn.qkv.*@0"},
    {"encoder.layer.#.attention.attention.key.*", "blocks.#.attn.qkv.*@1"},
    {"encoder.layer.#.attention.attention.value.*", "blocks.#.attn.qkv.*@2"},
    {"encoder.layer.#.attention.output.dense.*", "blocks.#.attn.proj.*"},
    {"encoder.layer.#.layernorm_after.*", "blocks.#.norm2.*"},
    {"encoder.layer.#.intermediate.dense.*", "blocks.#.mlp.fc1.*"},
    {"encoder.layer.#.output.dense.*", "blocks.#.mlp.fc2.*"},
    {"encoder.layer.#.norm1.*", "blocks.#.norm1.*"}, /* DINOv2 */
    {"encoder.layer.#.norm2.*", "blocks.#.norm2.*"},
    {"encoder.layer.#.layer_scale1.lambda1", "blocks.#.ls1.gamma"},
    {"encoder.layer.#.layer_scale2.lambda1", "blocks.#.ls2.gamma"},
    {"encoder.layer.#.mlp.weights_in.*", "blocks.#.mlp.fc1.*"},
    {"encoder.layer.#.mlp.weights_out.*", "blocks.#.mlp.fc2.*"},
    {"encoder.layer.#.mlp.*", "blocks.#.mlp.*"},
    {"layernorm.*", "norm.*"},
    {"classifier.*", "head.*"},
    {"cls_classifier.*", "head.*"}, /* DeiT's */
    {"distillation_classifier.*", "head_dist.*"},
    {"pooler.*", NULL},
    {NULL, NULL}};

static const dfqi_naming namings[] = {
    {.name = "timm", .mark = "patch_embed.proj.weight", .patterns = of_timm, .eps = 1e-6f},
    {.name = "torchvision",
     .mark = "conv_proj.weight",
     .patterns = of_torchvision,
     .eps = 1e-6f,
     .imagenet = 1,
     .crop = 0.875,
     .bilinear = 1},
    {.name = "transformers",
     .mark = "embeddings.patch_embeddings.projection.weight",
     .patterns = of_transformers,
     .eps = 1e-12f,
     .crop = 1,
     .bilinear = 1},
};

/* What training programs and wrappers put in front of names. */
static const char *const prefixes[] = {"module.",   "model.",   "_orig_mod.",
                                       "backbone.", "encoder.", "vit.",
                                       "deit.",     "dinov2.",  "dinov2_with_registers.",
                                       "swin."};
enum { PREFIXES = sizeof prefixes / sizeof *prefixes, NAMINGS = sizeof namings / sizeof *namings };

/* -- matching ---------------------------------------------------------------------------------- */

enum { NAME_MAX_BYTES = 256, PARTS = 3, NUMBERS = 2 };

/* The name without one prefix; NULL: it has none. */
static const char *behind_prefix(const char *name)
{
    for (int k = 0; k < PREFIXES; k++) {
        size_t n = strlen(prefixes[k]);
        if (strncmp(name, prefixes[k], n) == 0) return name + n;
    }
    return NULL;
}

static const char *behind_digits(const char *text)
{
    while (*text >= '0' && *text <= '9') text++;
    return text;
}

/* Does `name` match `from`? Then number[] and *rest are what '#' and '*' stand for. */
static bool matches(const char *from, const char *name, const char *number[NUMBERS],
                    const char **rest)
{
    int n = 0;
    for (; *from; from++) {
        if (*from == '*') {
            *rest = name;
            return *name != '\0';
        }
        if (*from == '#') {
            const char *end = behind_digits(name);
            if (end == name || n == NUMBERS) return false;
            number[n++] = name;
            name = end;
            continue;
        }
        if (*from != *name++) return false;
    }
    return *name == '\0';
}

/* What `to`, which begins with '#', has in place of it and of a sign behind it. *to goes behind
 * these. */
static void put_number(const char **to, const char *digits, char text[16])
{
    int64_t v = 0;
    for (int i = 0; i < 9 && digits[i] >= '0' && digits[i] <= '9'; i++)
        v = v * 10 + (digits[i] - '0');
    const char sign = (*to)[1];
    if (sign == '+' || sign == '/') ++*to;
    snprintf(text, 16, "%lld", (long long)(sign == '+' ? v + 1 : sign == '/' ? v / 2 : v));
}

/* `to` with what '#' and '*' stand for. */
static void fill(const char *to, const char *const number[NUMBERS], const char *rest,
                 char out[NAME_MAX_BYTES])
{
    size_t at = 0;
    int k = 0;
    for (; *to && at + 1 < NAME_MAX_BYTES; to++) {
        char text[16];
        const char *from = *to == '#' ? text : *to == '*' ? rest : to;
        if (*to == '#') {
            put_number(&to, k < NUMBERS ? number[k] : "", text);
            k++;
        }
        size_t n = from == to ? 1 : strlen(from);
        if (n > NAME_MAX_BYTES - 1 - at) n = NAME_MAX_BYTES - 1 - at;
        memcpy(out + at, from, n);
        at += n;
    }
    out[at] = '\0';
}

/* The pattern that a name has, perhaps behind prefixes, and what the name becomes; NULL: none. */
static const pattern *translate(const dfqi_naming *naming, const char *name,
                                char out[NAME_MAX_BYTES])
{
    for (; name; name = behind_prefix(name))
        for (const pattern *p = naming->patterns; p->from; p++) {
            const char *number[NUMBERS] = {"", ""}, *rest = "";
            if (!matches(p->from, name, number, &rest)) continue;
            if (p->to) fill(p->to, number, rest, out);
            return p;
        }
    return NULL;
}

static bool has_mark(const dfqi_safetensors *st, const dfqi_naming *naming)
{
    for (int64_t i = 0; i < st->n_entries; i++)
        for (const char *name = st->entries[i].name; name; name = behind_prefix(name))
            if (strcmp(name, naming->mark) == 0) return true;
    return false;
}

/* Counters of batches, which only training needs. */
static bool is_counter(const char *name)
{
    static const char end[] = ".num_batches_tracked";
    size_t n = strlen(name), m = sizeof end - 1;
    return n > m && strcmp(name + n - m, end) == 0;
}

/* -- the view ---------------------------------------------------------------------------------- */

static const char *behind_prefixes(const char *name)
{
    for (const char *next = name; next && *next; next = behind_prefix(name)) name = next;
    return name;
}

static dfq_status add(dfqi_safetensors *view, dfqi_arena *names, const char *path, const char *name,
                      const char *was, dfq_tensor *t)
{
    char show[DFQI_SHOW_MAX];
    if (dfqi_st_find(view, name))
        return dfqi_fail(view->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s is %s, which another tensor is already; the file holds two "
                         "networks, save the one that is wanted",
                         path, dfqi_show(was, show), name);
    char *own = dfqi_arena_strdup(names, name);
    if (!own) return DFQ_E_NOMEM;
    view->entries[view->n_entries++] = (dfqi_st_entry){own, dfqi_tensor_retain(t)};
    return DFQ_OK;
}

/* Index of the tensor `name` of the view; -1: none. */
static int64_t index_of(const dfqi_safetensors *view, const char *name)
{
    int64_t i = view->n_entries - 1;
    while (i >= 0 && strcmp(view->entries[i].name, name) != 0) i--;
    return i;
}

static void drop(dfqi_safetensors *view, int64_t i)
{
    dfqi_tensor_release(view->entries[i].tensor);
    view->entries[i] = view->entries[--view->n_entries];
}

/* Queries, keys and values one under another: at[PARTS] are their places in the view. */
static dfq_status join(const dfqi_safetensors *view, const char *path, const int64_t at[PARTS],
                       dfq_tensor **out)
{
    const dfq_tensor *first = view->entries[at[0]].tensor;
    int64_t dims[DFQI_RANK_MAX];
    size_t bytes = (size_t)dfqi_tensor_count(first) * dfqi_dtype_bytes(first->dtype);
    memcpy(dims, first->dims, sizeof dims);
    for (int k = 1; k < PARTS; k++) {
        const dfq_tensor *t = view->entries[at[k]].tensor;
        if (t->dtype == first->dtype && t->rank == first->rank && first->rank > 0 &&
            memcmp(t->dims, first->dims, (size_t)t->rank * sizeof *dims) == 0)
            continue;
        return dfqi_fail(view->ctx, DFQ_E_SHAPE,
                         "%s: queries, keys and values of %.*s have different shapes or types",
                         path, (int)strlen(view->entries[at[0]].name) - 2,
                         view->entries[at[0]].name);
    }
    dims[0] *= PARTS; /* a tensor has at most 2^62 bytes, so this cannot overflow */
    DFQI_TRY(dfqi_tensor_new(view->ctx, first->dtype, first->rank, dims, out));
    for (size_t k = 0; k < PARTS; k++)
        memcpy((char *)(*out)->data + k * bytes, view->entries[at[k]].tensor->data, bytes);
    return DFQ_OK;
}

/* The parts of the tensor whose part i of the view is: "blocks.0.attn.qkv.weight@1". */
static dfq_status join_parts(dfqi_safetensors *view, dfqi_arena *names, const char *path, int64_t i)
{
    static const char *const words[PARTS] = {"queries", "keys", "values"};
    int64_t at[PARTS];
    dfq_tensor *whole;
    char *name = dfqi_arena_strdup(names, view->entries[i].name);
    if (!name) return DFQ_E_NOMEM;
    size_t n = strlen(name);
    for (int k = 0; k < PARTS; k++) {
        name[n - 1] = (char)('0' + k);
        at[k] = index_of(view, name);
        if (at[k] >= 0) continue;
        return dfqi_fail(view->ctx, DFQ_E_CORRUPT, "%s: the %s of %.*s are missing", path, words[k],
                         (int)n - 2, name);
    }
    DFQI_TRY(join(view, path, at, &whole));
    for (int k = 0; k < PARTS; k++) {
        name[n - 1] = (char)('0' + k);
        drop(view, index_of(view, name));
    }
    name[n - 2] = '\0';
    dfq_status status = add(view, names, path, name, name, whole);
    dfqi_tensor_release(whole);
    return status;
}

/* More tensors than any network has would take long to tell apart. */
enum { MOST_TENSORS = 1 << 14 };

static dfq_status fill_view(const dfqi_safetensors *st, const char *path, const dfqi_naming *naming,
                            dfqi_arena *names, dfqi_safetensors *view)
{
    if (st->n_entries > MOST_TENSORS)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED, "%s holds %lld tensors, must be at most %d",
                         path, (long long)st->n_entries, MOST_TENSORS);
    char show[DFQI_SHOW_MAX];
    const char *unneeded = NULL;
    int left_out = 0;
    const bool imported = dfqi_imported_fits(st); /* the structure names its tensors as they are */
    for (int64_t i = 0; i < st->n_entries; i++) {
        const dfqi_st_entry *e = &st->entries[i];
        char name[NAME_MAX_BYTES];
        if (is_counter(e->name)) continue;
        const pattern *p = naming ? translate(naming, e->name, name) : NULL;
        if (p && !p->to) {
            unneeded = e->name;
            left_out++;
            continue;
        }
        const char *own = imported ? e->name : behind_prefixes(e->name);
        DFQI_TRY(add(view, names, path, p ? name : own, e->name, e->tensor));
    }
    for (int64_t i = view->n_entries - 1; i >= 0; i--) {
        size_t n = i < view->n_entries ? strlen(view->entries[i].name) : 0;
        if (naming && n > 2 && view->entries[i].name[n - 2] == '@')
            DFQI_TRY(join_parts(view, names, path, i));
    }
    if (unneeded)
        dfqi_log(st->ctx, DFQ_LOG_INFO, "%s: %d tensors are not needed, %s among them", path,
                 left_out, dfqi_show(unneeded, show));
    return DFQ_OK;
}

dfq_status dfqi_naming_apply(const dfqi_safetensors *st, const char *path, dfqi_arena *names,
                             dfqi_safetensors *out, const dfqi_naming **out_naming)
{
    dfqi_safetensors view = {.ctx = st->ctx, .n_meta = st->n_meta, .meta = st->meta};
    const dfqi_naming *naming = NULL;
    const bool imported = dfqi_imported_fits(st);
    for (int k = 0; k < DFQI_NAMINGS_SWIN && !naming && !imported; k++)
        if (has_mark(st, &dfqi_namings_swin[k])) naming = &dfqi_namings_swin[k];
    for (int k = 0; k < NAMINGS && !naming && !imported; k++)
        if (has_mark(st, &namings[k])) naming = &namings[k];
    view.entries = dfqi_calloc(st->ctx, (size_t)st->n_entries, sizeof *view.entries);
    if (!view.entries) return DFQ_E_NOMEM;
    dfq_status status = fill_view(st, path, naming, names, &view);
    if (status != DFQ_OK) {
        dfqi_naming_view_fini(&view);
        return status;
    }
    *out = view;
    *out_naming = naming;
    return DFQ_OK;
}

bool dfqi_naming_leaves(const dfqi_naming *naming, const dfqi_arch *a, const char *name)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    char own[NAME_MAX_BYTES];
    const pattern *p = naming ? translate(naming, name, own) : NULL;
    if (is_counter(name) || (p && !p->to)) return true;
    return row->needless && row->needless(p ? own : behind_prefixes(name));
}

void dfqi_naming_view_fini(dfqi_safetensors *view)
{
    for (int64_t i = 0; i < view->n_entries; i++) dfqi_tensor_release(view->entries[i].tensor);
    dfqi_free(view->ctx, view->entries);
    view->entries = NULL;
    view->n_entries = 0;
}

void dfqi_naming_assume(const dfqi_naming *naming, dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    if (!naming || !row->assume) return;
    if (naming->imagenet) dfqi_imagenet_statistics(a);
    if (naming->crop > 0) a->crop = naming->crop;
    if (naming->bilinear) a->filter = DFQI_BILINEAR;
    row->assume(naming, a);
}

const char *dfqi_naming_word(const dfqi_naming *naming, const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    if (naming) return naming->name;
    return row->keys ? row->keys(a) : "";
}
