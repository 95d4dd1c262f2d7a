/* A network that was read as a ViT or DeiT of nn/vit.h. */
#include <stdio.h>
#include <string.h>

#include "exchange/import_family_priv.h"
#include "nn/property.h"

/* Tokens in front of the patches, and positions of all tokens. */
typedef struct embedding {
    int64_t prefix, tokens, width;
    const char *name; /* of the tensor of the tokens */
    float *front, *positions;
    int32_t patches; /* the value that they are put to */
} embedding;

/* From the outermost op inwards; op k has the tokens behind those of the ops around it. */
static void read_tokens(im_family *f, int32_t value, embedding *e)
{
    int64_t done = 0;
    for (;;) {
        int32_t source;
        f->fits &= f->fits && dfqi_im_trace_same(f->m, value, &source);
        const im_draft_op *maker = f->fits ? dfqi_im_maker(f->m, source) : NULL;
        e->patches = f->fits ? source : -1;
        if (!maker || maker->op.kind != DFQI_STRUCTURE_TOKENS) break;
        const dfqi_structure_op *op = &maker->op;
        const float *rows = dfqi_im_param_data(f->m, op->in[1]);
        const int64_t n = dfqi_im_entries(f->m, op->in[1]);
        f->fits &= rows && n == (e->tokens - done) * e->width;
        for (int64_t i = 0; f->fits && i < n; i++) e->positions[done * e->width + i] += rows[i];
        value = op->in[0];
        if (op->n_in < 3) continue;
        const float *front = dfqi_im_param_data(f->m, op->in[2]);
        const int64_t more = dfqi_im_entries(f->m, op->in[2]);
        f->fits &= front && more % e->width == 0 && done * e->width + more <= e->tokens * e->width;
        if (!f->fits) break;
        memcpy(e->front + done * e->width, front, (size_t)more * sizeof *front);
        if (strncmp(f->m->draft.values[op->in[2]].name, "reg", 3) == 0) e->name = "reg_token";
        done += more / e->width;
    }
    e->prefix = done;
}

static void give_tokens(im_family *f, const embedding *e)
{
    const int64_t front[3] = {1, e->prefix, e->width}, all[3] = {1, e->tokens, e->width};
    float *to = e->prefix ? dfqi_im_give_new(f, e->name, 3, front) : NULL;
    if (to) memcpy(to, e->front, (size_t)(e->prefix * e->width) * sizeof *to);
    to = dfqi_im_give_new(f, "pos_embed", 3, all);
    if (to) memcpy(to, e->positions, (size_t)(e->tokens * e->width) * sizeof *to);
}

static void embed(im_family *f, int32_t width, embedding *e)
{
    const dfqi_structure_op *norm = NULL;
    int64_t patch;
    int32_t value = f->stream;
    const im_draft_op *maker = dfqi_im_maker(f->m, value);
    if (maker && maker->op.kind == DFQI_STRUCTURE_LAYERNORM) {
        norm = &maker->op;
        dfqi_im_take_norm(f, norm);
        dfqi_im_give_pair(f, "norm_pre", norm);
        value = norm->in[0];
    }
    *e = (embedding){.width = width, .name = "cls_token"};
    e->tokens = dfqi_im_entries(f->m, value) / width;
    e->front = dfqi_im_alloc(f->m, (size_t)e->tokens, (size_t)width * sizeof(float));
    e->positions = dfqi_im_alloc(f->m, (size_t)e->tokens, (size_t)width * sizeof(float));
    f->fits &= e->front && e->positions;
    read_tokens(f, value, e);
    const dfqi_structure_op *layer =
        f->fits ? dfqi_im_made_by(f, e->patches, DFQI_STRUCTURE_LINEAR) : NULL;
    f->fits &= layer && layer->n_in == 3;
    if (f->fits) dfqi_im_give_patches(f, layer, &patch);
}

/* -- heads ------------------------------------------------------------------------------------- */

/* The token that a head reads; -1: the mean of the patches, -2: something else. */
static int64_t reads(const im_head *h, const embedding *e)
{
    const im_rows *r = &h->rows;
    if (!h->mean) return r->n == 1 && r->at[0] >= 0 && r->at[0] < e->prefix ? r->at[0] : -2;
    bool all = r->n == e->tokens - e->prefix;
    for (int64_t i = 0; all && i < r->n; i++) all = r->at[i] == e->prefix + i;
    return all ? -1 : -2;
}

