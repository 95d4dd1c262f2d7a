/* GDFQ's generator: parameters and forward pass. */
#include "nn/gdfq.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"

enum { WIDE = 128, NARROW = 64, COLOURS = 3, EMBED = 0, FC = 1, PARAMS = 15 };

/* How a parameter begins: torch's defaults. */
typedef enum start_kind { UNIFORM, NORMAL, ONE, ZERO } start_kind;

typedef struct row {
    const char *name;
    int32_t rank;
    int64_t dims[4];
    start_kind start;
    int64_t fan_in; /* UNIFORM: within 1 / sqrt(fan_in) */
} row;

static row norm_row(const dfqi_gdfq_arch *a, const char *name, int64_t channels, start_kind start)
{
    row r = {name, 1, {channels}, start, 0};
    if (a->conditional) {
        r.rank = 2;
        r.dims[0] = a->classes;
        r.dims[1] = channels;
    }
    return r;
}

/* Row i = 0 .. PARAMS - 1; the conditional form has no embedding, row 0 is skipped there. */
static row row_of(const dfqi_gdfq_arch *a, int32_t i)
{
    int64_t side = a->image / 4, first = WIDE * side * side;
    switch (i) {
    case 0:
        return (row){"embed.weight", 2, {a->classes, a->latent}, NORMAL, 0};
    case 1:
        return (row){"fc.weight", 2, {first, a->latent}, UNIFORM, a->latent};
    case 2:
        return (row){"fc.bias", 1, {first}, UNIFORM, a->latent};
    case 3:
        return norm_row(a, "bn0.weight", WIDE, ONE);
    case 4:
        return norm_row(a, "bn0.bias", WIDE, ZERO);
    case 5:
        return (row){"conv1.weight", 4, {WIDE, WIDE, 3, 3}, UNIFORM, 9 * WIDE};
    case 6:
        return (row){"conv1.bias", 1, {WIDE}, UNIFORM, 9 * WIDE};
    case 7:
        return norm_row(a, "bn1.weight", WIDE, ONE);
    case 8:
        return norm_row(a, "bn1.bias", WIDE, ZERO);
    case 9:
        return (row){"conv2.weight", 4, {NARROW, WIDE, 3, 3}, UNIFORM, 9 * WIDE};
    case 10:
        return (row){"conv2.bias", 1, {NARROW}, UNIFORM, 9 * WIDE};
    case 11:
        return norm_row(a, "bn2.weight", NARROW, ONE);
    case 12:
        return norm_row(a, "bn2.bias", NARROW, ZERO);
    case 13:
        return (row){"conv3.weight", 4, {COLOURS, NARROW, 3, 3}, UNIFORM, 9 * NARROW};
    default:
        return (row){"conv3.bias", 1, {COLOURS}, UNIFORM, 9 * NARROW};
    }
}

static void fill(const row *r, dfqi_rng rng, float *v, int64_t n)
{
    float bound = r->fan_in > 0 ? 1.0f / sqrtf((float)r->fan_in) : 0;
    if (r->start == NORMAL) dfqi_rng_fill_normal(&rng, v, (size_t)n);
    for (int64_t i = 0; i < n && r->start != NORMAL; i++)
        v[i] = r->start == UNIFORM ? dfqi_rng_range(&rng, -bound, bound) : r->start == ONE;
}

static dfq_status check(dfq_context *ctx, const dfqi_gdfq_arch *a)
{
    if (a->image >= 4 && a->image <= 1024 && a->image % 4 == 0 && a->classes >= 1 &&
        a->classes <= 1 << 24 && a->latent >= 1 && a->latent <= 1 << 16)
        return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "a generator for %lld classes of images of side %lld from %lld noise values: "
                     "the side must be a multiple of 4 up to 1024",
                     (long long)a->classes, (long long)a->image, (long long)a->latent);
}

