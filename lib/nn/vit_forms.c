/* Brings the tensors of vision transformers into one form. */
#include "nn/vit_forms.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/family.h"

typedef struct forms {
    dfqi_safetensors *view;
    dfqi_arena *names;
    const char *path;
    int64_t width, blocks;
    int64_t patches; /* of the input that is told; 0: none is */
} forms;

/* -- the view ---------------------------------------------------------------------------------- */

static int64_t index_of(const forms *f, const char *name)
{
    int64_t i = f->view->n_entries - 1;
    while (i >= 0 && strcmp(f->view->entries[i].name, name) != 0) i--;
    return i;
}

/* The tensor of that name if it has this rank; NULL: the loader says what is wrong. */
static const dfq_tensor *tensor_of(const forms *f, const char *name, int32_t rank)
{
    const dfq_tensor *t = dfqi_st_find(f->view, name);
    return t && t->rank == rank ? t : NULL;
}

/* The tensor `name` becomes `t`, a reference that goes over; NULL: it is dropped. */
static dfq_status put(const forms *f, const char *name, dfq_tensor *t)
{
    dfqi_safetensors *v = f->view;
    int64_t i = index_of(f, name);
    if (i >= 0) {
        dfqi_tensor_release(v->entries[i].tensor);
        v->entries[i].tensor = t;
        if (!t) v->entries[i] = v->entries[--v->n_entries];
        return DFQ_OK;
    }
    if (!t) return DFQ_OK;
    char *own = dfqi_arena_strdup(f->names, name);
    dfqi_st_entry *more =
        own ? dfqi_realloc(v->ctx, v->entries, ((size_t)v->n_entries + 1) * sizeof *more) : NULL;
    if (!more) {
        dfqi_tensor_release(t);
        return DFQ_E_NOMEM;
    }
    v->entries = more;
    v->entries[v->n_entries++] = (dfqi_st_entry){own, t};
    return DFQ_OK;
}

/* A copy of rows `first` .. of a matrix or of tokens, as F32 that may be written. */
static dfq_status copy(const dfq_tensor *t, dfq_tensor **out)
{
    dfq_tensor *own, *from;
    DFQI_TRY(dfqi_tensor_to_f32(t, &from));
    dfq_status status = dfqi_tensor_new(t->ctx, DFQI_F32, t->rank, t->dims, &own);
    if (status == DFQ_OK) {
        memcpy(own->data, from->data, (size_t)dfqi_tensor_count(from) * sizeof(float));
        *out = own;
    }
    dfqi_tensor_release(from);
    return status;
}

/* The name of a tensor of block i, or of none. */
static const char *named(int64_t i, const char *what, char text[DFQI_NAME_MAX])
{
    if (i < 0)
        snprintf(text, DFQI_NAME_MAX, "%s", what);
    else
        snprintf(text, DFQI_NAME_MAX, "blocks.%lld.%s", (long long)i, what);
    return text;
}

/* -- what is not computed ---------------------------------------------------------------------- */

static const struct {
    const char *part, *why; /* a part of a tensor's name */
} refusals[] = {
    {"attn_pool.", "its head pools by attention (MAP), as SigLIP's does"},
    {"rel_pos", "its attention has relative positions"},
    {"relative_position_bias", "its attention has relative positions, as BEiT's"},
    {"rope", "its attention turns queries and keys by their positions (RoPE)"},
    {".gamma_1", "its blocks are those of EVA or BEiT, whose attention may have rotary or relative "
                 "positions, which tensors do not tell"},
    {".q_bias", "its blocks are those of EVA or BEiT, which have no bias of keys"},
    {".attns.", "it has parallel blocks"},
    {".in_proj.", "it has parallel blocks"},
    {"patch_embed.backbone.", "convolutions make its patches (a hybrid)"},
};

static dfq_status refuse(const forms *f, const char *tensor, const char *why)
{
    return dfqi_fail(f->view->ctx, DFQ_E_UNSUPPORTED,
                     "%s: tensor %.80s: %s; this library computes no such network", f->path, tensor,
                     why);
}

