/* Model files. Float models are plain safetensors with the names they were read with. A low-bit file is safetensors
 * too (metadata "dfq.mode", "dfq.weight_bits", "dfq.act_bits"):
 *
 *   W.codes   U8   codes + 2^(bits-1) of the weight W, row-major, `bits` each, lowest bits first,
 *                  without gaps
 *   W.shape   I64  shape of W
 *   W.step    F32  [O] step of each row; the weight is (code * step[o] / column factor[k]), where the
 *                  column factors are the steps of the layer's input if it has one for each channel
 *   S.step, S.zero F32, S.range F32 [2]: an activation quantizer's steps, zero points (absent for a
 *                  logarithmic grid) and smallest and largest code; S is a site (quant/scheme.h)
 *   everything else as in a float model */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "nn/load.h"
#include "quant/model.h"
#include "quant/scheme_priv.h"

/* -- codes ------------------------------------------------------------------------------------- */

static void put_code(uint8_t *bytes, int64_t i, int bits, uint32_t code)
{
    int64_t bit = i * bits;
    uint32_t word = code << (bit % 8);
    bytes[bit / 8] |= (uint8_t)word;
    if (bit % 8 + bits > 8) bytes[bit / 8 + 1] |= (uint8_t)(word >> 8);
}

static uint32_t get_code(const uint8_t *bytes, int64_t i, int bits)
{
    int64_t bit = i * bits;
    uint32_t word = bytes[bit / 8];
    if (bit % 8 + bits > 8) word |= (uint32_t)bytes[bit / 8 + 1] << 8;
    return word >> (bit % 8) & ((1u << bits) - 1);
}

static int64_t code_bytes(int64_t count, int bits)
{
    return (count * bits + 7) / 8;
}