dfq_status dfqi_gdfq_new(dfq_context *ctx, const dfqi_gdfq_arch *arch, uint64_t seed,
                         dfqi_gdfq *out)
{
    DFQI_TRY(check(ctx, arch));
    dfqi_gdfq net = {.ctx = ctx, .arch = *arch};
    dfq_status status = DFQ_E_NOMEM;
    net.params = dfqi_calloc(ctx, PARAMS, sizeof *net.params);
    if (!net.params) return DFQ_E_NOMEM;
    for (int32_t i = arch->conditional ? FC : EMBED; i < PARAMS; i++) {
        row r = row_of(arch, i);
        dfqi_param *p = &net.params[net.n_params++];
        status = DFQ_E_NOMEM;
        p->name = dfqi_strdup(ctx, r.name);
        if (!p->name) goto fail;
        DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_F32, r.rank, r.dims, &p->tensor), fail);
        fill(&r, dfqi_rng_make(seed, (uint64_t)i), dfqi_tensor_f32(p->tensor),
             dfqi_tensor_count(p->tensor));
    }
    *out = net;
    return DFQ_OK;
fail:
    dfqi_gdfq_fini(&net);
    return status;
}

void dfqi_gdfq_fini(dfqi_gdfq *net)
{
    for (int32_t i = 0; i < net->n_params; i++) {
        dfqi_free(net->ctx, net->params[i].name);
        dfqi_tensor_release(net->params[i].tensor);
    }
    if (net->ctx) dfqi_free(net->ctx, net->params);
    memset(net, 0, sizeof *net);
}

int64_t dfqi_gdfq_values(const dfqi_gdfq *net)
{
    int64_t n = 0;
    for (int32_t i = 0; i < net->n_params; i++) n += dfqi_tensor_count(net->params[i].tensor);
    return n;
}

void dfqi_gdfq_params(const dfqi_gdfq *net, dfqi_graph *g, dfqi_id *ids)
{
    for (int32_t i = 0; i < net->n_params; i++)
        ids[i] = dfqi_graph_param(g, net->params[i].name, net->params[i].tensor, 0);
}

/* BatchNorm on the statistics of the batch; scale and shift p[0], p[1], or those of each image's
 * class. */
static dfqi_id norm(const dfqi_gdfq *net, dfqi_graph *g, const dfqi_id *p, dfqi_id x,
                    dfqi_id labels, float eps)
{
    dfqi_id mean = dfqi_batch_stats(g, x), var = dfqi_graph_output(g, mean, 1);
    dfqi_id gamma = net->arch.conditional ? dfqi_embed(g, p[0], labels) : p[0];
    dfqi_id beta = net->arch.conditional ? dfqi_embed(g, p[1], labels) : p[1];
    return dfqi_batchnorm(g, x, mean, var, gamma, beta, eps);
}

dfqi_id dfqi_gdfq_forward(const dfqi_gdfq *net, dfqi_graph *g, const dfqi_id *params, dfqi_id z,
                          dfqi_id labels)
{
    static const dfqi_conv_attr same = {.stride = 1, .pad = 1, .dilation = 1, .groups = 1};
    /* the published code passes 0.8 where BatchNorm takes its epsilon */
    const float eps = 1e-5f, wide_eps = 0.8f, slope = 0.2f;
    int64_t side = net->arch.image / 4;
    const dfqi_id *p = params;
    dfqi_id x = net->arch.conditional ? z : dfqi_mul(g, dfqi_embed(g, *p++, labels), z);
    x = dfqi_linear(g, "fc", x, p[0], p[1]);
    x = dfqi_channels_last(g, dfqi_reshape(g, x, 3, (int64_t[]){WIDE, side, side}));
    x = dfqi_upsample(g, norm(net, g, p + 2, x, labels, eps), 0);
    x = dfqi_conv(g, "conv1", x, p[4], p[5], &same);
    x = dfqi_leaky_relu(g, norm(net, g, p + 6, x, labels, wide_eps), slope);
    x = dfqi_conv(g, "conv2", dfqi_upsample(g, x, 0), p[8], p[9], &same);
    x = dfqi_leaky_relu(g, norm(net, g, p + 10, x, labels, wide_eps), slope);
    x = dfqi_tanh(g, dfqi_conv(g, "conv3", x, p[12], p[13], &same));
    dfqi_id mean = dfqi_batch_stats(g, x), var = dfqi_graph_output(g, mean, 1);
    return dfqi_channels_first(g, dfqi_batchnorm(g, x, mean, var, DFQI_NONE, DFQI_NONE, eps));
}
