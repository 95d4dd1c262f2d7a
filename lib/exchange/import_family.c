/* Is a network that was read one of a family? Follows it from its logits back to the image. */
#include "exchange/import_family_priv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* -- heads ------------------------------------------------------------------------------------- */

/* What a classifier reads of the stream; returns the stream's value. */
static int32_t read_pooled(im_family *f, int32_t value, int64_t width, im_head *h)
{
    bool begun = false;
    for (;;) {
        im_rows rows;
        f->fits &= f->fits && dfqi_im_trace_rows(f->m, value, width, &rows) && rows.first == 0;
        const im_draft_op *maker = f->fits ? dfqi_im_maker(f->m, rows.source) : NULL;
        if (!maker) return -1;
        if (begun)
            dfqi_im_rows_through(&h->rows, &rows);
        else
            h->rows = rows;
        begun = true;
        const dfqi_structure_op *op = &maker->op;
        if (op->kind == DFQI_STRUCTURE_MEAN_POOL && !h->mean && rows.n == 1) {
            h->mean = true;
            h->norm_last = h->norm != NULL;
            begun = false;
        } else if (op->kind == DFQI_STRUCTURE_LAYERNORM && !h->norm) {
            h->norm = op;
            dfqi_im_take_norm(f, op);
        } else {
            return h->rows.source;
        }
        value = op->in[0];
    }
}

static int32_t read_head(im_family *f, int32_t value, int64_t classes, im_head *h)
{
    im_rows rows;
    h->linear = dfqi_im_rows_by(f, value, classes, DFQI_STRUCTURE_LINEAR, &rows);
    f->fits &= h->linear && h->linear->n_in == 3 && rows.n == 1 && rows.first == 0;
    if (!f->fits) return -1;
    const int64_t width = f->m->draft.values[h->linear->in[1]].dims[1];
    int32_t stream = read_pooled(f, h->linear->in[0], width, h);
    f->fits &= h->norm != NULL && f->m->draft.values[h->linear->in[1]].rank == 2;
    return stream;
}

/* One head, or the sum of two. Returns the stream that they read. */
static int32_t read_heads(im_family *f, int32_t logits, int64_t classes)
{
    int32_t source = -1, values[2] = {logits, logits}, stream = -1;
    if (!dfqi_im_trace_same(f->m, logits, &source)) return -1;
    const im_draft_op *maker = dfqi_im_maker(f->m, source);
    const bool two = maker && maker->op.kind == DFQI_STRUCTURE_ADD;
    for (int32_t k = 0; k < 2 && two; k++) values[k] = maker->op.in[k];
    const int32_t n = two ? 2 : 1;
    f->n_heads = n;
    for (int32_t k = 0; k < n && f->fits; k++) {
        int32_t reads = read_head(f, values[k], classes, &f->heads[k]);
        f->fits &= reads >= 0 && (k == 0 || reads == stream);
        stream = reads;
    }
    return stream;
}

/* -- blocks ------------------------------------------------------------------------------------ */

static im_block *new_block(im_family *f)
{
    if (f->n_blocks == f->cap_blocks) {
        int32_t want = f->cap_blocks ? 2 * f->cap_blocks : 16;
        im_block *more = dfqi_im_alloc(f->m, (size_t)want, sizeof *more);
        f->fits &= more != NULL;
        if (!more) return NULL;
        if (f->n_blocks) memcpy(more, f->blocks, (size_t)f->n_blocks * sizeof *more);
        f->blocks = more;
        f->cap_blocks = want;
    }
    return &f->blocks[f->n_blocks++];
}

/* Where the four parts of each merged token come from. */
static bool read_parts(im_family *f, int32_t value, im_block *b, int32_t *out_source)
{
    im_rows rows;
    const int64_t before = dfqi_im_last(f->m, value) / 4;
    if (!dfqi_im_trace_rows(f->m, value, before, &rows)) return false;
    b->parts = rows.at;
    *out_source = rows.source;
    return rows.first == 0 && rows.n == 4 * b->map && dfqi_im_last(f->m, rows.source) == before;
}

