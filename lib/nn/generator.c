/* Generator networks: parameters, layers, and the interface to all kinds. */
#include "nn/generator.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"
#include "nn/generator_priv.h"

enum { IMAGE_MAX = 1024, CLASSES_MAX = 1 << 24, LATENT_MAX = 1 << 16, SLOTS_MAX = 1 << 12 };

/* -- lists of parameters ----------------------------------------------------------------------- */

static void add(dfqi_weights *l, const char *name, const char *end, int32_t rank,
                const int64_t *dims, dfqi_weight_start start, int64_t fan_in)
{
    if (l->rows) {
        dfqi_weight *w = &l->rows[l->n];
        *w = (dfqi_weight){.rank = rank, .start = start, .fan_in = fan_in};
        snprintf(w->name, sizeof w->name, "%s.%s", name, end);
        memcpy(w->dims, dims, (size_t)rank * sizeof *dims);
    }
    l->n++;
}

void dfqi_list_embed(dfqi_weights *l, int64_t width)
{
    add(l, "embed", "weight", 2, (int64_t[]){l->a->classes, width}, DFQI_START_NORMAL, 0);
}

void dfqi_list_linear(dfqi_weights *l, const char *name, int64_t out, int64_t in)
{
    add(l, name, "weight", 2, (int64_t[]){out, in}, DFQI_START_UNIFORM, in);
    add(l, name, "bias", 1, &out, DFQI_START_UNIFORM, in);
}

void dfqi_list_conv(dfqi_weights *l, const char *name, int64_t out, int64_t in, int64_t kernel)
{
    int64_t dims[4] = {out, in, kernel, kernel}, fan_in = in * kernel * kernel;
    add(l, name, "weight", 4, dims, DFQI_START_UNIFORM, fan_in);
    add(l, name, "bias", 1, &out, DFQI_START_UNIFORM, fan_in);
}

void dfqi_list_norm(dfqi_weights *l, const char *name, int64_t channels)
{
    int64_t dims[2] = {l->a->classes, channels};
    int32_t plain = !l->a->conditional;
    add(l, name, "weight", 2 - plain, dims + plain, DFQI_START_ONE, 0);
    add(l, name, "bias", 2 - plain, dims + plain, DFQI_START_ZERO, 0);
}

static void list_of(dfqi_weights *l)
{
    static void (*const lists[])(dfqi_weights *) = {dfqi_gdfq_list, dfqi_qimera_list,
                                                    dfqi_arc_list};
    lists[l->a->kind](l);
}

/* -- layers ------------------------------------------------------------------------------------ */

dfqi_id dfqi_make_linear(dfqi_maker *m, const char *name, dfqi_id x)
{
    const dfqi_id *w = m->next;
    m->next += 2;
    return dfqi_linear(m->g, name, x, w[0], w[1]);
}

dfqi_id dfqi_make_conv(dfqi_maker *m, const char *name, dfqi_id x, int64_t kernel, int64_t dilation)
{
    const dfqi_id *w = m->next;
    const dfqi_conv_attr same = {
        .stride = 1, .pad = kernel / 2 * dilation, .dilation = dilation, .groups = 1};
    m->next += 2;
    return dfqi_conv(m->g, name, x, w[0], w[1], &same);
}

dfqi_id dfqi_make_mixture(dfqi_maker *m, dfqi_id mix, dfqi_id x)
{
    if (x == DFQI_NONE) return x;
    int64_t slots = m->a->slots, width = dfqi_value_last(dfqi_graph_value(m->g, x));
    mix = dfqi_reshape(m->g, mix, 3, (int64_t[]){1, 1, slots});
    x = dfqi_reshape(m->g, x, 3, (int64_t[]){1, slots, width});
    return dfqi_reshape(m->g, dfqi_matmul_nn(m->g, "mixture", mix, x), 1, &width);
}

/* Looks up the table row of each image. */
static dfqi_id rows_of(dfqi_maker *m, dfqi_id table)
{
    dfqi_id rows = dfqi_embed(m->g, table, m->in->labels);
    return m->in->norm_mix == DFQI_NONE ? rows : dfqi_make_mixture(m, m->in->norm_mix, rows);
}

