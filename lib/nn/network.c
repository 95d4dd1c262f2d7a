/* Networks: parameters and lifetime. */
#include "nn/network.h"

#include <string.h>

#include "base/hash.h"
#include "nn/structure.h"

const dfqi_family_row *dfqi_family_get(dfqi_family family)
{
    static const dfqi_family_row *const rows[DFQI_FAMILY_COUNT] = {
        [DFQI_FAMILY_VIT] = &dfqi_family_vit,
        [DFQI_FAMILY_RESNET] = &dfqi_family_resnet,
        [DFQI_FAMILY_MOBILENET] = &dfqi_family_mobilenet,
        [DFQI_FAMILY_MBCONV] = &dfqi_family_derived,
        [DFQI_FAMILY_STAGES] = &dfqi_family_derived,
        [DFQI_FAMILY_SWIN] = &dfqi_family_swin,
        [DFQI_FAMILY_EFFICIENTNET] = &dfqi_family_efficientnet,
        [DFQI_FAMILY_IMPORTED] = &dfqi_family_imported,
    };
    return rows[family];
}

bool dfqi_never(const dfqi_arch *a)
{
    (void)a;
    return false;
}

dfq_status dfqi_arch_need_attention(dfq_context *ctx, const dfqi_arch *a, const char *what)
{
    char text[96];
    if (dfqi_arch_blocks(a) > 0) return DFQ_OK;
    dfqi_family_get(a->family)->describe(a, text, sizeof text);
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "%s is %s, must be a ViT, DeiT or Swin for %s",
                     a->name, text, what);
}

dfqi_units dfqi_arch_units(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    return row->units ? row->units(a) : DFQI_UNITS_PLAIN;
}

int64_t dfqi_arch_blocks(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    return row->blocks ? row->blocks(a) : 0;
}

void dfqi_arch_attention(const dfqi_arch *a, int64_t block, dfqi_attention *out)
{
    dfqi_family_get(a->family)->attention(a, block, out);
}

dfqi_sizes dfqi_arch_sizes(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    return row->sizes ? row->sizes(a) : (dfqi_sizes){0};
}

int64_t dfqi_arch_patch(const dfqi_arch *a)
{
    return dfqi_arch_sizes(a).patch;
}

int dfqi_arch_is_backbone(const dfqi_arch *a)
{
    return (a->of.vit.parts & DFQI_VIT_NO_HEAD) != 0;
}

dfq_status dfqi_arch_need_classes(dfq_context *ctx, const dfqi_arch *a, const char *what)
{
    if (!dfqi_arch_is_backbone(a)) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "%s has no head and so no classes, its outputs are features; it must have a "
                     "head for %s",
                     a->name, what);
}

int dfqi_arch_is_cnn(const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    return !row->convolutional || row->convolutional(a);
}

void dfqi_arch_fini(dfqi_arch *a)
{
    dfqi_structure_release(a->of.imported.structure);
    a->of.imported.structure = NULL;
}

void dfqi_network_fini(dfqi_network *net)
{
    dfqi_arch_fini(&net->arch);
    for (int32_t i = 0; i < net->n_params; i++) {
        dfqi_free(net->ctx, net->params[i].name);
        dfqi_tensor_release(net->params[i].tensor);
    }
    if (net->ctx) dfqi_free(net->ctx, net->params);
    dfqi_class_names_release(net->names);
    memset(net, 0, sizeof *net);
}

dfq_tensor *dfqi_network_find(const dfqi_network *net, const char *name)
{
    for (int32_t i = 0; i < net->n_params; i++)
        if (strcmp(net->params[i].name, name) == 0) return net->params[i].tensor;
    return NULL;
}

int64_t dfqi_network_values(const dfqi_network *net)
{
    int64_t n = 0;
    for (int32_t i = 0; i < net->n_params; i++)
        if (!net->params[i].fixed) n += dfqi_tensor_count(net->params[i].tensor);
    return n;
}

static bool same_params(const dfqi_network *a, const dfqi_network *b)
{
    bool same = a->n_params == b->n_params;
    for (int32_t i = 0; same && i < a->n_params; i++) {
        const dfq_tensor *t = a->params[i].tensor, *u = b->params[i].tensor;
        same = t->rank == u->rank && strcmp(a->params[i].name, b->params[i].name) == 0 &&
               memcmp(t->dims, u->dims, (size_t)t->rank * sizeof *t->dims) == 0;
    }
    return same;
}

dfq_status dfqi_need_same(dfq_context *ctx, const dfqi_arch *teacher, const dfqi_arch *student,
                          bool same)
{
    if (same) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_SHAPE,
                     "the teacher %s and the student %s have different sizes, must have the same",
                     teacher->name, student->name);
}

dfq_status dfqi_network_need_alike(dfq_context *ctx, const dfqi_network *teacher,
                                   const dfqi_network *student)
{
    const dfqi_arch *a = &teacher->arch, *b = &student->arch;
    const dfqi_family_row *row = dfqi_family_get(a->family);
    DFQI_TRY(dfqi_need_same(ctx, a, b,
                            a->family == b->family && dfqi_same_size(a->image, b->image) &&
                                a->channels == b->channels && a->classes == b->classes &&
                                same_params(teacher, student)));
    return row->alike ? row->alike(ctx, a, b) : DFQ_OK;
}

uint64_t dfqi_arch_hash(uint64_t hash, const dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    hash = dfqi_hash(hash, &a->family, sizeof a->family);
    hash = dfqi_hash(hash, &a->eps, sizeof a->eps);
    hash = dfqi_hash(hash, &a->image.height, sizeof a->image.height);
    if (!dfqi_is_square(a->image)) hash = dfqi_hash(hash, &a->image.width, sizeof a->image.width);
    return row->hash ? row->hash(hash, a) : hash;
}