/* Tokens in squares of 2 x 2 become those of the stage behind. Returns the stream in front. */
static int32_t read_merge(im_family *f, int32_t stream, im_block *b)
{
    int32_t source;
    im_rows rows, norm;
    const dfqi_structure_op *layer =
        dfqi_im_rows_by(f, stream, b->width, DFQI_STRUCTURE_LINEAR, &rows);
    f->fits &= layer && layer->n_in == 3 && rows.first == 0 && dfqi_im_all_rows(&rows, b->map);
    if (!f->fits) return -1;
    const int64_t width = f->m->draft.values[layer->in[1]].dims[1];
    const dfqi_structure_op *op =
        dfqi_im_rows_by(f, layer->in[0], width, DFQI_STRUCTURE_LAYERNORM, &norm);
    f->fits &= op && width % 4 == 0 && norm.first == 0 && dfqi_im_all_rows(&norm, b->map) &&
               read_parts(f, op->in[0], b, &source);
    if (!f->fits) return -1;
    dfqi_im_take_norm(f, op);
    b->merge_norm = op;
    b->reduction = layer;
    return source;
}

/* All blocks, from the last one. Only that one may leave out tokens that no head reads. */
static void read_blocks(im_family *f, int32_t stream)
{
    while (f->fits) {
        const im_draft_op *maker = dfqi_im_maker(f->m, stream);
        im_rows left;
        if (!maker || maker->op.kind != DFQI_STRUCTURE_ADD) break;
        im_block *b = new_block(f);
        if (!b) return;
        stream = dfqi_im_find_block(f, stream, b, &left);
        if (!f->fits) return;
        if (f->n_blocks > 1)
            f->fits &= dfqi_im_all_rows(&left, b->map);
        else
            for (int32_t k = 0; k < f->n_heads; k++) dfqi_im_rows_through(&f->heads[k].rows, &left);
        maker = dfqi_im_maker(f->m, stream);
        int32_t from = maker && maker->op.kind == DFQI_STRUCTURE_LINEAR
                           ? dfqi_im_computed(f->m, maker->op.in[0])
                           : -1;
        maker = from < 0 ? NULL : dfqi_im_maker(f->m, from);
        if (maker && maker->op.kind == DFQI_STRUCTURE_LAYERNORM) stream = read_merge(f, stream, b);
    }
    f->stream = stream;
    f->fits &= f->n_blocks > 0;
}

/* -- tensors ----------------------------------------------------------------------------------- */

/* Room for one more; the name belongs to the arena. */
static dfqi_st_entry *entry(im_family *f, const char *name)
{
    const int64_t n = f->st.n_entries;
    if (f->m->status != DFQ_OK) return NULL;
    if (n % 64 == 0) {
        dfqi_st_entry *more =
            dfqi_realloc(f->m->ctx, f->st.entries, ((size_t)n + 64) * sizeof *more);
        if (!more) {
            f->m->status = DFQ_E_NOMEM;
            return NULL;
        }
        f->st.entries = more;
    }
    char *own = dfqi_arena_strdup(&f->m->mem, name);
    if (!own) f->m->status = DFQ_E_NOMEM;
    if (!own) return NULL;
    f->st.entries[n] = (dfqi_st_entry){.name = own};
    return &f->st.entries[n];
}

float *dfqi_im_give_new(im_family *f, const char *name, int32_t rank, const int64_t *dims)
{
    dfqi_st_entry *e = entry(f, name);
    if (!e) return NULL;
    f->m->status = dfqi_tensor_new(f->m->ctx, DFQI_F32, rank, dims, &e->tensor);
    if (f->m->status != DFQ_OK) return NULL;
    f->st.n_entries++;
    return dfqi_tensor_f32(e->tensor);
}