/* Column factors of a weight: the input's steps when there is one for each column. */
static const float *column_factors(const dfq_tensor *input_step, int64_t cols)
{
    return input_step && dfqi_tensor_count(input_step) == cols && cols > 1
               ? dfqi_tensor_f32(input_step)
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
        return copy ? dfqi_fail(w->ctx, DFQ_E_INTERNAL, "too many tensors to write") : DFQ_E_NOMEM;
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

/* codes, shape and steps of one weight; min-max steps are fixed at what they are now */
static dfq_status put_weight(writer *w, const dfqi_site *site, const dfq_tensor *t,
                             const dfq_tensor *input_step)
{
    const dfqi_kernels *k = dfqi_kernels_get(w->ctx);
    int64_t rows = t->dims[0], count = dfqi_tensor_count(t), cols = count / rows;
    int64_t bytes = code_bytes(count, site->bits), rank = t->rank;
    const float *col = column_factors(input_step, cols);
    dfq_tensor *codes = NULL, *shape = NULL, *step = NULL;
    dfq_status status;
    float *y = dfqi_calloc(w->ctx, (size_t)cols, sizeof *y);
    if (!y) return DFQ_E_NOMEM;
    DFQI_GOTO(dfqi_tensor_new(w->ctx, DFQI_U8, 1, &bytes, &codes), out);
    DFQI_GOTO(dfqi_tensor_new(w->ctx, DFQI_I64, 1, &rank, &shape), out);
    DFQI_GOTO(dfqi_tensor_new(w->ctx, DFQI_F32, 1, &rows, &step), out);
    memcpy(shape->data, t->dims, (size_t)rank * sizeof *t->dims);
    for (int64_t r = 0; r < rows; r++) {
        float *s = dfqi_tensor_f32(step) + r;
        const float *fixed = site->step ? dfqi_tensor_f32(site->step) + r : NULL;
        k->fq_weight(1, cols, site->bits, dfqi_tensor_f32(t) + r * cols, col, fixed, y, s);
        for (int64_t c = 0; c < cols; c++) {
            int32_t q = (int32_t)lrintf(y[c] * (col ? col[c] : 1.0f) / *s);
            put_code(codes->data, r * cols + c, site->bits,
                     (uint32_t)(q + (1 << (site->bits - 1))));
        }
    }
    DFQI_GOTO(put(w, site->name, ".codes", dfqi_tensor_retain(codes)), out);
    DFQI_GOTO(put(w, site->name, ".shape", dfqi_tensor_retain(shape)), out);
    status = put(w, site->name, ".step", dfqi_tensor_retain(step));
out:
    dfqi_free(w->ctx, y);
    dfqi_tensor_release(codes);
    dfqi_tensor_release(shape);
    dfqi_tensor_release(step);
    return status;
}

static dfq_status put_activation(writer *w, const dfqi_site *site)
{
    dfq_tensor *range;
    DFQI_TRY(put(w, site->name, ".step", dfqi_tensor_retain(site->step)));
    if (site->zero) DFQI_TRY(put(w, site->name, ".zero", dfqi_tensor_retain(site->zero)));
    DFQI_TRY(dfqi_tensor_new(w->ctx, DFQI_F32, 1, (int64_t[]){2}, &range));
    dfqi_tensor_f32(range)[0] = site->lo;
    dfqi_tensor_f32(range)[1] = site->hi;
    return put(w, site->name, ".range", range);
}

static const dfq_tensor *input_step(const dfqi_scheme *s, const dfqi_site *site)
{
    return site->input >= 0 ? s->sites[site->input].step : NULL;
}

static dfq_status put_all(writer *w, const dfqi_model *m, int half)
{
    for (int32_t i = 0; i < m->net.n_params; i++) {
        const dfqi_param *p = &m->net.params[i];
        const dfqi_site *site = m->quantized ? dfqi_scheme_find(&m->scheme, p->name) : NULL;
        dfq_tensor *t = NULL;
        if (site) {
            DFQI_TRY(put_weight(w, site, p->tensor, input_step(&m->scheme, site)));
            continue;
        }
        if (half && !p->fixed) /* small variances would vanish in F16 */
            DFQI_TRY(to_half(p->tensor, &t));
        else
            t = dfqi_tensor_retain(p->tensor);
        DFQI_TRY(put(w, p->name, "", t));
    }
    for (int32_t i = 0; m->quantized && i < m->scheme.n_sites; i++)
        if (m->scheme.sites[i].kind != DFQI_SITE_WEIGHT)
            DFQI_TRY(put_activation(w, &m->scheme.sites[i]));
    return DFQ_OK;
}

dfq_status dfqi_model_save(const dfqi_model *m, const char *path, int half)
{
    dfq_context *ctx = m->ctx;
    writer w = {.ctx = ctx, .cap = m->net.n_params + 3 * (int64_t)m->scheme.n_sites};
    dfqi_st_meta meta[DFQI_ARCH_META + 3];
    int64_t n_meta = DFQI_ARCH_META;
    char bits[2][8];
    dfq_status status = DFQ_E_NOMEM;
    dfqi_arena_init(&w.names, ctx);
    w.entries = dfqi_calloc(ctx, (size_t)w.cap, sizeof *w.entries);
    if (!w.entries) goto out;
    DFQI_GOTO(dfqi_arch_meta(&m->net.arch, &w.names, meta), out);
    if (m->quantized) {
        static char mode_key[] = "dfq.mode", w_key[] = "dfq.weight_bits", a_key[] = "dfq.act_bits";
        static char parity[] = "parity", improved[] = "improved";
        snprintf(bits[0], sizeof bits[0], "%d", m->scheme.weight_bits);
        snprintf(bits[1], sizeof bits[1], "%d", m->scheme.act_bits);
        meta[n_meta++] =
            (dfqi_st_meta){mode_key, m->scheme.mode == DFQI_MODE_PARITY ? parity : improved};
        meta[n_meta++] = (dfqi_st_meta){w_key, bits[0]};
        meta[n_meta++] = (dfqi_st_meta){a_key, bits[1]};
    }
    DFQI_GOTO(put_all(&w, m, half && !m->quantized), out);
    status = dfqi_st_write(ctx, path, w.n, w.entries, n_meta, meta);
out:
    for (int64_t i = 0; w.entries && i < w.n; i++) dfqi_tensor_release(w.entries[i].tensor);
    dfqi_free(ctx, w.entries);
    dfqi_arena_fini(&w.names);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static const dfq_tensor *lookup(const dfqi_safetensors *st, const char *name, const char *suffix)
{
    char text[200];
    snprintf(text, sizeof text, "%.*s%s", 150, name, suffix);
    return dfqi_st_find(st, text);
}

/* An F32 tensor name + suffix with `count` elements (0: any), all finite and, if asked, positive. */
static dfq_status need(const dfqi_safetensors *st, const char *path, const char *name,
                       const char *suffix, int64_t count, int positive, const dfq_tensor **out)
{
    const dfq_tensor *t = lookup(st, name, suffix);
    if (!t)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s%s is missing", path, name, suffix);
    if (t->dtype != DFQI_F32 || (count > 0 && dfqi_tensor_count(t) != count))
        return dfqi_fail(st->ctx, DFQ_E_SHAPE, "%s: tensor %s%s must be F32 with %lld elements",
                         path, name, suffix, (long long)count);
    const float *v = dfqi_tensor_f32(t);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++)
        if (!isfinite(v[i]) || (positive && !(v[i] > 0)))
            return dfqi_fail(st->ctx, DFQ_E_NUMERIC, "%s: tensor %s%s holds %g at element %lld",
                             path, name, suffix, (double)v[i], (long long)i);
    *out = t;
    return DFQ_OK;
}

static dfq_status read_shape(const dfqi_safetensors *st, const char *path, const char *name,
                             int32_t *rank, int64_t *dims, int64_t *count)
{
    const dfq_tensor *t = lookup(st, name, ".shape");
    *count = 1;
    if (!t || t->dtype != DFQI_I64 || t->rank != 1 || t->dims[0] < 2 || t->dims[0] > DFQI_RANK_MAX)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s.shape is missing or malformed",
                         path, name);
    *rank = (int32_t)t->dims[0];
    memcpy(dims, t->data, (size_t)*rank * sizeof *dims);
    for (int32_t i = 0; i < *rank; i++)
        if (dims[i] < 1 || !dfqi_mul_i64(*count, dims[i], count) || *count > INT64_MAX / 64)
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s.shape holds %lld at element %d",
                             path, name, (long long)dims[i], i);
    return DFQ_OK;
}

