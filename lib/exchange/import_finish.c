/* The end of an import: what the logits do not need goes, BatchNorms behind convolutions are
 * brought into the form that zero-shot methods know, and the draft becomes a structure with its
 * parameters. */
#include <stdio.h>
#include <string.h>

#include "exchange/import_family_priv.h"

/* -- what is needed ---------------------------------------------------------------------------- */

static void mark_needed(im *m, int32_t logits)
{
    im_draft *d = &m->draft;
    for (int32_t i = 0; i < d->n_ops; i++) d->ops[i].needed = false;
    if (d->values[logits].op >= 0) d->ops[d->values[logits].op].needed = true;
    for (int32_t i = d->n_ops - 1; i >= 0; i--) {
        const dfqi_structure_op *op = &d->ops[i].op;
        d->ops[i].dropped = !d->ops[i].needed;
        for (int32_t k = 0; d->ops[i].needed && k < op->n_in; k++)
            if (d->values[op->in[k]].op >= 0) d->ops[d->values[op->in[k]].op].needed = true;
    }
}

/* -- BatchNorms behind convolutions ------------------------------------------------------------ */

static dfqi_structure_op *conv_of(im *m, const dfqi_structure_op *norm)
{
    im_draft_op *maker = dfqi_im_maker(m, norm->in[0]);
    return maker && maker->op.kind == DFQI_STRUCTURE_CONV ? &maker->op : NULL;
}

/* A bias before a BatchNorm is a part of its mean, and its eps that of the network with the
 * variance moved, where the variances allow it. */
static void settle_norms(im *m, float *eps)
{
    bool known = false;
    for (int32_t i = 0; i < m->draft.n_ops; i++) {
        dfqi_structure_op *op = &m->draft.ops[i].op, *conv;
        if (!m->draft.ops[i].needed || op->kind != DFQI_STRUCTURE_BATCHNORM) continue;
        if (!(conv = conv_of(m, op))) continue;
        int64_t n = m->draft.values[op->in[3]].dims[0];
        float *mean = dfqi_im_param_data(m, op->in[3]), *var = dfqi_im_param_data(m, op->in[4]);
        if (conv->n_in == 3 && dfqi_im_readers(m, conv->out) == 1) {
            const float *bias = dfqi_im_param_data(m, conv->in[2]);
            for (int64_t k = 0; k < n; k++) mean[k] -= bias[k];
            conv->n_in = 2;
        }
        if (!known) *eps = op->value;
        known = true;
        bool fits = true;
        for (int64_t k = 0; k < n; k++) fits &= var[k] + (op->value - *eps) >= 0;
        for (int64_t k = 0; fits && k < n; k++) var[k] += op->value - *eps;
        if (fits) op->value = *eps;
    }
}

/* -- activations of means ---------------------------------------------------------------------- */

/* Does an op make of means, one for each channel of an image, others? */
static bool keeps_means(dfqi_structure_kind kind)
{
    return kind == DFQI_STRUCTURE_LINEAR || kind == DFQI_STRUCTURE_RELU ||
           kind == DFQI_STRUCTURE_ACTIVATION || kind == DFQI_STRUCTURE_FUNCTION ||
           kind == DFQI_STRUCTURE_RESHAPE || kind == DFQI_STRUCTURE_BATCHNORM;
}

/* Activations of means over the image (of squeeze-and-excite, of a layer in front of the
 * classifier) have no quantizer behind them, as in the families of networks. */
static void free_means(im *m)
{
    bool *means = dfqi_im_alloc(m, (size_t)m->draft.n_values, sizeof *means);
    for (int32_t i = 0; means && i < m->draft.n_ops; i++) {
        dfqi_structure_op *op = &m->draft.ops[i].op;
        const bool of_means = keeps_means(op->kind) && means[op->in[0]];
        means[op->out] = op->kind == DFQI_STRUCTURE_MEAN_POOL || of_means;
        if (!of_means || (op->kind != DFQI_STRUCTURE_RELU && op->kind != DFQI_STRUCTURE_ACTIVATION))
            continue;
        if (op->kind == DFQI_STRUCTURE_ACTIVATION) op->kind = DFQI_STRUCTURE_FUNCTION;
        op->name[0] = '\0';
    }
}

/* -- numbers ----------------------------------------------------------------------------------- */

static void number(im *m, int32_t value, int32_t *next)
{
    im_draft_value *v = &m->draft.values[value];
    if (v->final == 0) v->final = ++*next;
}

/* Parameters of pairs come first, in fives, then the others in the order of use; returns their
 * number. */
static int32_t number_params(im *m, float eps)
{
    int32_t next = 0;
    for (int32_t i = 0; i < m->draft.n_ops; i++) {
        const dfqi_structure_op *op = &m->draft.ops[i].op;
        const dfqi_structure_op *conv;
        bool norm = m->draft.ops[i].needed && op->kind == DFQI_STRUCTURE_BATCHNORM;
        if (!norm || !(conv = conv_of(m, op)) || conv->n_in != 2 || op->value < eps ||
            op->value > eps || m->draft.values[conv->in[1]].final)
            continue;
        number(m, conv->in[1], &next);
        for (int32_t k = 1; k < 5; k++) number(m, op->in[k], &next);
    }
    for (int32_t i = 0; i < m->draft.n_ops; i++) {
        const dfqi_structure_op *op = &m->draft.ops[i].op;
        for (int32_t k = 0; m->draft.ops[i].needed && k < op->n_in; k++)
            if (m->draft.values[op->in[k]].tensor) number(m, op->in[k], &next);
    }
    return next;
}

