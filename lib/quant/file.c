/* Writing model files, float or low-bit (quant/file_priv.h). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "kernel/codes.h"
#include "kernel/weight_groups.h"
#include "nn/load.h"
#include "quant/file_priv.h"
#include "quant/scheme_priv.h"

/* -- codes ------------------------------------------------------------------------------------- */

void dfqi_put_code(uint8_t *bytes, int64_t i, int bits, uint32_t code)
{
    int64_t bit = i * bits;
    uint32_t word = code << (bit % 8);
    bytes[bit / 8] |= (uint8_t)word;
    if (bit % 8 + bits > 8) bytes[bit / 8 + 1] |= (uint8_t)(word >> 8);
}

uint32_t dfqi_get_code(const uint8_t *bytes, int64_t i, int bits)
{
    int64_t bit = i * bits;
    uint32_t word = bytes[bit / 8];
    if (bit % 8 + bits > 8) word |= (uint32_t)bytes[bit / 8 + 1] << 8;
    return word >> (bit % 8) & ((1u << bits) - 1);
}

int64_t dfqi_code_bytes(int64_t count, int bits)
{
    return (count * bits + 7) / 8;
}

const float *dfqi_column_factors(const dfq_tensor *input_scale, int64_t cols)
{
    return input_scale && dfqi_tensor_count(input_scale) == cols && cols > 1
               ? dfqi_tensor_f32(input_scale)
               : NULL;
}

/* -- writing ----------------------------------------------------------------------------------- */

typedef struct writer {
    dfq_context *ctx;
    dfqi_arena names;
    int64_t n, cap;
    dfqi_st_entry *entries; /* tensors retained */
} writer;

/* Adds a tensor under name + suffix; takes the reference also on failure. */
static dfq_status put(writer *w, const char *name, const char *suffix, dfq_tensor *take_t)
{
    char text[160];
    snprintf(text, sizeof text, "%s%s", name, suffix);
    char *copy = dfqi_arena_strdup(&w->names, text);
    if (!copy || w->n == w->cap) {
        dfqi_tensor_release(take_t);
        return copy ? dfqi_fail(w->ctx, DFQ_E_INTERNAL, "there are too many tensors to write")
                    : DFQ_E_NOMEM;
    }
    w->entries[w->n++] = (dfqi_st_entry){.name = copy, .tensor = take_t};
    return DFQ_OK;
}

static dfq_status to_half(const dfq_tensor *t, dfq_tensor **out)
{
    dfq_tensor *h;
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F16, t->rank, t->dims, &h));
    uint16_t *to = h->data;
    const float *from = dfqi_tensor_f32(t);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++) to[i] = dfqi_float_to_half(from[i]);
    *out = h;
    return DFQ_OK;
}

static dfq_status put_bits(writer *w, const dfqi_site *site)
{
    dfq_tensor *bits;
    DFQI_TRY(dfqi_tensor_new(w->ctx, DFQI_U8, 1, (int64_t[]){1}, &bits));
    *(uint8_t *)bits->data = (uint8_t)site->bits;
    return put(w, site->name, ".bits", bits);
}

/* Codes of row r, by the rule of the kernels (kernel/kernel.h, fq_weight). */
static void put_codes(const dfqi_site *site, int64_t r, int64_t cols, const float *row,
                      const float *col, float scale, float zero_point, uint8_t *codes)
{
    int32_t half = 1 << (site->bits - 1);
    for (int64_t c = 0; c < cols; c++) {
        float v = col ? row[c] * col[c] : row[c];
        float q = dfqi_code_uniform(v, scale, zero_point, (float)-half, (float)(half - 1));
        if (isnan(q)) q = (float)-half;
        dfqi_put_code(codes, r * cols + c, site->bits, (uint32_t)((int32_t)q + half));
    }
}

/* Codes of row r of a weight in groups. */
static void put_group_codes(const dfqi_site *site, int64_t r, int64_t cols, const float *row,
                            const float *col, uint8_t *codes)
{
    const float scale = dfqi_tensor_f32(site->scale)[r], top = site->qmax - site->qmin;
    for (int64_t c = 0; c < cols; c++) {
        const float byte = dfqi_tensor_f32(site->groups)[(r * cols + c) / site->group];
        const float u =
            dfqi_group_code(col ? row[c] * col[c] : row[c], scale, dfqi_group_grid_of(byte), top);
        dfqi_put_code(codes, r * cols + c, site->bits, isnan(u) ? 0 : (uint32_t)u);
    }
}

