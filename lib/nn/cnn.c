/* Convolutional networks: parameters and forward passes, from lists of layers. */
#include "nn/cnn.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

enum { LAYER_PARAMS = 5, BIASED_PARAMS = 2 };

int32_t dfqi_arch_norms(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    return row->norms ? row->norms(a) : 0;
}

static void layer_at(const dfqi_arch *a, int32_t i, dfqi_cnn_layer *out)
{
    dfqi_family_get(a->family)->layer(a, i, out);
}

void dfqi_cnn_head_of(const dfqi_arch *a, dfqi_cnn_head *out)
{
    dfqi_family_get(a->family)->head(a, out);
}

static int32_t biased_of(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    return row->biased ? row->biased(a) : 0;
}

const char *dfqi_cnn_keys(const dfqi_arch *a)
{
    static const char *const words[] = {[DFQI_KEYS_TORCHVISION] = "torchvision",
                                        [DFQI_KEYS_PYTORCHCV] = "pytorchcv",
                                        [DFQI_KEYS_AKAMASTER] = "akamaster"};
    return words[a->of.cnn.keys];
}

int64_t dfqi_cnn_groups(const dfqi_cnn_layer *l)
{
    return l->depthwise ? l->in : l->groups ? l->groups : 1;
}

/* -- parameters -------------------------------------------------------------------------------- */

/* Where the parameters of layers with a bias begin, and those of the classifier. */
static int32_t first_biased(const dfqi_arch *a)
{
    return LAYER_PARAMS * dfqi_arch_norms(a);
}

static int32_t first_of_head(const dfqi_arch *a)
{
    return first_biased(a) + BIASED_PARAMS * biased_of(a);
}

int32_t dfqi_cnn_count(const dfqi_arch *a)
{
    dfqi_cnn_head h;
    dfqi_cnn_head_of(a, &h);
    return first_of_head(a) + 1 + h.bias;
}

static void put_name(dfqi_expect *e, const char *layer, const char *end)
{
    snprintf(e->name, sizeof e->name, "%s.%s", layer, end);
}

static void expect_head(const dfqi_arch *a, int32_t i, dfqi_expect *out)
{
    dfqi_cnn_head h;
    dfqi_cnn_head_of(a, &h);
    put_name(out, h.name, i ? "bias" : "weight");
    out->rank = i ? 1 : h.conv ? 4 : 2;
    memcpy(out->dims, (int64_t[4]){a->classes, h.in, 1, 1}, (size_t)out->rank * sizeof *out->dims);
}

static void expect_biased(const dfqi_arch *a, int32_t i, dfqi_expect *out)
{
    const int32_t bias = i % BIASED_PARAMS;
    dfqi_cnn_layer l;
    dfqi_family_get(a->family)->biased_layer(a, i / BIASED_PARAMS, &l);
    put_name(out, l.conv, bias ? "bias" : "weight");
    out->rank = bias ? 1 : l.linear ? 2 : 4;
    memcpy(out->dims, (int64_t[4]){l.out, l.in, 1, 1}, (size_t)out->rank * sizeof *out->dims);
}

static void expect_one(const dfqi_arch *a, int32_t i, dfqi_expect *out)
{
    static const char *const ends[LAYER_PARAMS] = {"weight", "weight", "bias", "running_mean",
                                                   "running_var"};
    int32_t which = i % LAYER_PARAMS;
    dfqi_cnn_layer l;
    memset(out, 0, sizeof *out);
    if (i >= first_of_head(a)) {
        expect_head(a, i - first_of_head(a), out);
        return;
    }
    if (i >= first_biased(a)) {
        expect_biased(a, i - first_biased(a), out);
        return;
    }
    layer_at(a, i / LAYER_PARAMS, &l);
    put_name(out, which == 0 ? l.conv : l.norm, ends[which]);
    out->rank = which == 0 ? 4 : 1;
    memcpy(out->dims, (int64_t[4]){l.out, l.in / dfqi_cnn_groups(&l), l.kernel, l.kernel},
           (size_t)out->rank * sizeof *out->dims);
    out->fixed = which >= 3;
    out->variance = which == 4;
}

void dfqi_cnn_expect(const dfqi_arch *a, dfqi_expect *out)
{
    for (int32_t i = 0, n = dfqi_cnn_count(a); i < n; i++) expect_one(a, i, &out[i]);
}