static dfq_status refuse_others(const forms *f)
{
    for (int64_t i = 0; i < f->view->n_entries; i++)
        for (size_t k = 0; k < sizeof refusals / sizeof *refusals; k++)
            if (strstr(f->view->entries[i].name, refusals[k].part))
                return refuse(f, f->view->entries[i].name, refusals[k].why);
    if (f->blocks == 0 || !dfqi_st_find(f->view, "blocks.0.norm1.weight")) return DFQ_OK;
    if (!dfqi_st_find(f->view, "blocks.0.norm1.bias") &&
        !dfqi_st_find(f->view, "blocks.0.norm2.bias"))
        return refuse(f, "blocks.0.norm1.weight", "its norms have no bias (RMSNorm)");
    if (!dfqi_st_find(f->view, "blocks.0.attn.qkv.bias") && dfqi_st_find(f->view, "fc_norm.bias") &&
        !dfqi_st_find(f->view, "blocks.0.ls1.gamma") && !dfqi_st_find(f->view, "reg_token"))
        return refuse(f, "blocks.0.norm1.weight",
                      "its norms may be behind attention and MLP (timm's rpn), which tensors do "
                      "not tell");
    return DFQ_OK;
}

/* -- tokens and positions ---------------------------------------------------------------------- */

static const char *const tokens[] = {"cls_token", "dist_token", "reg_token"};
enum { TOKENS = sizeof tokens / sizeof *tokens };

/* Tokens in front of the patches. */
static int64_t count_tokens(const forms *f)
{
    int64_t n = 0;
    for (int k = 0; k < TOKENS; k++) {
        const dfq_tensor *t = tensor_of(f, tokens[k], 3);
        if (t && t->dims[0] == 1 && t->dims[2] == f->width) n += t->dims[1];
    }
    return n;
}

