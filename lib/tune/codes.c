/* Codes of quantized weights, and counts of their changes. One thread counts a whole weight, so
 * that sums have a fixed order. */
#include "tune/codes.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"

dfq_status dfqi_coded_list(const dfqi_model *m, dfqi_coded **out, int32_t *out_n, int64_t *values)
{
    const dfqi_scheme *s = &m->scheme;
    int64_t at = 0;
    int32_t n = 0;
    dfqi_coded *list = dfqi_calloc(m->ctx, (size_t)m->net.n_params, sizeof *list);
    if (!list) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < m->net.n_params; i++) {
        dfq_tensor *t = m->net.params[i].tensor;
        const dfqi_site *site = dfqi_scheme_find(s, m->net.params[i].name);
        if (!site) continue;
        int64_t count = dfqi_tensor_count(t);
        list[n++] = (dfqi_coded){.name = m->net.params[i].name,
                                 .site = site,
                                 .col = site->kind == DFQI_SITE_WEIGHT && site->input >= 0
                                            ? dfqi_tensor_f32(s->sites[site->input].scale)
                                            : NULL,
                                 .tensor = t,
                                 .param = i,
                                 .rows = t->dims[0],
                                 .cols = count / t->dims[0],
                                 .at = at};
        at += count;
    }
    *out = list;
    *out_n = n;
    *values = at;
    return DFQ_OK;
}

/* -- crossings --------------------------------------------------------------------------------- */

struct dfqi_crossings {
    dfq_context *ctx;
    dfqi_model *student;
    dfqi_coded *weights;
    int32_t n;
    int64_t cols; /* of the widest */
    int8_t *first, *last;
    float *scratch; /* [threads][cols] */
};

typedef struct job {
    dfqi_crossings *c;
    const dfqi_kernels *k;
    float *rows; /* [n, DFQI_CROSSED_COLUMNS], or NULL: remember what is there */
} job;

/* From u, a weight in codes, to the nearest place where its code changes. Behind the outermost
 * codes there is none. */
static float distance(float u, float q, float qmin, float qmax)
{
    if (q <= qmin) return qmin + 0.5f - u;
    if (q >= qmax) return u - (qmax - 0.5f);
    return 0.5f - fabsf(u - q);
}

static void count_weight(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    dfqi_crossings *c = j->c;
    const dfqi_coded *w = &c->weights[i];
    float *y = c->scratch + thread * c->cols, qmax = (float)((1 << (w->site->bits - 1)) - 1);
    float qmin = -qmax - 1;
    int64_t now = 0, ever = 0;
    double sum = 0;
    for (int64_t r = 0; r < w->rows; r++) {
        const float *x = dfqi_tensor_f32(w->tensor) + r * w->cols;
        int8_t *first = c->first + w->at + r * w->cols, *last = c->last + w->at + r * w->cols;
        float scale, zero_point;
        dfqi_weight_row(j->k, w->site, r, w->cols, x, w->col, y, &scale, &zero_point);
        for (int64_t p = 0; p < w->cols; p++) {
            float v = w->col ? x[p] * w->col[p] : x[p];
            float step = scale;
            dfqi_weight_grid_at(w->site, r, w->cols, p, &step, &zero_point);
            float u = v / step + zero_point, q = fmaxf(qmin, fminf(qmax, rintf(u)));
            int8_t code = (int8_t)q;
            if (!j->rows) first[p] = last[p] = code;
            now += code != last[p];
            ever += code != first[p];
            sum += (double)distance(u, q, qmin, qmax);
            last[p] = code;
        }
    }
    if (!j->rows) return;
    float *row = j->rows + i * DFQI_CROSSED_COLUMNS;
    row[DFQI_CROSSED_NOW] = (float)now;
    row[DFQI_CROSSED_EVER] = (float)ever;
    row[DFQI_CROSSED_DISTANCE] = (float)(sum / (double)(w->rows * w->cols));
    row[DFQI_CROSSED_CODES] = (float)(w->rows * w->cols);
}

static void count_all(dfqi_crossings *c, float *rows)
{
    job j = {.c = c, .k = dfqi_kernels_get(c->ctx), .rows = rows};
    dfqi_parallel_for(c->ctx, c->n, count_weight, &j);
}

dfq_status dfqi_crossings_new(const dfqi_model *student, dfqi_crossings **out)
{
    dfq_context *ctx = student->ctx;
    int64_t values;
    if (!student->quantized)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "%s is not quantized and has no codes; give the quantized network",
                         student->net.arch.name);
    dfqi_crossings *c = dfqi_calloc(ctx, 1, sizeof *c);
    if (!c) return DFQ_E_NOMEM;
    c->ctx = ctx;
    c->student = dfqi_model_retain(student);
    dfq_status status;
    DFQI_GOTO(dfqi_coded_list(student, &c->weights, &c->n, &values), fail);
    for (int32_t i = 0; i < c->n; i++)
        if (c->weights[i].cols > c->cols) c->cols = c->weights[i].cols;
    c->first = dfqi_calloc(ctx, (size_t)values, 2);
    c->scratch = dfqi_calloc(ctx, (size_t)c->cols, (size_t)ctx->threads * sizeof(float));
    status = DFQ_E_NOMEM;
    if (!c->first || !c->scratch) goto fail;
    c->last = c->first + values;
    count_all(c, NULL);
    *out = c;
    return DFQ_OK;
fail:
    dfqi_crossings_release(c);
    return status;
}

void dfqi_crossings_release(dfqi_crossings *c)
{
    if (!c) return;
    dfqi_model *student = c->student;
    dfqi_free(c->ctx, c->weights);
    dfqi_free(c->ctx, c->first);
    dfqi_free(c->ctx, c->scratch);
    dfqi_free(c->ctx, c);
    dfqi_model_release(student); /* last: it keeps the context */
}

int32_t dfqi_crossings_count(const dfqi_crossings *c)
{
    return c->n;
}

const char *dfqi_crossings_name(const dfqi_crossings *c, int32_t i)
{
    return c->weights[i].name;
}

dfq_status dfqi_crossings_measure(dfqi_crossings *c, dfq_tensor **out)
{
    dfq_tensor *rows;
    DFQI_TRY(dfqi_tensor_new(c->ctx, DFQI_F32, 2, (int64_t[]){c->n, DFQI_CROSSED_COLUMNS}, &rows));
    count_all(c, dfqi_tensor_f32(rows));
    *out = rows;
    return DFQ_OK;
}