/* The float weight of name.codes. */
static dfq_status decode(const dfqi_safetensors *st, const char *path, const char *name, int bits,
                         dfq_tensor **out)
{
    char layer[96];
    int64_t dims[DFQI_RANK_MAX], count;
    int32_t rank;
    const dfq_tensor *codes = lookup(st, name, ".codes"), *step;
    DFQI_TRY(read_shape(st, path, name, &rank, dims, &count));
    DFQI_TRY(need(st, path, name, ".step", dims[0], 1, &step));
    if (codes->dtype != DFQI_U8 || dfqi_tensor_count(codes) != code_bytes(count, bits))
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s.codes has %lld bytes, %lld codes of %d bits need %lld",
                         path, name, (long long)dfqi_tensor_count(codes), (long long)count, bits,
                         (long long)code_bytes(count, bits));
    size_t stem = strlen(name) > 7 ? strlen(name) - 7 : 0; /* without ".weight" */
    snprintf(layer, sizeof layer, "%.*s.input", (int)(stem < 80 ? stem : 80), name);
    const dfq_tensor *input = NULL;
    if (lookup(st, layer, ".step")) DFQI_TRY(need(st, path, layer, ".step", 0, 1, &input));
    int64_t cols = count / dims[0];
    const float *col = column_factors(input, cols);
    dfq_tensor *t;
    DFQI_TRY(dfqi_tensor_new(st->ctx, DFQI_F32, rank, dims, &t));
    float *w = dfqi_tensor_f32(t);
    for (int64_t i = 0; i < count; i++) {
        float q = (float)((int32_t)get_code(codes->data, i, bits) - (1 << (bits - 1)));
        w[i] = q * dfqi_tensor_f32(step)[i / cols];
        if (col) w[i] /= col[i % cols];
    }
    *out = t;
    return DFQ_OK;
}

static int meta_int(const dfqi_safetensors *st, const char *key)
{
    const char *text = dfqi_st_meta_find(st, key);
    return text && text[0] >= '0' && text[0] <= '9' && text[1] == '\0' ? text[0] - '0' : -1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The float view of a low-bit file: decoded weights and the plain tensors, without quantizers.
 * view->entries[i].name is borrowed from st, or made here in `names`. */
static dfq_status float_view(const dfqi_safetensors *st, const char *path, int bits,
                             dfqi_arena *names, dfqi_safetensors *view)
{
    static const char *const quant[] = {".step", ".zero", ".range", ".shape"};
    view->entries = dfqi_calloc(st->ctx, (size_t)st->n_entries, sizeof *view->entries);
    if (!view->entries) return DFQ_E_NOMEM;
    for (int64_t i = 0; i < st->n_entries; i++) {
        const dfqi_st_entry *e = &st->entries[i];
        dfqi_st_entry *to = &view->entries[view->n_entries];
        bool skip = false;
        for (size_t k = 0; k < sizeof quant / sizeof *quant; k++)
            skip |= ends_with(e->name, quant[k]);
        if (skip) continue;
        if (ends_with(e->name, ".codes")) {
            to->name = dfqi_arena_strdup(names, e->name);
            if (!to->name) return DFQ_E_NOMEM;
            to->name[strlen(to->name) - 6] = '\0';
            DFQI_TRY(decode(st, path, to->name, bits, &to->tensor));
        } else {
            to->name = e->name;
            to->tensor = dfqi_tensor_retain(e->tensor);
        }
        view->n_entries++;
    }
    return DFQ_OK;
}

static dfq_status copy_of(const dfq_tensor *t, dfq_tensor **slot)
{
    dfq_tensor *copy;
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F32, t->rank, t->dims, &copy));
    memcpy(copy->data, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
    dfqi_tensor_release(*slot);
    *slot = copy;
    return DFQ_OK;
}