/* The grids of groups as bytes. */
static dfq_status put_groups(writer *w, const dfqi_site *site)
{
    dfq_tensor *bytes;
    DFQI_TRY(dfqi_tensor_new(w->ctx, DFQI_U8, 2, site->groups->dims, &bytes));
    for (int64_t i = 0, n = dfqi_tensor_count(bytes); i < n; i++)
        ((uint8_t *)bytes->data)[i] = (uint8_t)dfqi_tensor_f32(site->groups)[i];
    return put(w, site->name, ".groups", bytes);
}

/* Codes, shape and current grids of one weight; `own` is the width of most weights. */
static dfq_status put_weight(writer *w, const dfqi_site *site, const dfq_tensor *t,
                             const dfq_tensor *input_scale, int32_t own)
{
    int64_t rows = t->dims[0], count = dfqi_tensor_count(t), cols = count / rows;
    int64_t bytes = dfqi_code_bytes(count, site->bits), rank = t->rank;
    const float *col = dfqi_column_factors(input_scale, cols);
    dfq_tensor *codes = NULL, *shape = NULL, *scale = NULL, *zero_point = NULL;
    int asymmetric = site->kind == DFQI_SITE_WEIGHT_MINMAX;
    dfq_status status;
    float *y = dfqi_calloc(w->ctx, (size_t)cols, sizeof *y);
    if (!y) return DFQ_E_NOMEM;
    DFQI_GOTO(dfqi_tensor_new(w->ctx, DFQI_U8, 1, &bytes, &codes), out);
    DFQI_GOTO(dfqi_tensor_new(w->ctx, DFQI_I64, 1, &rank, &shape), out);
    DFQI_GOTO(dfqi_tensor_new(w->ctx, DFQI_F32, 1, &rows, &scale), out);
    if (asymmetric) DFQI_GOTO(dfqi_tensor_new(w->ctx, DFQI_F32, 1, &rows, &zero_point), out);
    memcpy(shape->data, t->dims, (size_t)rank * sizeof *t->dims);
    for (int64_t r = 0; r < rows; r++) {
        const float *row = dfqi_tensor_f32(t) + r * cols;
        float *s = dfqi_tensor_f32(scale) + r, z;
        dfqi_weight_row(dfqi_kernels_get(w->ctx), site, r, cols, row, col, y, s, &z);
        if (asymmetric) dfqi_tensor_f32(zero_point)[r] = z;
        if (site->groups)
            put_group_codes(site, r, cols, row, col, codes->data);
        else
            put_codes(site, r, cols, row, col, *s, z, codes->data);
    }
    if (site->groups) DFQI_GOTO(put_groups(w, site), out);
    DFQI_GOTO(put(w, site->name, ".codes", dfqi_tensor_retain(codes)), out);
    DFQI_GOTO(put(w, site->name, ".shape", dfqi_tensor_retain(shape)), out);
    if (zero_point)
        DFQI_GOTO(put(w, site->name, ".zero_point", dfqi_tensor_retain(zero_point)), out);
    if (site->bits != own) DFQI_GOTO(put_bits(w, site), out);
    status = put(w, site->name, ".scale", dfqi_tensor_retain(scale));
out:
    dfqi_free(w->ctx, y);
    dfqi_tensor_release(codes);
    dfqi_tensor_release(shape);
    dfqi_tensor_release(scale);
    dfqi_tensor_release(zero_point);
    return status;
}

int64_t dfqi_model_tensor_bytes(const dfqi_model *m, int32_t i, int32_t *out_bits)
{
    const dfq_tensor *t = m->net.params[i].tensor;
    const dfqi_site *site =
        m->quantized ? dfqi_scheme_find(&m->scheme, m->net.params[i].name) : NULL;
    int64_t count = dfqi_tensor_count(t), f32 = (int64_t)sizeof(float);
    *out_bits = site ? site->bits : 32;
    if (!site) return count * f32;
    return dfqi_code_bytes(count, site->bits) +
           t->dims[0] * f32 * (site->kind == DFQI_SITE_WEIGHT_MINMAX ? 2 : 1) +
           (site->groups ? dfqi_tensor_count(site->groups) : 0);
}