uint64_t dfqi_cnn_hash(uint64_t hash, const dfqi_arch *a)
{
    const dfqi_cnn_arch *c = &a->of.cnn;
    hash = dfqi_hash(hash, &c->stride_first, sizeof c->stride_first);
    return dfqi_hash(hash, &c->stem, sizeof c->stem);
}

/* Hashes member by member, because padding bytes are undefined. */
dfq_status dfqi_cnn_alike(dfq_context *ctx, const dfqi_arch *teacher, const dfqi_arch *student)
{
    const dfqi_cnn_arch *a = &teacher->of.cnn, *b = &student->of.cnn;
    return dfqi_need_same(
        ctx, teacher, student,
        a->width == b->width && memcmp(a->units, b->units, sizeof a->units) == 0 &&
            a->small == b->small && a->stem == b->stem && a->bottleneck == b->bottleneck &&
            a->stride_first == b->stride_first && a->padded == b->padded &&
            a->planes == b->planes && a->inner == b->inner && a->groups == b->groups &&
            memcmp(a->deep, b->deep, sizeof a->deep) == 0 && a->averaged == b->averaged);
}

/* -- forward ----------------------------------------------------------------------------------- */

/* TensorFlow's SAME: of x[B,Y,X,C] every stride-th pixel is the middle of a window, and what is
 * missing at both ends is divided, the odd one behind the image. Images are square. */
static void pad_same(const dfqi_graph *g, dfqi_id x, const dfqi_cnn_layer *l, dfqi_conv_attr *attr)
{
    if (x < 0) return;
    const int64_t side = dfqi_graph_value(g, x)->dims[1];
    const int64_t last = (side + l->stride - 1) / l->stride - 1;
    int64_t missing = last * l->stride + l->kernel - side;
    if (missing < 0) missing = 0;
    attr->pad = missing / 2;
    attr->more = missing % 2;
}

dfqi_id dfqi_cnn_conv(dfqi_cnn_pass *p, dfqi_id x)
{
    const dfqi_id *w = p->params + LAYER_PARAMS * p->next;
    layer_at(p->a, p->next, &p->layer);
    const dfqi_cnn_layer *l = &p->layer;
    dfqi_conv_attr attr = {
        .stride = l->stride, .pad = l->kernel / 2, .dilation = 1, .groups = dfqi_cnn_groups(l)};
    if (l->same) pad_same(p->g, x, l, &attr);
    x = dfqi_conv(p->g, l->conv, x, w[0], DFQI_NONE, &attr);
    dfqi_graph_probe(p->g, x, "%s.input", l->norm);
    if (p->taps->norms) p->taps->norms[p->next] = (dfqi_norm_tap){x, w[1], w[2], w[3], w[4]};
    p->next++;
    return dfqi_batchnorm(p->g, x, w[3], w[4], w[1], w[2], p->a->eps);
}

dfqi_id dfqi_cnn_relu(dfqi_cnn_pass *p, dfqi_id x, float cap)
{
    char name[DFQI_NAME_MAX];
    snprintf(name, sizeof name, "%s.relu", p->layer.conv);
    return dfqi_relu(p->g, name, x, cap);
}

dfqi_id dfqi_cnn_activation(dfqi_cnn_pass *p, dfqi_id x, dfqi_activation_kind kind)
{
    char name[DFQI_NAME_MAX];
    snprintf(name, sizeof name, "%s.act", p->layer.conv);
    return dfqi_activation(p->g, name, x, kind);
}

dfqi_id dfqi_cnn_biased(dfqi_cnn_pass *p, dfqi_id x)
{
    const dfqi_id *w = p->params + first_biased(p->a) + BIASED_PARAMS * p->next_biased;
    dfqi_cnn_layer l;
    dfqi_family_get(p->a->family)->biased_layer(p->a, p->next_biased++, &l);
    return dfqi_linear(p->g, l.conv, x, w[0], w[1]);
}

dfqi_id dfqi_cnn_head_on(dfqi_cnn_pass *p, dfqi_id x)
{
    dfqi_cnn_head h;
    dfqi_cnn_head_of(p->a, &h);
    const dfqi_id *w = p->params + first_of_head(p->a);
    return dfqi_linear(p->g, h.name, x, w[0], h.bias ? w[1] : DFQI_NONE);
}

dfqi_id dfqi_cnn_classify(dfqi_cnn_pass *p, dfqi_id x)
{
    return dfqi_cnn_head_on(p, dfqi_mean_pool(p->g, x));
}