dfqi_id dfqi_make_norm(dfqi_maker *m, dfqi_id x, dfqi_id mean, float eps)
{
    dfqi_id var = dfqi_graph_output(m->g, mean, 1), gamma = m->next[0], beta = m->next[1];
    m->next += 2;
    if (m->a->conditional) {
        gamma = rows_of(m, gamma);
        beta = rows_of(m, beta);
    }
    return dfqi_batchnorm(m->g, x, mean, var, gamma, beta, eps);
}

dfqi_id dfqi_make_image(dfqi_maker *m, dfqi_id x)
{
    x = dfqi_tanh(m->g, x);
    dfqi_id mean = dfqi_batch_stats(m->g, x), var = dfqi_graph_output(m->g, mean, 1);
    x = dfqi_batchnorm(m->g, x, mean, var, DFQI_NONE, DFQI_NONE, DFQI_GENERATOR_EPS);
    return dfqi_channels_first(m->g, x);
}

/* -- interface --------------------------------------------------------------------------------- */

static dfq_status check(dfq_context *ctx, const dfqi_generator_arch *a)
{
    int64_t least = a->kind == DFQI_GENERATOR_ARC ? 8 : 4;
    bool ok = dfqi_shorter(a->image) >= least && dfqi_longer(a->image) <= IMAGE_MAX &&
              a->image.height % least == 0 && a->image.width % least == 0;
    ok = ok && a->classes >= 1 && a->classes <= CLASSES_MAX && a->latent >= 1 &&
         a->latent <= LATENT_MAX && a->reduced >= 0 && a->reduced <= LATENT_MAX;
    if (a->kind == DFQI_GENERATOR_QIMERA) ok = ok && a->slots >= 1 && a->slots <= SLOTS_MAX;
    if (a->kind == DFQI_GENERATOR_ARC)
        ok =
            ok && a->latent == DFQI_GENERATOR_LATENT && a->conditional && a->cells < DFQI_ARC_CELLS;
    if (ok) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "generator: classes is %lld and latent is %lld, must be 1 or more; the "
                     "image is %lld x %lld, each must be a multiple of %lld up to %d",
                     (long long)a->classes, (long long)a->latent, (long long)a->image.height,
                     (long long)a->image.width, (long long)least, IMAGE_MAX);
}

static dfq_status make_list(dfq_context *ctx, const dfqi_generator_arch *a, dfqi_weights *out)
{
    dfqi_weights l = {.a = a};
    DFQI_TRY(check(ctx, a));
    list_of(&l);
    l.rows = dfqi_calloc(ctx, (size_t)l.n, sizeof *l.rows);
    if (!l.rows) return DFQ_E_NOMEM;
    l.n = 0;
    list_of(&l);
    *out = l;
    return DFQ_OK;
}

static void fill(const dfqi_weight *w, dfqi_rng rng, float *v, int64_t n)
{
    float bound = w->fan_in > 0 ? 1.0f / sqrtf((float)w->fan_in) : 0;
    if (w->start == DFQI_START_NORMAL) {
        dfqi_rng_fill_normal(&rng, v, (size_t)n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        v[i] = w->start == DFQI_START_UNIFORM ? dfqi_rng_range(&rng, -bound, bound)
                                              : w->start == DFQI_START_ONE;
}

static dfq_status make_params(dfqi_generator *net, const dfqi_weights *l, uint64_t seed)
{
    dfq_context *ctx = net->ctx;
    net->params = dfqi_calloc(ctx, (size_t)l->n, sizeof *net->params);
    if (!net->params) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < l->n; i++) {
        const dfqi_weight *w = &l->rows[i];
        dfqi_param *p = &net->params[net->n_params++];
        p->name = dfqi_strdup(ctx, w->name);
        if (!p->name) return DFQ_E_NOMEM;
        DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, w->rank, w->dims, &p->tensor));
        fill(w, dfqi_rng_make(seed, (uint64_t)i), dfqi_tensor_f32(p->tensor),
             dfqi_tensor_count(p->tensor));
    }
    return DFQ_OK;
}