static dfq_status read_site(const dfqi_safetensors *st, const char *path, dfqi_site *site)
{
    const dfq_tensor *step, *zero, *range;
    int64_t count = site->step ? dfqi_tensor_count(site->step) : 0;
    DFQI_TRY(need(st, path, site->name, ".step", count, 1, &step));
    DFQI_TRY(copy_of(step, &site->step));
    if (site->kind == DFQI_SITE_WEIGHT) return DFQ_OK;
    DFQI_TRY(need(st, path, site->name, ".range", 2, 0, &range));
    site->lo = dfqi_tensor_f32(range)[0];
    site->hi = dfqi_tensor_f32(range)[1];
    if (!(site->lo < site->hi && site->lo >= -256 && site->hi <= 255))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s.range is %g to %g", path,
                         site->name, (double)site->lo, (double)site->hi);
    if (dfqi_site_is_map(site) && !lookup(st, site->name, ".zero")) {
        site->kind = DFQI_SITE_LOG;
        dfqi_tensor_release(site->zero);
        site->zero = NULL;
        return DFQ_OK;
    }
    DFQI_TRY(need(st, path, site->name, ".zero", dfqi_tensor_count(step), 0, &zero));
    return copy_of(zero, &site->zero);
}

static dfq_status read_scheme(const dfqi_safetensors *st, const char *path, const dfqi_network *net,
                              dfqi_mode mode, int weight_bits, int act_bits, dfqi_scheme *out)
{
    dfqi_scheme s;
    dfq_status status;
    DFQI_TRY(dfqi_scheme_new(net, mode, weight_bits, act_bits, &s));
    for (int32_t i = 0; i < s.n_sites; i++) DFQI_GOTO(read_site(st, path, &s.sites[i]), fail);
    *out = s;
    return DFQ_OK;
fail:
    dfqi_scheme_fini(&s);
    return status;
}

dfq_status dfqi_model_load(dfq_context *ctx, const char *path, const char *arch_name,
                           dfqi_model **out)
{
    dfqi_safetensors st = {0}, view = {.ctx = ctx};
    dfqi_network net = {0};
    dfqi_scheme scheme = {0};
    dfqi_arch arch;
    dfqi_arena names;
    dfq_status status;
    dfqi_arena_init(&names, ctx);
    DFQI_GOTO(dfqi_st_read(ctx, path, &st), out);
    const char *mode = dfqi_st_meta_find(&st, "dfq.mode");
    int wb = meta_int(&st, "dfq.weight_bits"), ab = meta_int(&st, "dfq.act_bits");
    int parity = mode && strcmp(mode, "parity") == 0;
    if (mode &&
        ((!parity && strcmp(mode, "improved") != 0) || wb < 2 || wb > 8 || ab < 2 || ab > 8)) {
        status =
            dfqi_fail(ctx, DFQ_E_CORRUPT,
                      "%s: metadata dfq.mode \"%.20s\", dfq.weight_bits, dfq.act_bits do not name "
                      "a known mode with 2 to 8 bits",
                      path, mode);
        goto out;
    }
    view.n_meta = st.n_meta;
    view.meta = st.meta;
    if (mode) {
        DFQI_GOTO(float_view(&st, path, wb, &names, &view), out);
    }
    const dfqi_safetensors *from = mode ? &view : &st;
    DFQI_GOTO(dfqi_arch_find(from, path, arch_name, &arch), out);
    DFQI_GOTO(dfqi_network_take(from, path, &arch, &net), out);
    if (mode)
        DFQI_GOTO(read_scheme(&st, path, &net, parity ? DFQI_MODE_PARITY : DFQI_MODE_IMPROVED, wb,
                              ab, &scheme),
                  out);
    status = dfqi_model_new(&net, mode ? &scheme : NULL, out);
out:
    for (int64_t i = 0; i < view.n_entries; i++) dfqi_tensor_release(view.entries[i].tensor);
    dfqi_free(ctx, view.entries);
    dfqi_network_fini(&net);
    dfqi_scheme_fini(&scheme);
    dfqi_st_fini(&st);
    dfqi_arena_fini(&names);
    return status;
}