dfq_status dfqi_whole_zero_points(const dfq_tensor *t, dfq_tensor **out)
{
    dfq_tensor *whole;
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F32, t->rank, t->dims, &whole));
    const float *from = dfqi_tensor_f32(t);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++)
        dfqi_tensor_f32(whole)[i] = rintf(from[i]) + 0.0f; /* no -0 */
    *out = whole;
    return DFQ_OK;
}

static dfq_status put_activation(writer *w, const dfqi_site *site)
{
    dfq_tensor *range, *zero_point;
    if (dfqi_site_is_runtime(site)) return DFQ_OK;
    DFQI_TRY(put(w, site->name, ".scale", dfqi_tensor_retain(site->scale)));
    if (site->zero_point) {
        DFQI_TRY(dfqi_whole_zero_points(site->zero_point, &zero_point));
        DFQI_TRY(put(w, site->name, ".zero_point", zero_point));
    }
    DFQI_TRY(dfqi_tensor_new(w->ctx, DFQI_F32, 1, (int64_t[]){2}, &range));
    dfqi_tensor_f32(range)[0] = site->qmin;
    dfqi_tensor_f32(range)[1] = site->qmax;
    return put(w, site->name, ".range", range);
}

static const dfq_tensor *input_scale(const dfqi_scheme *s, const dfqi_site *site)
{
    return site->input >= 0 ? s->sites[site->input].scale : NULL;
}

static dfq_status put_all(writer *w, const dfqi_model *m, int half)
{
    for (int32_t i = 0; i < m->net.n_params; i++) {
        const dfqi_param *p = &m->net.params[i];
        const dfqi_site *site = m->quantized ? dfqi_scheme_find(&m->scheme, p->name) : NULL;
        dfq_tensor *t = NULL;
        if (site) {
            DFQI_TRY(put_weight(w, site, p->tensor, input_scale(&m->scheme, site),
                                m->scheme.weight_bits));
            continue;
        }
        if (half && !p->fixed) /* small variances would vanish in F16 */
            DFQI_TRY(to_half(p->tensor, &t));
        else
            t = dfqi_tensor_retain(p->tensor);
        DFQI_TRY(put(w, p->name, "", t));
    }
    for (int32_t i = 0; m->quantized && i < m->scheme.n_sites; i++)
        if (!dfqi_site_is_weight(&m->scheme.sites[i]))
            DFQI_TRY(put_activation(w, &m->scheme.sites[i]));
    return DFQ_OK;
}

/* The grids that differ from the mode's own, as metadata. */
static int64_t grids_meta(dfqi_grids grids, dfqi_st_meta *meta)
{
    static char weights[] = DFQI_META_WEIGHT_GRID, acts[] = DFQI_META_ACT_GRID;
    static char scale[] = DFQI_META_ACT_SCALE, row[] = "row";
    static char asym[] = "minmax-asym", lsq[] = "lsq", minmax[] = "minmax";
    int64_t n = 0;
    if (grids.weight_grid == DFQI_WEIGHT_GRID_MINMAX_ASYM)
        meta[n++] = (dfqi_st_meta){weights, asym};
    if (grids.weight_grid == DFQI_WEIGHT_GRID_LSQ) meta[n++] = (dfqi_st_meta){weights, lsq};
    if (grids.act_grid == DFQI_ACT_GRID_MINMAX) meta[n++] = (dfqi_st_meta){acts, minmax};
    if (grids.act_scale == DFQI_ACT_SCALE_ROW) meta[n++] = (dfqi_st_meta){scale, row};
    return n;
}

/* The widths of a quantized network; texts[3] has room for them. */
static int64_t widths_meta(const dfqi_scheme *s, char (*texts)[8], dfqi_st_meta *meta)
{
    static char w_key[] = "dfq.weight_bits", a_key[] = "dfq.act_bits";
    static char e_key[] = "dfq.first_last_bits";
    int64_t n = 0;
    int rows = s->grids.act_scale == DFQI_ACT_SCALE_ROW;
    snprintf(texts[0], sizeof texts[0], "%d", s->weight_bits);
    snprintf(texts[1], sizeof texts[1], "%d", s->act_bits);
    snprintf(texts[2], sizeof texts[2], "%d", s->first_last_bits);
    meta[n++] = (dfqi_st_meta){w_key, texts[0]};
    meta[n++] = (dfqi_st_meta){a_key, texts[1]};
    if (rows || s->first_last_bits != s->weight_bits) meta[n++] = (dfqi_st_meta){e_key, texts[2]};
    return n;
}