static dfq_status join_tokens(const forms *f)
{
    const dfq_tensor *cls = tensor_of(f, tokens[0], 3);
    int64_t n = count_tokens(f), at = 0;
    dfq_tensor *all;
    if (!cls || n <= cls->dims[1] || n > f->width) return DFQ_OK;
    DFQI_TRY(dfqi_tensor_new(f->view->ctx, DFQI_F32, 3, (int64_t[]){1, n, f->width}, &all));
    for (int k = 0; k < TOKENS; k++) {
        const dfq_tensor *t = tensor_of(f, tokens[k], 3);
        dfq_tensor *from = NULL;
        if (!t || t->dims[0] != 1 || t->dims[2] != f->width) continue;
        dfq_status status = dfqi_tensor_to_f32(t, &from);
        if (status != DFQ_OK) {
            dfqi_tensor_release(all);
            return status;
        }
        memcpy(dfqi_tensor_f32(all) + at, from->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
        at += dfqi_tensor_count(t);
        dfqi_tensor_release(from);
    }
    for (int k = 1; k < TOKENS; k++) DFQI_TRY(put(f, tokens[k], NULL)); /* cannot fail */
    return put(f, tokens[0], all);
}

/* Can an image have so many patches? */
static bool is_grid(const forms *f, int64_t n)
{
    const int64_t r = n > 0 ? (int64_t)sqrt((double)n) : 0;
    return n > 0 && (f->patches ? n == f->patches : r * r == n);
}

/* Rows for all tokens, where only patches have positions, or they and the class token. */
static dfq_status pad_positions(const forms *f)
{
    const dfq_tensor *pos = tensor_of(f, "pos_embed", 3);
    int64_t tokens_n = count_tokens(f), found = -1;
    if (!pos || pos->dims[0] != 1 || pos->dims[2] != f->width || pos->dims[1] > DFQI_EXTENT_MAX)
        return DFQ_OK;
    const int64_t tried[] = {tokens_n, 0, tensor_of(f, tokens[0], 3) ? 1 : 0};
    for (int k = 0; k < 3; k++) {
        if (found == tried[k] || tried[k] > tokens_n || !is_grid(f, pos->dims[1] - tried[k]))
            continue;
        if (found >= 0)
            return dfqi_fail(f->view->ctx, DFQ_E_UNSUPPORTED,
                             "%s: pos_embed has %lld rows, of which %lld or %lld may be of tokens "
                             "in front of the patches; tensors do not tell",
                             f->path, (long long)pos->dims[1], (long long)found,
                             (long long)tried[k]);
        found = tried[k];
    }
    if (found < 0 || found == tokens_n) return DFQ_OK;
    dfq_tensor *from, *all;
    int64_t rows = pos->dims[1] + tokens_n - found, width = f->width;
    DFQI_TRY(dfqi_tensor_to_f32(pos, &from));
    dfq_status status =
        dfqi_tensor_new(f->view->ctx, DFQI_F32, 3, (int64_t[]){1, rows, width}, &all);
    if (status == DFQ_OK) {
        const float *x = dfqi_tensor_f32(from);
        float *y = dfqi_tensor_f32(all);
        memcpy(y, x, (size_t)(found * width) * sizeof *y);
        memcpy(y + tokens_n * width, x + found * width,
               (size_t)((pos->dims[1] - found) * width) * sizeof *y);
        status = put(f, "pos_embed", all);
    }
    dfqi_tensor_release(from);
    return status;
}

/* -- biases and LayerScale --------------------------------------------------------------------- */

/* Layers of a block whose bias may be missing, in every block alike. */
static const char *const layers[] = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"};
enum { LAYERS = sizeof layers / sizeof *layers };

static dfq_status add_bias(const forms *f, int64_t block, const char *layer)
{
    char what[64], name[DFQI_NAME_MAX];
    dfq_tensor *zeros;
    snprintf(what, sizeof what, "%s.weight", layer);
    const dfq_tensor *w = dfqi_st_find(f->view, named(block, what, name));
    snprintf(what, sizeof what, "%s.bias", layer);
    if (!w || w->rank < 2 || dfqi_st_find(f->view, named(block, what, name))) return DFQ_OK;
    DFQI_TRY(dfqi_tensor_new(f->view->ctx, DFQI_F32, 1, w->dims, &zeros));
    return put(f, name, zeros);
}

/* A bias that some blocks have and others do not is one that is missing. Patches have none in front
 * of a norm. */
static dfq_status add_biases(const forms *f)
{
    char what[64], name[DFQI_NAME_MAX];
    if (dfqi_st_find(f->view, "norm_pre.weight")) DFQI_TRY(add_bias(f, -1, "patch_embed.proj"));
    for (int k = 0; k < LAYERS; k++) {
        bool any = false;
        snprintf(what, sizeof what, "%s.bias", layers[k]);
        for (int64_t i = 0; i < f->blocks; i++)
            any |= dfqi_st_find(f->view, named(i, what, name)) != NULL;
        for (int64_t i = 0; i < f->blocks && !any; i++) DFQI_TRY(add_bias(f, i, layers[k]));
    }
    return DFQ_OK;
}

/* Rows of a matrix, or entries of a bias, times factors. */
static dfq_status scale_rows(const forms *f, const char *name, const float *factor, int64_t n)
{
    const dfq_tensor *t = dfqi_st_find(f->view, name);
    dfq_tensor *own;
    if (!t || t->rank < 1 || t->dims[0] != n) return DFQ_OK; /* the loader refuses it */
    DFQI_TRY(copy(t, &own));
    float *v = dfqi_tensor_f32(own);
    int64_t cols = n > 0 ? dfqi_tensor_count(own) / n : 0;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < cols; c++) v[r * cols + c] *= factor[r];
    return put(f, name, own);
}

static dfq_status fold_scale(const forms *f, int64_t block, const char *gamma, const char *layer)
{
    char name[DFQI_NAME_MAX], what[64];
    const dfq_tensor *t = tensor_of(f, named(block, gamma, name), 1);
    dfq_tensor *factors;
    if (!t || t->dims[0] != f->width) return DFQ_OK;
    DFQI_TRY(dfqi_tensor_to_f32(t, &factors));
    DFQI_TRY(put(f, name, NULL)); /* cannot fail */
    const char *const ends[] = {"weight", "bias"};
    dfq_status status = DFQ_OK;
    for (int k = 0; k < 2 && status == DFQ_OK; k++) {
        snprintf(what, sizeof what, "%s.%s", layer, ends[k]);
        status = scale_rows(f, named(block, what, name), dfqi_tensor_f32(factors), f->width);
    }
    dfqi_tensor_release(factors);
    return status;
}

