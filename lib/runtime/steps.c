/* Steps that run an op of the graph on some of its rows or images. */
#include <string.h>

#include "runtime/program_priv.h"

void *dfqi_rt_at(const dfqi_rt_frame *f, int32_t value, int64_t units, int64_t first)
{
    const dfqi_rt_value *v = &f->p->values[value];
    const size_t unit = v->bytes / (size_t)units;
    switch (v->region) {
    case DFQI_RT_CONSTANT:
        return f->p->constants + v->offset;
    case DFQI_RT_SLICE:
        return f->slice + v->offset + (size_t)first * unit;
    case DFQI_RT_GROUP:
        return f->slice + v->offset + (size_t)(first - f->base * units) * unit;
    case DFQI_RT_BLOCK: /* holds the units of the block alone */
        return f->block + v->offset;
    case DFQI_RT_OUTPUT:
        return f->outputs + v->offset + (size_t)(f->first * units + first) * unit;
    default:
        return NULL;
    }
}

static void fill(const dfqi_rt_frame *f, int32_t value, int64_t units, int64_t first, int64_t count,
                 dfqi_arg *a)
{
    const dfqi_rt_value *v = &f->p->values[value];
    a->data = dfqi_rt_at(f, value, units, first);
    a->rank = v->rank;
    memcpy(a->dims, v->dims, sizeof a->dims);
    a->count = (int64_t)(v->bytes / sizeof(float));
    if (v->region == DFQI_RT_CONSTANT || v->region == DFQI_RT_NONE) return;
    a->count = a->count / units * count;
    a->dims[0] = count; /* images */
    if (units == 1) return;
    const int64_t last = v->dims[v->rank - 1];
    a->rank = 3;
    a->dims[0] = 1;
    a->dims[1] = a->count / last;
    a->dims[2] = last;
}

void dfqi_rt_run_op(const dfqi_rt_step *s, const dfqi_rt_frame *f, int64_t first, int64_t count)
{
    dfqi_run r = {.k = f->p->k,
                  .attr = &s->attr,
                  .images = s->units == 1 ? count : 1,
                  .scratch = (float *)(void *)f->scratch};
    r.batch = r.images;
    for (int32_t i = 0; i < s->n_in; i++)
        if (s->in[i] >= 0) fill(f, s->in[i], s->units, first, count, &r.in[i]);
    for (int32_t i = 0; i < s->n_out; i++)
        if (s->out[i] >= 0) fill(f, s->out[i], s->units, first, count, &r.out[i]);
    dfqi_op_get(s->op)->run(&r);
}