uint64_t dfqi_network_hash(const dfqi_network *net)
{
    const dfqi_arch *a = &net->arch;
    uint64_t hash = dfqi_hash(DFQI_HASH_START, a->mean, sizeof a->mean);
    hash = dfqi_hash(hash, a->std, sizeof a->std);
    hash = dfqi_arch_hash(hash, a);
    for (int32_t i = 0; i < net->n_params; i++) {
        const dfq_tensor *t = net->params[i].tensor;
        hash = dfqi_hash(hash, net->params[i].name, strlen(net->params[i].name));
        hash = dfqi_hash(hash, t->dims, (size_t)t->rank * sizeof *t->dims);
        hash = dfqi_hash(hash, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
    }
    return hash;
}

dfq_status dfqi_network_begin(dfq_context *ctx, const dfqi_arch *arch, dfqi_network *out,
                              dfqi_expect **out_expected)
{
    dfqi_network net = {.ctx = ctx, .arch = *arch};
    const dfqi_family_row *row = dfqi_family_get(arch->family);
    int32_t n = row->count(arch);
    dfqi_expect *e = dfqi_calloc(ctx, (size_t)n, sizeof *e);
    (void)dfqi_structure_retain(arch->of.imported.structure);
    net.params = dfqi_calloc(ctx, (size_t)n, sizeof *net.params);
    if (!e || !net.params) goto fail;
    row->expect(arch, e);
    for (net.n_params = 0; net.n_params < n; net.n_params++) {
        dfqi_param *p = &net.params[net.n_params];
        p->fixed = e[net.n_params].fixed;
        p->name = dfqi_strdup(ctx, e[net.n_params].name);
        if (!p->name) goto fail;
    }
    *out = net;
    *out_expected = e;
    return DFQ_OK;
fail:
    dfqi_network_fini(&net);
    dfqi_free(ctx, e);
    return DFQ_E_NOMEM;
}

dfq_status dfqi_network_new(dfq_context *ctx, const dfqi_arch *arch, dfqi_network *out)
{
    dfqi_network net;
    dfqi_expect *e;
    dfq_status status = dfqi_network_begin(ctx, arch, &net, &e);
    if (status != DFQ_OK) return status;
    for (int32_t i = 0; i < net.n_params && status == DFQ_OK; i++)
        status = dfqi_tensor_new(ctx, DFQI_F32, e[i].rank, e[i].dims, &net.params[i].tensor);
    dfqi_free(ctx, e);
    if (status == DFQ_OK)
        *out = net;
    else
        dfqi_network_fini(&net);
    return status;
}

dfq_status dfqi_network_clone(const dfqi_network *net, dfqi_network *out)
{
    dfqi_network copy;
    DFQI_TRY(dfqi_network_new(net->ctx, &net->arch, &copy));
    for (int32_t i = 0; i < net->n_params; i++)
        memcpy(copy.params[i].tensor->data, net->params[i].tensor->data,
               (size_t)dfqi_tensor_count(net->params[i].tensor) * sizeof(float));
    copy.names = dfqi_class_names_retain(net->names);
    *out = copy;
    return DFQ_OK;
}

int64_t dfqi_arch_pixels(const dfqi_arch *a)
{
    return a->channels * dfqi_area(a->image);
}

dfqi_id dfqi_arch_input(const dfqi_arch *a, dfqi_graph *g)
{
    return dfqi_graph_input(g, "image", 1, 3,
                            (int64_t[]){a->channels, a->image.height, a->image.width});
}

void dfqi_network_params(const dfqi_network *net, dfqi_graph *g, int frozen, dfqi_id *ids)
{
    for (int32_t i = 0; i < net->n_params; i++) {
        const dfqi_param *p = &net->params[i];
        ids[i] = dfqi_graph_param(g, p->name, p->tensor, frozen || p->fixed);
    }
}

void dfqi_network_forward(const dfqi_network *net, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                          dfqi_taps *taps)
{
    dfqi_family_get(net->arch.family)->forward(&net->arch, g, params, x, taps);
}

dfqi_id dfqi_rewrite_nothing(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                             dfqi_id value, void *user)
{
    (void)g, (void)op, (void)name, (void)slot, (void)user;
    return value;
}

dfq_status dfqi_network_whole(const dfqi_network *net, dfqi_graph **out)
{
    const dfqi_arch *a = &net->arch;
    dfqi_graph *g = NULL;
    dfqi_taps taps = {0};
    dfqi_id *ids = dfqi_calloc(net->ctx, (size_t)net->n_params, sizeof *ids);
    dfq_status status = ids ? dfqi_graph_new(net->ctx, 1, &g) : DFQ_E_NOMEM;
    if (status == DFQ_OK) {
        g->rewrite = dfqi_rewrite_nothing; /* a rewrite sees every operand: nothing is left out */
        dfqi_network_params(net, g, 1, ids);
        dfqi_network_forward(net, g, ids, dfqi_arch_input(a, g), &taps);
        status = dfqi_graph_status(g);
    }
    dfqi_free(net->ctx, ids);
    if (status == DFQ_OK)
        *out = g;
    else
        dfqi_graph_free(g);
    return status;
}

dfq_status dfqi_network_macs(const dfqi_network *net, double *out)
{
    dfqi_graph *g;
    DFQI_TRY(dfqi_network_whole(net, &g));
    *out = dfqi_graph_products(g);
    dfqi_graph_free(g);
    return DFQ_OK;
}