dfq_status dfqi_generator_new(dfq_context *ctx, const dfqi_generator_arch *arch, uint64_t seed,
                              dfqi_generator *out)
{
    dfqi_generator net = {.ctx = ctx, .arch = *arch};
    dfqi_weights list;
    DFQI_TRY(make_list(ctx, arch, &list));
    dfq_status status = make_params(&net, &list, seed);
    dfqi_free(ctx, list.rows);
    if (status != DFQ_OK) {
        dfqi_generator_fini(&net);
        return status;
    }
    *out = net;
    return DFQ_OK;
}

void dfqi_generator_fini(dfqi_generator *net)
{
    for (int32_t i = 0; i < net->n_params; i++) {
        dfqi_free(net->ctx, net->params[i].name);
        dfqi_tensor_release(net->params[i].tensor);
    }
    if (net->ctx) dfqi_free(net->ctx, net->params);
    memset(net, 0, sizeof *net);
}

dfq_tensor *dfqi_generator_find(const dfqi_generator *net, const char *name)
{
    for (int32_t i = 0; i < net->n_params; i++)
        if (strcmp(net->params[i].name, name) == 0) return net->params[i].tensor;
    return NULL;
}

int64_t dfqi_generator_values(const dfqi_generator *net)
{
    int64_t n = 0;
    for (int32_t i = 0; i < net->n_params; i++) n += dfqi_tensor_count(net->params[i].tensor);
    return n;
}

dfq_status dfqi_generator_count(dfq_context *ctx, const dfqi_generator_arch *arch, int64_t *out)
{
    dfqi_weights l;
    int64_t n = 0;
    DFQI_TRY(make_list(ctx, arch, &l));
    for (int32_t i = 0; i < l.n; i++) {
        int64_t one = 1; /* the limits of check() keep products small */
        for (int32_t k = 0; k < l.rows[i].rank; k++) one *= l.rows[i].dims[k];
        n += one;
    }
    dfqi_free(ctx, l.rows);
    *out = n;
    return DFQ_OK;
}

int64_t dfqi_generator_noise(const dfqi_generator_arch *a, int32_t i)
{
    if (a->kind == DFQI_GENERATOR_ARC) /* 33, 33, 34 */
        return a->latent / DFQI_GENERATOR_NOISES + (i == DFQI_GENERATOR_NOISES - 1);
    if (i > 0) return 0;
    return a->kind == DFQI_GENERATOR_QIMERA ? a->slots * a->latent : a->latent;
}

void dfqi_generator_inputs_add(const dfqi_generator *net, dfqi_graph *g, dfqi_generator_inputs *out)
{
    const dfqi_generator_arch *a = &net->arch;
    int64_t slots[2] = {a->slots, a->latent};
    *out = (dfqi_generator_inputs){.mix = DFQI_NONE, .own = DFQI_NONE, .norm_mix = DFQI_NONE};
    if (a->kind == DFQI_GENERATOR_QIMERA) {
        out->noise[0] = dfqi_graph_input(g, "noise", 1, 2, slots);
        out->labels = dfqi_graph_input(g, "labels", 1, 1, slots);
        out->mix = dfqi_graph_input(g, "mix", 1, 1, slots);
        out->own = dfqi_graph_input(g, "own", 1, 1, slots);
        if (a->conditional) out->norm_mix = dfqi_graph_input(g, "norm_mix", 1, 1, slots);
        return;
    }
    for (int32_t i = 0; i < DFQI_GENERATOR_NOISES; i++) {
        int64_t width = dfqi_generator_noise(a, i);
        if (width > 0) out->noise[i] = dfqi_graph_input(g, "noise", 1, 1, &width);
    }
    out->labels = dfqi_graph_input(g, "labels", 1, 0, NULL);
}

void dfqi_generator_params(const dfqi_generator *net, dfqi_graph *g, dfqi_id *ids)
{
    for (int32_t i = 0; i < net->n_params; i++)
        ids[i] = dfqi_graph_param(g, net->params[i].name, net->params[i].tensor, 0);
}

dfqi_id dfqi_generator_forward(const dfqi_generator *net, dfqi_graph *g, const dfqi_id *params,
                               const dfqi_generator_inputs *in)
{
    static dfqi_id (*const makers[])(dfqi_maker *) = {dfqi_gdfq_make, dfqi_qimera_make,
                                                      dfqi_arc_make};
    dfqi_maker m = {.a = &net->arch, .in = in, .g = g, .next = params};
    return makers[net->arch.kind](&m);
}
