/* The draft of a structure: values, parameters and ops as they are found. */
#include <stdio.h>
#include <string.h>

#include "exchange/import_priv.h"

static bool grow(im *m, void **array, int32_t n, int32_t *cap, size_t size)
{
    if (m->status != DFQ_OK) return false;
    if (n < *cap) return true;
    int32_t want = *cap ? 2 * *cap : 64;
    void *p = dfqi_realloc(m->ctx, *array, (size_t)want * size);
    if (!p) {
        m->status = DFQ_E_NOMEM;
        return false;
    }
    *array = p;
    *cap = want;
    return true;
}

static im_draft_value *new_value(im *m, int32_t rank, const int64_t *dims)
{
    im_draft *d = &m->draft;
    if (!grow(m, (void **)&d->values, d->n_values, &d->cap_values, sizeof *d->values)) return NULL;
    im_draft_value *v = &d->values[d->n_values++];
    *v = (im_draft_value){.rank = rank, .op = -1};
    memcpy(v->dims, dims, (size_t)rank * sizeof *dims);
    return v;
}

int32_t dfqi_im_draft_image(im *m)
{
    new_value(m, 3, (int64_t[]){m->channels, m->image.height, m->image.width});
    return 0;
}

int32_t dfqi_im_param(im *m, const char *name, int32_t rank, const int64_t *dims, const float *data)
{
    dfq_tensor *t = NULL;
    if (m->status != DFQ_OK) return -1;
    m->status = dfqi_tensor_new(m->ctx, DFQI_F32, rank, dims, &t);
    im_draft_value *v = new_value(m, rank, dims);
    if (!v) {
        dfqi_tensor_release(t);
        return -1;
    }
    v->tensor = t;
    snprintf(v->name, sizeof v->name, "%s", name);
    if (data) memcpy(t->data, data, (size_t)dfqi_tensor_count(t) * sizeof *data);
    return m->draft.n_values - 1;
}

int32_t dfqi_im_param_fill(im *m, const char *name, int64_t n, float value)
{
    int32_t id = dfqi_im_param(m, name, 1, &n, NULL);
    float *to = dfqi_im_param_data(m, id);
    for (int64_t i = 0; to && i < n; i++) to[i] = value;
    return id;
}

float *dfqi_im_param_data(const im *m, int32_t value)
{
    if (m->status != DFQ_OK || value < 0) return NULL;
    return dfqi_tensor_f32(m->draft.values[value].tensor);
}

int32_t dfqi_im_op(im *m, const dfqi_structure_op *op, int32_t rank, const int64_t *dims)
{
    im_draft *d = &m->draft;
    for (int32_t k = 0; k < op->n_in; k++)
        if (op->in[k] < 0) return -1; /* an error came before */
    if (!grow(m, (void **)&d->ops, d->n_ops, &d->cap_ops, sizeof *d->ops)) return -1;
    int32_t first = d->n_values;
    for (int32_t k = 0; k < op->n_out; k++) {
        im_draft_value *v = new_value(m, rank, dims);
        if (!v) return -1;
        v->op = d->n_ops;
    }
    d->ops[d->n_ops] = (im_draft_op){.op = *op, .node = m->node};
    d->ops[d->n_ops++].op.out = first;
    return first;
}

int32_t dfqi_im_new_outputs(im *m, int32_t at, int32_t n, int32_t like)
{
    const im_draft_value shape = m->draft.values[like];
    int32_t first = m->draft.n_values;
    for (int32_t k = 0; k < n; k++) {
        im_draft_value *v = new_value(m, shape.rank, shape.dims);
        if (!v) return -1;
        v->op = at;
    }
    return first;
}

im_draft_op *dfqi_im_maker(const im *m, int32_t value)
{
    if (m->status != DFQ_OK || value < 0 || m->draft.values[value].op < 0) return NULL;
    return &m->draft.ops[m->draft.values[value].op];
}

int32_t dfqi_im_readers(const im *m, int32_t value)
{
    int32_t n = 0;
    for (int32_t i = m->draft.values[value].op + 1; i < m->draft.n_ops; i++)
        for (int32_t k = 0; !m->draft.ops[i].dropped && k < m->draft.ops[i].op.n_in; k++)
            n += m->draft.ops[i].op.in[k] == value;
    return n;
}

void dfqi_im_draft_fini(im *m)
{
    for (int32_t i = 0; i < m->draft.n_values; i++) dfqi_tensor_release(m->draft.values[i].tensor);
    dfqi_free(m->ctx, m->draft.values);
    dfqi_free(m->ctx, m->draft.ops);
}
