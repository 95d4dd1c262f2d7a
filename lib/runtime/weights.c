/* Weights of integer steps: codes packed for the kernels, scales, and sums of codes. */
#include <math.h>

#include "kernel/codes.h"
#include "kernel/row_grid.h"
#include "runtime/program_priv.h"

/* operands of fq_weight: w, column factors, scales; attr i: bits, 1: asymmetric */
enum { W, COL, SCALE };

bool dfqi_rt_weight_fits(const dfqi_rt_builder *b, const dfqi_node *n)
{
    return n->op == DFQI_OP_FQ_WEIGHT && !n->attr.i[1] && n->in[COL] < 0 &&
           dfqi_graph_value(b->g, n->in[W])->kind == DFQI_VALUE_PARAM;
}

int32_t dfqi_rt_weight_of(dfqi_rt_builder *b, const dfqi_node *n, dfqi_rt_matrix *out)
{
    const dfqi_value *w = dfqi_graph_value(b->g, n->in[W]);
    dfqi_rt_weight *to = &b->weights[b->n_weights++];
    const int64_t rows = w->dims[0];
    *out =
        (dfqi_rt_matrix){.n = rows, .k = dfqi_value_count(w) / rows, .bits = (int32_t)n->attr.i[0]};
    *to = (dfqi_rt_weight){.fq = n, .matrix = *out};
    to->value = dfqi_rt_value_new(b, DFQI_RT_CONSTANT,
                                  (size_t)dfqi_int_packed_bytes(out->n, 1, out->k, out->bits));
    dfqi_rt_value_new(b, DFQI_RT_CONSTANT, (size_t)rows * sizeof(float));
    dfqi_rt_value_new(b, DFQI_RT_CONSTANT, (size_t)rows * sizeof(int32_t));
    return to->value;
}

static const float *content(const dfqi_rt_builder *b, dfqi_id id)
{
    return id < 0 ? NULL : dfqi_tensor_f32(dfqi_graph_value(b->g, id)->tensor);
}

static float largest(const float *w, int64_t n)
{
    float m = 0.0f;
    for (int64_t i = 0; i < n; i++) m = fmaxf(m, fabsf(w[i]));
    return m;
}

dfq_status dfqi_rt_weight_compute(const dfqi_rt_builder *b, const dfqi_rt_weight *w)
{
    const dfqi_program *p = b->p;
    const dfqi_rt_matrix *m = &w->matrix;
    const float *from = content(b, w->fq->in[W]), *given = content(b, w->fq->in[SCALE]);
    float *scale = (float *)(void *)(p->constants + p->values[w->value + 1].offset);
    int8_t *codes = dfqi_alloc(p->ctx, (size_t)(m->n * m->k));
    dfqi_int_matrix packed;
    if (!codes) return DFQ_E_NOMEM;
    for (int64_t r = 0; r < m->n; r++) {
        const float *row = from + r * m->k;
        dfqi_row_grid g = dfqi_row_grid_symmetric(m->bits, given ? 0.0f : largest(row, m->k));
        scale[r] = given ? given[r] : g.scale;
        for (int64_t i = 0; i < m->k; i++) {
            const float code = dfqi_code_uniform(row[i], scale[r], 0.0f, g.qmin, g.qmax);
            codes[r * m->k + i] = isnan(code) ? 0 : (int8_t)code;
            if (isnan(code)) scale[r] = NAN; /* makes the row's results NaN, as the weight does */
        }
    }
    dfq_status status =
        dfqi_int_pack(p->ctx, dfqi_graph_value(b->g, w->fq->in[W])->name, m->n, m->k, m->bits,
                      codes, scale, (uint8_t *)p->constants + p->values[w->value].offset,
                      (int32_t *)(void *)(p->constants + p->values[w->value + 2].offset), &packed);
    dfqi_free(p->ctx, codes);
    return status;
}