/* Are the norms of two heads one? */
static bool same_norm(const im_family *f)
{
    const dfqi_structure_op *a = f->heads[0].norm, *b = f->heads[1].norm;
    for (int32_t k = 1; k < 3 && a != b; k++) {
        const size_t n = (size_t)dfqi_im_entries(f->m, a->in[k]) * sizeof(float);
        if (dfqi_im_entries(f->m, b->in[k]) != dfqi_im_entries(f->m, a->in[k]) ||
            memcmp(dfqi_im_param_data(f->m, a->in[k]), dfqi_im_param_data(f->m, b->in[k]), n) != 0)
            return false;
    }
    return true;
}

/* A head whose logits are `factor` times as large. */
static void give_times(im_family *f, const char *name, const dfqi_structure_op *op, double factor)
{
    char text[32];
    for (int32_t k = 1; k < 3; k++) {
        const im_draft_value *v = &f->m->draft.values[op->in[k]];
        const float *from = dfqi_im_param_data(f->m, op->in[k]);
        snprintf(text, sizeof text, "%s.%s", name, k == 1 ? "weight" : "bias");
        float *to = dfqi_im_give_new(f, text, v->rank, v->dims);
        for (int64_t i = 0; to && from && i < dfqi_im_entries(f->m, op->in[k]); i++)
            to[i] = (float)(factor * (double)from[i]);
    }
}

static void give_heads(im_family *f, const embedding *e)
{
    int32_t first = 0;
    int64_t of[2] = {reads(&f->heads[0], e), 0};
    dfqi_vit_pooling pooling = of[0] == -1 ? DFQI_VIT_AVG : DFQI_VIT_TOKEN;
    f->fits &= of[0] == 0 || of[0] == -1 || (of[0] == 1 && f->n_heads == 2);
    if (f->n_heads == 2) {
        of[1] = reads(&f->heads[1], e);
        first = of[0] != 0;
        pooling = of[1 - first] == 1 ? DFQI_VIT_TOKEN_DISTILLED : DFQI_VIT_TOKEN_AVG;
        f->fits &= of[first] == 0 && (of[1 - first] == 1 || of[1 - first] == -1) && same_norm(f) &&
                   !f->heads[1 - first].norm_last;
    }
    if (!f->fits) return;
    dfqi_im_give_pair(f, f->heads[first].norm_last ? "fc_norm" : "norm", f->heads[first].norm);
    const double factor = pooling == DFQI_VIT_TOKEN_DISTILLED ? 2 : 1; /* files have the mean */
    give_times(f, "head", f->heads[first].linear, factor);
    if (f->n_heads == 2)
        give_times(f, pooling == DFQI_VIT_TOKEN_AVG ? "head_avg" : "head_dist",
                   f->heads[1 - first].linear, factor);
    dfqi_im_tell(f, "pooling", "%s", dfqi_vit_pooling_words[pooling]);
}

/* -- blocks ------------------------------------------------------------------------------------ */

static bool same_block(const im_block *a, const im_block *b)
{
    return a->width == b->width && a->hidden == b->hidden && a->heads == b->heads &&
           a->gated == b->gated && a->activation == b->activation &&
           !a->qk_norm[0] == !b->qk_norm[0] && !a->qk_norm[1] == !b->qk_norm[1];
}

void dfqi_im_as_vit(im_family *f)
{
    char prefix[32];
    embedding e;
    const im_block *like = &f->blocks[0];
    embed(f, (int32_t)like->width, &e);
    for (int32_t i = 0; i < f->n_blocks && f->fits; i++) {
        const im_block *b = &f->blocks[f->n_blocks - 1 - i];
        const im_rows table = {.n = b->windows * b->tokens, .at = b->table};
        f->fits = same_block(b, like) && !b->reduction && !b->bias && b->windows == 1 &&
                  !b->qk_norm[0] == !b->qk_norm[1] && dfqi_im_all_rows(&table, e.tokens);
        snprintf(prefix, sizeof prefix, "blocks.%d.", (int)i);
        if (f->fits) dfqi_im_give_block(f, prefix, b);
    }
    if (f->fits) give_heads(f, &e);
    if (!f->fits) return;
    give_tokens(f, &e);
    dfqi_im_tell(f, "heads", "%lld", (long long)like->heads);
    dfqi_im_tell(f, "activation", "%s", dfqi_vit_activation_words[like->activation]);
}