static dfq_status names_meta(const dfqi_class_names *names, dfqi_arena *arena, dfqi_st_meta *out)
{
    static char key[] = DFQI_META_NAMES;
    char *text;
    DFQI_TRY(dfqi_class_names_json(names, &text));
    *out = (dfqi_st_meta){key, dfqi_arena_strdup(arena, text)};
    dfqi_free(arena->ctx, text);
    return out->value ? DFQ_OK : DFQ_E_NOMEM;
}

dfq_status dfqi_model_meta(const dfqi_model *m, dfqi_arena *arena, dfqi_st_meta *meta,
                           int64_t *out_n)
{
    static char f_key[] = DFQI_META_FORMAT, mode_key[] = "dfq.mode";
    static char format[] = DFQI_QUANT_FORMAT, row_format[] = DFQI_QUANT_FORMAT_ROW;
    static char group_format[] = DFQI_QUANT_FORMAT_GROUP, g_key[] = DFQI_META_ACT_GROUP;
    static char format_5[] = DFQI_QUANT_FORMAT_5, w_key[] = DFQI_META_WEIGHT_GROUP;
    static char parity[] = "parity", improved[] = "improved";
    static char r_key[] = DFQI_META_ROTATION, l_key[] = DFQI_META_LAYERS;
    enum { SEED = 24 };
    const dfqi_scheme *s = &m->scheme;
    int64_t n = 0;
    DFQI_TRY(dfqi_arch_meta(&m->net.arch, arena, meta, &n));
    if (m->net.names) DFQI_TRY(names_meta(m->net.names, arena, &meta[n++]));
    if (m->quantized) {
        int rows = s->grids.act_scale == DFQI_ACT_SCALE_ROW;
        char(*texts)[8] = dfqi_arena_alloc(arena, 5 * sizeof *texts);
        char *seed = dfqi_arena_alloc(arena, SEED);
        char *layers = s->layers ? dfqi_arena_strdup(arena, s->layers) : NULL;
        if (!texts || !seed || (s->layers && !layers)) return DFQ_E_NOMEM;
        meta[n++] = (dfqi_st_meta){f_key, s->grids.weight_group ? format_5
                                          : s->grids.act_group  ? group_format
                                          : rows                ? row_format
                                                                : format};
        meta[n++] = (dfqi_st_meta){mode_key, s->mode == DFQI_MODE_PARITY ? parity : improved};
        n += widths_meta(s, texts, meta + n);
        n += grids_meta(s->grids, meta + n);
        snprintf(texts[3], sizeof texts[3], "%d", s->grids.act_group);
        if (s->grids.act_group) meta[n++] = (dfqi_st_meta){g_key, texts[3]};
        snprintf(texts[4], sizeof texts[4], "%d", s->grids.weight_group);
        if (s->grids.weight_group) meta[n++] = (dfqi_st_meta){w_key, texts[4]};
        snprintf(seed, SEED, "%" PRIu64, s->grids.rotation);
        if (s->grids.rotation) meta[n++] = (dfqi_st_meta){r_key, seed};
        if (layers) meta[n++] = (dfqi_st_meta){l_key, layers};
    }
    *out_n = n;
    return DFQ_OK;
}

dfq_status dfqi_model_save_to(const dfqi_model *m, const dfqi_st_target *to, int half)
{
    dfq_context *ctx = m->ctx;
    writer w = {.ctx = ctx, .cap = m->net.n_params + 5 * (int64_t)m->scheme.n_sites};
    dfqi_st_meta meta[DFQI_MODEL_META];
    int64_t n_meta = 0;
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(dfqi_model_ready(m));
    dfqi_arena_init(&w.names, ctx);
    w.entries = dfqi_calloc(ctx, (size_t)w.cap, sizeof *w.entries);
    if (!w.entries) goto out;
    DFQI_GOTO(dfqi_model_meta(m, &w.names, meta, &n_meta), out);
    DFQI_GOTO(put_all(&w, m, half && !m->quantized), out);
    status = dfqi_st_write_to(ctx, to, w.n, w.entries, n_meta, meta);
out:
    for (int64_t i = 0; w.entries && i < w.n; i++) dfqi_tensor_release(w.entries[i].tensor);
    dfqi_free(ctx, w.entries);
    dfqi_arena_fini(&w.names);
    return status;
}

dfq_status dfqi_model_save(const dfqi_model *m, const char *path, int half)
{
    const dfqi_st_target to = {.path = path};
    return dfqi_model_save_to(m, &to, half);
}