void dfqi_im_give(im_family *f, const char *name, int32_t value, int32_t rank, const int64_t *dims)
{
    const im_draft_value *v = &f->m->draft.values[value];
    if (v->rank == rank && memcmp(v->dims, dims, (size_t)rank * sizeof *dims) == 0) {
        dfqi_st_entry *e = entry(f, name);
        if (!e) return;
        e->tensor = dfqi_tensor_retain(v->tensor);
        f->st.n_entries++;
        return;
    }
    float *to = dfqi_im_give_new(f, name, rank, dims);
    if (to)
        memcpy(to, dfqi_im_param_data(f->m, value),
               (size_t)dfqi_im_entries(f->m, value) * sizeof *to);
}

void dfqi_im_give_pair(im_family *f, const char *name, const dfqi_structure_op *op)
{
    char text[DFQI_NAME_MAX];
    for (int32_t k = 0; k < 2; k++) {
        const im_draft_value *v = &f->m->draft.values[op->in[1 + k]];
        snprintf(text, sizeof text, "%.80s.%s", name, k ? "bias" : "weight");
        dfqi_im_give(f, text, op->in[1 + k], v->rank, v->dims);
    }
}

void dfqi_im_tell(im_family *f, const char *key, const char *fmt, ...)
{
    char text[128];
    va_list args;
    va_start(args, fmt);
    dfqi_vprint(text, sizeof text, fmt, args);
    va_end(args);
    if (f->m->status == DFQ_OK) f->m->status = dfqi_st_meta_add(&f->st, key, text);
}

/* Rows of queries, keys and values below each other, queries so that the softmax has its usual
 * scale. */
static void give_qkv(im_family *f, const char *prefix, const im_block *b)
{
    char text[DFQI_NAME_MAX];
    const int64_t d = b->width, dims[2] = {3 * d, d};
    const double change = b->scale * sqrt((double)b->head);
    const bool plain = fabs(change - 1) < 1e-6;
    if (plain && b->qkv[1] == b->qkv[0] && b->qkv[2] == b->qkv[0] && b->first[0] == 0 &&
        b->first[1] == d && b->first[2] == 2 * d) {
        snprintf(text, sizeof text, "%sattn.qkv", prefix);
        dfqi_im_give_pair(f, text, b->qkv[0]);
        return;
    }
    f->fits &= plain || !b->qk_norm[0];
    for (int32_t part = 0; part < 2; part++) {
        const int64_t row = part ? 1 : d;
        snprintf(text, sizeof text, "%sattn.qkv.%s", prefix, part ? "bias" : "weight");
        float *to = dfqi_im_give_new(f, text, 2 - part, dims);
        for (int32_t k = 0; to && k < 3; k++) {
            const float *from =
                dfqi_im_param_data(f->m, b->qkv[k]->in[1 + part]) + b->first[k] * row;
            for (int64_t i = 0; i < d * row; i++)
                *to++ = plain || k ? from[i] : (float)((double)from[i] * change);
        }
    }
}

void dfqi_im_give_block(im_family *f, const char *prefix, const im_block *b)
{
    static const char *const names[] = {"norm1",   "attn.proj",   "norm2",      "mlp.fc1",
                                        "mlp.fc2", "attn.q_norm", "attn.k_norm"};
    const dfqi_structure_op *ops[] = {b->norm1, b->proj,       b->norm2,     b->fc1,
                                      b->fc2,   b->qk_norm[0], b->qk_norm[1]};
    char text[DFQI_NAME_MAX];
    give_qkv(f, prefix, b);
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        snprintf(text, sizeof text, "%s%s", prefix, names[k]);
        if (ops[k]) dfqi_im_give_pair(f, text, ops[k]);
    }
}

/* Where a pixel of the first patch goes among the columns; -1: it is not in that patch. */
static int64_t column_of(const im *m, int64_t pixel, int64_t patch)
{
    const int64_t height = m->image.height, width = m->image.width;
    const int64_t c = pixel / (height * width), y = pixel / width % height, x = pixel % width;
    return pixel >= 0 && y < patch && x < patch ? (c * patch + y) * patch + x : -1;
}

