/* A network that was read as a Swin transformer of nn/swin.h. */
#include <math.h>
#include <stdio.h>

#include "exchange/import_family_priv.h"
#include "graph/op.h"
#include "graph/ops.h"
#include "nn/swin.h"

/* The side of a window of n tokens; 0: it is no square. */
static int64_t side_of(int64_t n)
{
    int64_t side = 1;
    while (side * side < n) side++;
    return side * side == n ? side : 0;
}

static dfqi_attr attr_of(const dfqi_windowing *w)
{
    return (dfqi_attr){.i = {w->map.height, w->map.width, w->window.height, w->window.width,
                             w->shift.height, w->shift.width, w->pad_first}};
}

/* Are tokens in the windows where this windowing puts them? Those of the stream lie in any order:
 * `order` has their places on the map. */
static bool is_windowed(im_family *f, const im_block *b, const int32_t *order,
                        const dfqi_windowing *w)
{
    const int64_t n = b->windows * b->tokens;
    if (dfqi_window_count(w) != b->windows) return false;
    float *from = dfqi_im_alloc(f->m, (size_t)b->map, sizeof *from),
          *to = dfqi_im_alloc(f->m, (size_t)n, sizeof *to);
    if (!from || !to) return false;
    const dfqi_attr attr = attr_of(w);
    for (int64_t i = 0; i < b->map; i++) from[i] = (float)(i + 1);
    dfqi_run r = {.attr = &attr, .images = 1, .batch = 1};
    r.in[0] = (dfqi_arg){.data = from, .rank = 3, .dims = {1, b->map, 1}, .count = b->map};
    r.out[0] = (dfqi_arg){.data = to, .rank = 3, .dims = {1, n, 1}, .count = n};
    dfqi_op_get(DFQI_OP_WINDOWS)->run(&r);
    for (int64_t i = 0; i < n; i++)
        if ((int32_t)to[i] - 1 != (b->table[i] < 0 ? -1 : order[b->table[i]])) return false;
    return true;
}

/* -- biases ------------------------------------------------------------------------------------ */

/* The row of the table for query i and key j. */
static int64_t table_row(int64_t side, int64_t i, int64_t j)
{
    return (i / side - j / side + side - 1) * (2 * side - 1) + i % side - j % side + side - 1;
}

/* The table of which window 0, which has no mask, shows all entries; the other windows must show
 * the same, and the mask of shifted ones. */
static bool is_table(im_family *f, const im_block *b, const dfqi_windowing *w, float *table)
{
    const float most = 100, near = 1e-3f; /* near: what is left of digits beside the mask */
    const int64_t n = b->tokens;
    dfqi_attr attr = attr_of(w);
    float *mask = dfqi_im_alloc(f->m, (size_t)n, (size_t)n * sizeof *mask);
    attr.f[0] = -most;
    for (int64_t h = 0; mask && h < b->heads; h++)
        for (int64_t i = 0; i < n * n; i++)
            table[table_row(w->window.height, i / n, i % n) * b->heads + h] =
                (float)((double)b->bias[h * n * n + i] * b->scale);
    for (int64_t k = 0; mask && k < b->windows; k++) {
        for (int64_t i = 0; i < n * n; i++) mask[i] = 0;
        dfqi_window_mask(&attr, k, 0, n, mask);
        for (int64_t h = 0; h < b->heads; h++)
            for (int64_t i = 0; i < n * n; i++) {
                const double have = (double)b->bias[(k * b->heads + h) * n * n + i] * b->scale;
                const float want =
                    table[table_row(w->window.height, i / n, i % n) * b->heads + h] + mask[i];
                if (fabs(have - (double)want) > (double)near * (mask[i] < 0 ? 1 : 1e-2))
                    return false;
            }
    }
    return mask != NULL;
}

static void give_table(im_family *f, const char *prefix, const im_block *b, const dfqi_windowing *w)
{
    char text[DFQI_NAME_MAX];
    const int64_t reach = 2 * w->window.height - 1, dims[2] = {reach * reach, b->heads};
    snprintf(text, sizeof text, "%sattn.relative_position_bias_table", prefix);
    float *table = dfqi_im_give_new(f, text, 2, dims);
    f->fits &= table != NULL;
    if (table && b->bias) f->fits &= is_table(f, b, w, table);
    f->fits &= b->bias || dfqi_longer(w->shift) == 0;
}

/* -- blocks ------------------------------------------------------------------------------------ */

/* A Swin with windows of this block's size in all stages, for what the family makes of a stage. */
static dfqi_windowing windowing_of(const im_family *f, const im_block *b, int64_t patch,
                                   int32_t stage, int32_t j, int32_t pad_first)
{
    dfqi_arch a = {.image = f->m->image, .family = DFQI_FAMILY_SWIN};
    a.of.swin.patch = patch;
    a.of.swin.pad_first = pad_first;
    a.of.swin.window[stage] = dfqi_square(side_of(b->tokens));
    return dfqi_swin_windows(&a, stage, j);
}

static void give_block(im_family *f, const im_block *b, int32_t stage, int32_t j,
                       const dfqi_windowing *w)
{
    char prefix[48];
    snprintf(prefix, sizeof prefix, "layers.%d.blocks.%d.", (int)stage, (int)j);
    dfqi_im_give_block(f, prefix, b);
    give_table(f, prefix, b, w);
}

/* The places of merged tokens: part k of one is the token below (1) or behind (2) the first. NULL:
 * they are merged otherwise. */