/* Numbers of computed values go on behind the parameters; returns the number of ops. */
static int32_t number_ops(im *m, int32_t n_params)
{
    int32_t n = 0, next = n_params;
    for (int32_t i = 0; i < m->draft.n_ops; i++) {
        const dfqi_structure_op *op = &m->draft.ops[i].op;
        if (!m->draft.ops[i].needed) continue;
        n++;
        for (int32_t k = 0; k < op->n_out; k++) m->draft.values[op->out + k].final = ++next;
    }
    return n;
}

static void fill(const im *m, dfqi_structure *p)
{
    int32_t n = 0;
    for (int32_t i = 0; i < m->draft.n_values; i++) {
        const im_draft_value *v = &m->draft.values[i];
        if (!v->tensor || v->final == 0) continue;
        dfqi_expect *e = &p->params[v->final - 1];
        snprintf(e->name, sizeof e->name, "%s", v->name);
        e->rank = v->rank;
        memcpy(e->dims, v->dims, (size_t)v->rank * sizeof *v->dims);
    }
    for (int32_t i = 0; i < m->draft.n_ops; i++) {
        if (!m->draft.ops[i].needed) continue;
        dfqi_structure_op *op = &p->ops[n++];
        *op = m->draft.ops[i].op;
        for (int32_t k = 0; k < op->n_in; k++) op->in[k] = m->draft.values[op->in[k]].final;
    }
}

/* -- the model --------------------------------------------------------------------------------- */

/* The file's name without its folder and ending. */
static void base_name(const char *path, char out[64])
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = strlen(base), end = strlen(".onnx");
    if (n > end && strcmp(base + n - end, ".onnx") == 0) n -= end;
    snprintf(out, 64, "%.*s", (int)(n < 63 ? n : 63), base);
}

static dfq_status to_model(im *m, const dfqi_structure *p, const dfq_load_options *o,
                           dfqi_model **out)
{
    char name[64], *text;
    dfqi_safetensors st = {.ctx = m->ctx, .bytes = m->bytes};
    DFQI_TRY(dfqi_structure_text(p, &text));
    base_name(m->path, name);
    dfq_status status = dfqi_st_meta_add(&st, "dfq.structure", text);
    dfqi_free(m->ctx, text);
    if (status == DFQ_OK) status = dfqi_im_read_about(m, true, &st);
    if (status == DFQ_OK) status = dfqi_st_meta_add(&st, "architecture", name);
    dfqi_st_entry *entries = dfqi_calloc(m->ctx, (size_t)p->n_params, sizeof *entries);
    for (int32_t i = 0; entries && i < m->draft.n_values; i++) {
        im_draft_value *v = &m->draft.values[i];
        if (v->tensor && v->final) entries[v->final - 1] = (dfqi_st_entry){v->name, v->tensor};
    }
    if (!entries) status = DFQ_E_NOMEM;
    st.entries = entries;
    st.n_entries = p->n_params;
    if (status == DFQ_OK) status = dfqi_model_from(&st, m->path, o, out);
    st.entries = NULL; /* they belong to the draft */
    st.n_entries = 0;
    dfqi_st_fini(&st);
    dfqi_free(m->ctx, entries);
    return status;
}

/* Moves that a structure does not have. */
static void refuse_lists(im *m)
{
    for (int32_t i = 0; i < m->draft.n_ops && m->status == DFQ_OK; i++) {
        const im_draft_op *op = &m->draft.ops[i];
        if (!op->needed || (int)op->op.kind != IM_ROWS) continue;
        m->node = op->node;
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "takes more than 256 runs of indices, which only Swin transformers may; export "
            "another form of it");
        m->node = NULL;
    }
}

dfq_status dfqi_im_finish(im *m, int32_t logits, int64_t classes, dfqi_model **out,
                          const dfq_load_options *o)
{
    dfqi_structure *p;
    float eps = 1e-5f;
    mark_needed(m, logits);
    dfqi_im_join_heads_layers(m);
    mark_needed(m, logits);
    settle_norms(m, &eps);
    if (m->status != DFQ_OK) return m->status;
    *out = NULL;
    DFQI_TRY(dfqi_im_as_family(m, logits, classes, o, out));
    if (*out) return DFQ_OK;
    refuse_lists(m);
    free_means(m);
    dfqi_im_unique(m);
    if (m->status != DFQ_OK) return m->status;
    int32_t n_params = number_params(m, eps), n_ops = number_ops(m, n_params);
    if (n_ops < 1 || n_ops > DFQI_STRUCTURE_MOST || n_params > DFQI_STRUCTURE_MOST)
        return dfqi_fail(m->ctx, DFQ_E_UNSUPPORTED,
                         "%s: the network has %d ops and %d parameters, must have 1 to %d and at "
                         "most as many",
                         m->path, n_ops, n_params, DFQI_STRUCTURE_MOST);
    DFQI_TRY(dfqi_structure_new(m->ctx, n_params, n_ops, &p));
    p->image = m->image;
    p->channels = m->channels;
    p->classes = classes;
    p->eps = eps;
    p->logits = m->draft.values[logits].final;
    fill(m, p);
    dfq_status status = dfqi_structure_finish(p, m->path);
    if (status == DFQ_OK) status = to_model(m, p, o, out);
    dfqi_structure_release(p);
    return status;
}