/* The layer reads patches of the image: a column is a pixel of the patch, in any order, and rows
 * are patches row by row. */
void dfqi_im_give_patches(im_family *f, const dfqi_structure_op *layer, int64_t *out_patch)
{
    im_trace t;
    const int64_t outs = f->m->draft.values[layer->in[1]].dims[0], across = f->m->image.width;
    if (!dfqi_im_trace(f->m, layer->in[0], &t)) {
        f->fits = false;
        return;
    }
    const int64_t rows = dfqi_im_entries(f->m, layer->out) / outs, columns = t.n / rows;
    int64_t p = 1;
    while (p * p * f->m->channels < columns) p++;
    const dfqi_size map = dfqi_size_over(f->m->image, p);
    f->fits &= t.source == DFQI_STRUCTURE_IMAGE && p * p * f->m->channels == columns &&
               map.height * p == f->m->image.height && map.width * p == across &&
               rows == dfqi_area(map);
    const int64_t dims[4] = {outs, f->m->channels, p, p};
    float *to = f->fits ? dfqi_im_give_new(f, "patch_embed.proj.weight", 4, dims) : NULL;
    const float *from = to ? dfqi_im_param_data(f->m, layer->in[1]) : NULL;
    for (int64_t k = 0; from && k < columns; k++) {
        const int64_t pixel = t.at ? t.at[k] : k, column = column_of(f->m, pixel, p);
        f->fits &= column >= 0;
        for (int64_t i = 0; f->fits && i < rows; i++)
            f->fits = (t.at ? t.at[i * columns + k] : i * columns + k) ==
                      pixel + (i / map.width * across + i % map.width) * p;
        for (int64_t o = 0; f->fits && o < outs; o++)
            to[o * columns + column] = from[o * columns + k];
    }
    dfqi_free(f->m->ctx, t.at);
    *out_patch = p;
    if (f->fits) dfqi_im_give(f, "patch_embed.proj.bias", layer->in[2], 1, &outs);
}

/* -- the whole --------------------------------------------------------------------------------- */

static void find(im_family *f, int32_t logits, int64_t classes)
{
    int32_t stream = read_heads(f, logits, classes);
    if (stream < 0) f->fits = false;
    if (f->fits) read_blocks(f, stream);
    const im_draft_op *maker = f->fits ? dfqi_im_maker(f->m, f->stream) : NULL;
    if (!maker) return;
    const int32_t from = maker->op.kind == DFQI_STRUCTURE_LAYERNORM
                             ? dfqi_im_computed(f->m, maker->op.in[0])
                             : f->stream;
    maker = from < 0 ? NULL : dfqi_im_maker(f->m, from);
    f->fits &= maker != NULL;
    if (maker && maker->op.kind == DFQI_STRUCTURE_TOKENS)
        dfqi_im_as_vit(f);
    else if (maker)
        dfqi_im_as_swin(f);
}

dfq_status dfqi_im_as_family(im *m, int32_t logits, int64_t classes, const dfq_load_options *o,
                             dfqi_model **out)
{
    im_family f = {.m = m, .fits = true, .st = {.ctx = m->ctx, .bytes = m->bytes}};
    find(&f, logits, classes);
    dfq_status status = m->status;
    if (status == DFQ_OK && f.fits) {
        char text[DFQI_SIZE_TEXT];
        dfqi_im_tell(&f, "eps", "%.9g", f.eps);
        dfqi_im_tell(&f, "image", "%s", dfqi_size_text(m->image, text));
        status = m->status;
        if (status == DFQ_OK) status = dfqi_im_read_about(m, false, &f.st);
        if (status == DFQ_OK) status = dfqi_model_from(&f.st, m->path, o, out);
    }
    for (int64_t i = 0; i < f.st.n_entries; i++) dfqi_tensor_release(f.st.entries[i].tensor);
    f.st.n_entries = 0;
    dfqi_free(m->ctx, f.st.entries);
    f.st.entries = NULL;
    dfqi_st_fini(&f.st);
    return status;
}