static int32_t *merged_order(im_family *f, const im_block *b, const int32_t *order, dfqi_size map)
{
    const int64_t across = (map.width + 1) / 2;
    int32_t *to = dfqi_im_alloc(f->m, (size_t)b->map, sizeof *to);
    bool fits = to && across * ((map.height + 1) / 2) == b->map;
    for (int64_t i = 0; fits && i < b->map; i++) {
        const int64_t first = b->parts[4 * i] < 0 ? -1 : order[b->parts[4 * i]];
        fits = first >= 0 && first / map.width % 2 == 0 && first % map.width % 2 == 0;
        for (int64_t k = 0; fits && k < 4; k++) {
            const int32_t part = b->parts[4 * i + k];
            const int64_t y = first / map.width + k % 2, x = first % map.width + k / 2;
            const bool inside = y < map.height && x < map.width;
            fits = (part < 0 ? -1 : order[part]) == (inside ? y * map.width + x : -1);
        }
        to[i] = (int32_t)(first / map.width / 2 * across + first % map.width / 2);
    }
    return fits ? to : NULL;
}

/* Do all blocks have windows of this kind? */
static bool all_windowed(im_family *f, int64_t patch, int32_t pad_first)
{
    dfqi_size map = dfqi_size_over(f->m->image, patch);
    int32_t *order = dfqi_im_alloc(f->m, (size_t)dfqi_area(map), sizeof *order);
    for (int64_t i = 0; order && i < dfqi_area(map); i++) order[i] = (int32_t)i;
    for (int32_t i = f->n_blocks - 1, j = 0, stage = 0; i >= 0; i--, j++) {
        const im_block *b = &f->blocks[i];
        if (b->reduction) {
            order = order ? merged_order(f, b, order, map) : NULL;
            stage++;
            j = 0;
        }
        if (!order || stage >= DFQI_SWIN_STAGES || side_of(b->tokens) == 0) return false;
        const dfqi_windowing w = windowing_of(f, b, patch, stage, j, pad_first);
        map = w.map;
        if (b->map != dfqi_area(map) || !is_windowed(f, b, order, &w)) return false;
    }
    return true;
}

/* Merging: the layer has no bias there. */
static void give_merge(im_family *f, const im_block *b, int32_t stage)
{
    char text[64];
    const im_draft_value *w = &f->m->draft.values[b->reduction->in[1]];
    const float *bias = dfqi_im_param_data(f->m, b->reduction->in[2]);
    for (int64_t i = 0; i < w->dims[0]; i++) f->fits &= bias[i] == 0;
    f->fits &= w->dims[1] == 2 * w->dims[0];
    snprintf(text, sizeof text, "layers.%d.downsample.norm", (int)stage);
    dfqi_im_give_pair(f, text, b->merge_norm);
    snprintf(text, sizeof text, "layers.%d.downsample.reduction.weight", (int)stage);
    dfqi_im_give(f, text, b->reduction->in[1], 2, w->dims);
}

static void give_blocks(im_family *f, int64_t patch, int32_t pad_first)
{
    int32_t stage = 0, j = 0;
    const im_block *first = &f->blocks[f->n_blocks - 1], *begin = first;
    for (int32_t i = f->n_blocks - 1; i >= 0 && f->fits; i--, j++) {
        const im_block *b = &f->blocks[i];
        if (b->reduction) {
            stage++;
            j = 0;
            begin = b;
            give_merge(f, b, stage);
        }
        const dfqi_windowing w = windowing_of(f, b, patch, stage, j, pad_first);
        f->fits &= stage < DFQI_SWIN_STAGES && j < DFQI_SWIN_DEPTH && b->heads == begin->heads &&
                   b->tokens == begin->tokens && b->width == first->width << stage &&
                   b->hidden == first->hidden << stage && (i < f->n_blocks - 1 || !b->reduction) &&
                   !b->gated && b->activation == DFQI_VIT_GELU && !b->qk_norm[0] && !b->qk_norm[1];
        if (f->fits) give_block(f, b, stage, j, &w);
    }
}

/* Does the mean have each token once, in any order? */
static bool has_all(im_family *f, const im_head *h, int64_t n)
{
    uint8_t *seen = dfqi_im_alloc(f->m, (size_t)n, sizeof *seen);
    bool all = seen && h->mean && !h->norm_last && h->rows.n == n;
    for (int64_t i = 0; all && i < n; i++) {
        all = h->rows.at[i] >= 0 && h->rows.at[i] < n && !seen[h->rows.at[i]];
        if (all) seen[h->rows.at[i]] = 1;
    }
    return all;
}

void dfqi_im_as_swin(im_family *f)
{
    im_rows rows;
    int64_t patch = 1;
    int32_t pad_first = 0;
    const im_head *h = &f->heads[0];
    const im_block *first = &f->blocks[f->n_blocks - 1];
    const dfqi_structure_op *norm = dfqi_im_made_by(f, f->stream, DFQI_STRUCTURE_LAYERNORM);
    dfqi_im_take_norm(f, norm);
    const dfqi_structure_op *layer =
        norm ? dfqi_im_rows_by(f, norm->in[0], first->width, DFQI_STRUCTURE_LINEAR, &rows) : NULL;
    f->fits &= layer && layer->n_in == 3 && rows.first == 0 &&
               dfqi_im_all_rows(&rows, first->map) && f->n_heads == 1 &&
               has_all(f, h, f->blocks[0].map);
    if (!f->fits) return;
    dfqi_im_give_patches(f, layer, &patch);
    dfqi_im_give_pair(f, "patch_embed.norm", norm);
    if (f->fits && !all_windowed(f, patch, 0)) { /* padded before it is rolled? */
        pad_first = 1;
        f->fits = all_windowed(f, patch, 1);
    }
    if (f->fits) give_blocks(f, patch, pad_first);
    if (!f->fits) return;
    dfqi_im_give_pair(f, "norm", h->norm);
    dfqi_im_give_pair(f, "head.fc", h->linear);
    if (pad_first) dfqi_im_tell(f, "window_padding", "before_shift");
}