static dfq_status fold_scales(const forms *f)
{
    for (int64_t i = 0; i < f->blocks; i++) {
        DFQI_TRY(fold_scale(f, i, "ls1.gamma", "attn.proj"));
        DFQI_TRY(fold_scale(f, i, "ls2.gamma", "mlp.fc2"));
    }
    return DFQ_OK;
}

/* -- heads ------------------------------------------------------------------------------------- */

/* Halves are exact. */
static dfq_status halve(const forms *f, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(f->view, name);
    dfq_tensor *own;
    if (!t) return DFQ_OK;
    DFQI_TRY(copy(t, &own));
    for (int64_t i = 0; i < dfqi_tensor_count(own); i++) dfqi_tensor_f32(own)[i] *= 0.5f;
    return put(f, name, own);
}

/* Columns [first, first + width) of a matrix, as `name`. */
static dfq_status put_columns(const forms *f, const dfq_tensor *w, int64_t first, const char *name)
{
    dfq_tensor *part;
    const int64_t dims[2] = {w->dims[0], f->width};
    DFQI_TRY(dfqi_tensor_new(f->view->ctx, DFQI_F32, 2, dims, &part));
    for (int64_t r = 0; r < dims[0]; r++)
        memcpy(dfqi_tensor_f32(part) + r * f->width, dfqi_tensor_f32(w) + r * w->dims[1] + first,
               (size_t)f->width * sizeof(float));
    return put(f, name, part);
}

static dfq_status split_heads(const forms *f)
{
    static const char *const pair[] = {"head.weight", "head.bias", "head_dist.weight",
                                       "head_dist.bias"};
    const dfq_tensor *head = tensor_of(f, pair[0], 2);
    dfq_tensor *w;
    if (dfqi_st_find(f->view, "head_dist.weight")) {
        for (int k = 0; k < 4; k++) DFQI_TRY(halve(f, pair[k]));
        return DFQ_OK;
    }
    if (!head || head->dims[1] != 2 * f->width) return DFQ_OK;
    DFQI_TRY(dfqi_tensor_to_f32(head, &w));
    dfq_status status = put_columns(f, w, f->width, "head_avg.weight");
    if (status == DFQ_OK) status = put_columns(f, w, 0, pair[0]);
    if (status == DFQ_OK) status = add_bias(f, -1, "head_avg");
    dfqi_tensor_release(w);
    return status;
}

/* -- the whole --------------------------------------------------------------------------------- */

dfq_status dfqi_vit_unify(dfqi_safetensors *view, dfqi_arena *names, const char *path,
                          dfqi_size image)
{
    forms f = {.view = view, .names = names, .path = path};
    const dfq_tensor *proj = tensor_of(&f, "patch_embed.proj.weight", 4);
    const char *format = dfqi_st_meta_find(view, "format");
    char name[DFQI_NAME_MAX];
    if (format && strcmp(format, "dfq") == 0) return DFQ_OK; /* has that form */
    if (dfqi_st_find(view, "blocks.0.norm1.weight") || dfqi_st_find(view, "cls_token"))
        DFQI_TRY(refuse_others(&f));
    if (!proj || proj->dims[0] < 1 || proj->dims[0] > DFQI_EXTENT_MAX ||
        !dfqi_st_find(view, "blocks.0.norm1.weight"))
        return DFQ_OK;
    f.width = proj->dims[0];
    if (proj->dims[2] > 0) f.patches = dfqi_area(dfqi_size_over(image, proj->dims[2]));
    while (f.blocks < 1000 && dfqi_st_find(view, named(f.blocks, "norm1.weight", name))) f.blocks++;
    DFQI_TRY(refuse_others(&f));
    DFQI_TRY(pad_positions(&f));
    DFQI_TRY(join_tokens(&f));
    DFQI_TRY(add_biases(&f));
    DFQI_TRY(fold_scales(&f));
    return split_heads(&f);
}
