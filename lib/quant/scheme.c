/* Finds the quantization sites of a network: it builds the network once and visits the operands of
 * its products. */
#include "quant/scheme.h"

#include <stdio.h>
#include <string.h>

#include "graph/ops.h"
#include "quant/scheme_priv.h"

/* Bits of the first and the last layer where scales are those of rows: 3 % of a network's size. */
enum { FIRST_LAST = 8 };

void dfqi_site_fini(dfqi_site *site)
{
    dfqi_tensor_release(site->scale);
    dfqi_tensor_release(site->zero_point);
    dfqi_tensor_release(site->groups);
    dfqi_tensor_release(site->range);
}

void dfqi_scheme_fini(dfqi_scheme *s)
{
    for (int32_t i = 0; i < s->n_sites; i++) dfqi_site_fini(&s->sites[i]);
    if (s->ctx) dfqi_free(s->ctx, s->sites);
    if (s->ctx) dfqi_free(s->ctx, s->layers);
    memset(s, 0, sizeof *s);
}

void dfqi_scheme_loosen(dfqi_scheme *s)
{
    for (int32_t i = 0; i < s->n_sites; i++) {
        dfqi_site *site = &s->sites[i];
        if (!site->follows) continue;
        dfqi_tensor_release(site->scale);
        dfqi_tensor_release(site->zero_point);
        site->scale = site->zero_point = NULL;
    }
}

static int32_t find(const dfqi_scheme *s, const char *name)
{
    for (int32_t i = 0; i < s->n_sites; i++)
        if (strcmp(s->sites[i].name, name) == 0) return i;
    return -1;
}

const dfqi_site *dfqi_scheme_find(const dfqi_scheme *s, const char *name)
{
    int32_t i = find(s, name);
    return i < 0 ? NULL : &s->sites[i];
}

int32_t dfqi_site_index(const dfqi_scheme *s, dfqi_op_kind op, const char *name, int32_t slot)
{
    char text[96];
    dfqi_site_name(op, name, slot, text, sizeof text);
    return find(s, text);
}

void dfqi_site_name(dfqi_op_kind op, const char *name, int32_t slot, char *out, size_t cap)
{
    static const char *const layer[2] = {"input", "weight"}, *const matmul[2] = {"a", "b"};
    const char *end = op == DFQI_OP_LINEAR || op == DFQI_OP_CONV ? layer[slot] : matmul[slot];
    snprintf(out, cap, "%s.%s", name, dfqi_op_activates(op) ? "output" : end);
}

bool dfqi_site_is_weight(const dfqi_site *site)
{
    return site->kind == DFQI_SITE_WEIGHT || site->kind == DFQI_SITE_WEIGHT_MINMAX;
}

bool dfqi_site_is_runtime(const dfqi_site *site)
{
    return site->kind == DFQI_SITE_ROW || site->kind == DFQI_SITE_COLUMN;
}

void dfqi_site_set_log(dfqi_site *site)
{
    site->kind = DFQI_SITE_LOG;
    site->qmin = 0;
    site->qmax = (float)((1 << site->bits) - 2); /* one code is left for zero: most entries of a map
                                                  are too small for the grid, and would add up */
}

bool dfqi_site_is_map(const dfqi_site *site)
{
    size_t n = strlen(site->name);
    return n > 5 && strcmp(site->name + n - 5, ".av.a") == 0;
}

/* -- discovery --------------------------------------------------------------------------------- */

typedef struct finder {
    dfqi_scheme *s;
    int32_t cap;
    int first; /* the next layer is the first one: its input, the image, stays float */
} finder;

static dfqi_site *add_site(dfqi_graph *g, finder *f)
{
    if (f->s->n_sites == f->cap) {
        int32_t cap = f->cap ? 2 * f->cap : 64;
        void *p = dfqi_realloc(g->ctx, f->s->sites, (size_t)cap * sizeof *f->s->sites);
        if (!p) {
            dfqi_graph_fail(g, DFQ_E_NOMEM, "out of memory");
            return NULL;
        }
        f->s->sites = p;
        f->cap = cap;
    }
    dfqi_site *site = &f->s->sites[f->s->n_sites++];
    memset(site, 0, sizeof *site);
    site->input = -1;
    site->error = -1;
    return site;
}

static int64_t scale_count(const dfqi_graph *g, const dfqi_scheme *s, dfqi_op_kind op, int32_t slot,
                           const dfqi_value *v)
{
    if (s->mode == DFQI_MODE_PARITY) return 1;
    if (op == DFQI_OP_LINEAR) return s->grids.rotation ? 1 : dfqi_value_last(v);
    /* per head for query and key; value channels reach one output channel each, so they may have a
     * scale each: it folds into the projection */
    int64_t heads = dfqi_heads_of(g, v);
    return op == DFQI_OP_MATMUL_NN && slot == 1 ? heads * v->dims[3] : heads;
}

void dfqi_site_set_codes(dfqi_site *site, int is_signed)
{
    int32_t half = 1 << (site->bits - 1);
    site->qmin = is_signed ? (float)-half : 0.0f;
    site->qmax = (float)(is_signed ? half - 1 : 2 * half - 1);
    if (is_signed && dfqi_site_is_runtime(site)) site->qmin = -site->qmax; /* symmetric */
}

/* Allocates the tensors of a transformer's site. */
static dfq_status site_tensors(dfqi_graph *g, dfqi_site *site, int64_t scales, bool ranges)
{
    const int64_t three = 3;
    if (!site->follows) DFQI_TRY(dfqi_tensor_new(g->ctx, DFQI_F32, 1, &scales, &site->scale));
    if (dfqi_site_is_weight(site)) return DFQ_OK;
    if (ranges) DFQI_TRY(dfqi_tensor_new(g->ctx, DFQI_F32, 1, &three, &site->range));
    return dfqi_tensor_new(g->ctx, DFQI_F32, 1, &scales, &site->zero_point);
}

static dfqi_site_kind weight_kind(const dfqi_scheme *s)
{
    return s->grids.weight_grid == DFQI_WEIGHT_GRID_MINMAX_ASYM ? DFQI_SITE_WEIGHT_MINMAX
                                                                : DFQI_SITE_WEIGHT;
}

/* Keys and values are symmetric, so that their zero points add no sums to the integer products. */
static void set_runtime(dfqi_site *site, dfqi_op_kind op, int32_t slot)
{
    int values = op == DFQI_OP_MATMUL_NN && slot == 1, keys = op == DFQI_OP_MATMUL_NT && slot == 1;
    site->kind = values ? DFQI_SITE_COLUMN : DFQI_SITE_ROW;
    dfqi_site_set_codes(site, keys || values);
}

static dfqi_id find_site(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                         dfqi_id value, void *user)
{
    finder *f = user;
    const dfqi_scheme *s = f->s;
    int weight = op == DFQI_OP_LINEAR && slot == 1;
    if (op == DFQI_OP_LINEAR && slot == 0 && f->first) {
        f->first = 0;
        return value;
    }
    dfqi_site *site = add_site(g, f);
    if (!site) return value;
    const dfqi_value *v = dfqi_graph_value(g, value);
    dfqi_site_name(op, name, slot, site->name, sizeof site->name);
    if (op != DFQI_OP_LINEAR) site->heads = dfqi_heads_of(g, v);
    site->kind = weight ? weight_kind(s) : DFQI_SITE_UNIFORM;
    site->bits = weight ? s->weight_bits : s->act_bits;
    dfqi_site_set_codes(site, weight || s->mode == DFQI_MODE_PARITY);
    int runtime = s->grids.act_scale == DFQI_ACT_SCALE_ROW;
    if (!weight && runtime) {
        set_runtime(site, op, slot);
        site->group =
            op == DFQI_OP_LINEAR ? dfqi_group_of(s->grids.act_group, dfqi_value_last(v)) : 0;
        return value;
    }
    int softmax = op == DFQI_OP_MATMUL_NN && slot == 0;
    int64_t scales = weight ? v->dims[0] : softmax ? 1 : scale_count(g, s, op, slot, v);
    if (weight) {
        char input[96];
        dfqi_site_name(op, name, 0, input, sizeof input);
        int own = s->mode == DFQI_MODE_IMPROVED && !s->grids.rotation && !runtime;
        site->input = own ? find(s, input) : -1;
        site->follows = s->mode == DFQI_MODE_PARITY && s->grids.weight_grid != DFQI_WEIGHT_GRID_LSQ;
    }
    dfq_status status = site_tensors(g, site, scales, s->grids.act_grid == DFQI_ACT_GRID_MINMAX);
    if (status != DFQ_OK && g->status == DFQ_OK) g->status = status;
    return value;
}

/* Do the grids of a CNN follow weights and ranges (AIT), or are they static? */
static bool follows(const dfqi_scheme *s)
{
    return s->mode == DFQI_MODE_PARITY || s->grids.act_grid == DFQI_ACT_GRID_MINMAX;
}

/* Allocates the tensors of a CNN's site; v is the value that it quantizes. */
static dfq_status cnn_tensors(dfqi_graph *g, dfqi_site *site, const dfqi_value *v, bool ranges)
{
    bool weight = dfqi_site_is_weight(site);
    const int64_t one = 1, three = 3, *scales = weight ? v->dims : &one;
    if (!site->follows) DFQI_TRY(dfqi_tensor_new(g->ctx, DFQI_F32, 1, scales, &site->scale));
    if (weight || !ranges) return DFQ_OK;
    DFQI_TRY(dfqi_tensor_new(g->ctx, DFQI_F32, 1, &three, &site->range));
    return dfqi_tensor_new(g->ctx, DFQI_F32, 1, &one, &site->zero_point);
}

bool dfqi_has_codes(const dfqi_graph *g, dfqi_id value)
{
    int32_t node = dfqi_graph_value(g, value)->node;
    while (node >= 0 &&
           (g->nodes[node].op == DFQI_OP_MAX_POOL || g->nodes[node].op == DFQI_OP_SUBSAMPLE_PAD))
        node = dfqi_graph_value(g, g->nodes[node].in[0])->node;
    return node < 0 || dfqi_op_activates(g->nodes[node].op) ||
           g->nodes[node].op == DFQI_OP_CHANNELS_LAST;
}

/* Sites of a CNN: weights, outputs of activations and, with static grids, inputs of convolutions
 * that no activation made (inverted residuals). Smooth activations have values below 0. */
static dfqi_id find_cnn_site(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                             dfqi_id value, void *user)
{
    finder *f = user;
    const bool input = !dfqi_op_activates(op) && slot == 0, ranges = follows(f->s);
    const bool weight = !dfqi_op_activates(op) && !input;
    if (input && (ranges || op != DFQI_OP_CONV || dfqi_has_codes(g, value))) return value;
    dfqi_site *site = add_site(g, f);
    if (!site) return value;
    dfqi_site_name(op, name, slot, site->name, sizeof site->name);
    site->kind = !weight ? DFQI_SITE_UNIFORM : ranges ? DFQI_SITE_WEIGHT_MINMAX : DFQI_SITE_WEIGHT;
    site->bits = weight ? f->s->weight_bits : f->s->act_bits;
    dfqi_site_set_codes(site, weight || ranges || op != DFQI_OP_RELU);
    site->follows = weight && ranges;
    dfq_status status = cnn_tensors(g, site, dfqi_graph_value(g, value), ranges);
    if (status != DFQ_OK && g->status == DFQ_OK) g->status = status;
    return value;
}

static dfq_status check_width(dfq_context *ctx, const char *what, int32_t bits)
{
    if (bits >= 2 && bits <= 8) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "%s have %d bits, must have 2 to 8", what, bits);
}

/* The input of the layer whose weight is given: its site with a grid found at run time, or NULL. */
static dfqi_site *runtime_input(dfqi_scheme *s, const dfqi_site *weight)
{
    char name[96];
    snprintf(name, sizeof name, "%.*sinput", (int)(strlen(weight->name) - strlen("weight")),
             weight->name);
    int32_t i = find(s, name);
    return i >= 0 && dfqi_site_is_runtime(&s->sites[i]) ? &s->sites[i] : NULL;
}

/* The weights of the first and the last layer. Scales of rows: and the input of the last one. */
static void set_first_last(dfqi_scheme *s)
{
    int32_t ends[2] = {-1, -1};
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (!dfqi_site_is_weight(&s->sites[i])) continue;
        if (ends[0] < 0) ends[0] = i;
        ends[1] = i;
    }
    for (int k = 0; k < 2 && ends[k] >= 0; k++) {
        s->sites[ends[k]].bits = s->first_last_bits;
        dfqi_site_set_codes(&s->sites[ends[k]], 1);
        dfqi_site *input = runtime_input(s, &s->sites[ends[k]]);
        if (!input || input->bits >= s->first_last_bits) continue;
        input->bits = s->first_last_bits;
        dfqi_site_set_codes(input, 0);
    }
}

static dfq_status outline(const dfqi_network *net, dfqi_mode mode, dfqi_widths widths,
                          dfqi_grids grids, dfqi_scheme *out)
{
    int cnn = dfqi_arch_is_cnn(&net->arch);
    dfqi_scheme s = {.ctx = net->ctx,
                     .mode = mode,
                     .grids = grids,
                     .rounding = cnn ? DFQI_ROUND_ALL : DFQI_ROUND_VIT,
                     .weight_bits = widths.weight,
                     .act_bits = widths.act,
                     .first_last_bits = widths.first_last ? widths.first_last : widths.weight};
    finder f = {.s = &s, .first = 1};
    dfqi_graph *g = NULL;
    dfqi_id x;
    dfq_status status = dfqi_float_graph(net, 1, cnn ? find_cnn_site : find_site, &f, &g, &x);
    dfqi_graph_free(g);
    if (status != DFQ_OK) {
        dfqi_scheme_fini(&s);
        return status;
    }
    set_first_last(&s);
    *out = s;
    return DFQ_OK;
}

bool dfqi_scheme_fits_rows(const dfqi_arch *a, dfqi_mode mode)
{
    return dfqi_arch_blocks(a) > 0 && mode == DFQI_MODE_IMPROVED;
}

dfq_status dfqi_scheme_outline(const dfqi_network *net, dfqi_mode mode, dfqi_widths widths,
                               dfqi_grids grids, dfqi_scheme *out)
{
    const bool chosen = grids.act_group == DFQI_ACT_GROUP_AUTO;
    DFQI_TRY(dfqi_choose_grids(net, mode, widths.act, &grids));
    DFQI_TRY(outline(net, mode, widths, grids, out));
    dfq_status status = dfqi_need_group(net, chosen, out);
    if (status != DFQ_OK) dfqi_scheme_fini(out);
    return status;
}

dfq_status dfqi_scheme_new(const dfqi_network *net, dfqi_mode mode, dfqi_widths widths,
                           dfqi_scheme *out)
{
    return dfqi_scheme_new_with(net, mode, widths,
                                (dfqi_grids){.weight_grid = DFQI_WEIGHT_GRID_AUTO}, out);
}

dfq_status dfqi_scheme_new_with(const dfqi_network *net, dfqi_mode mode, dfqi_widths widths,
                                dfqi_grids grids, dfqi_scheme *out)
{
    dfq_context *ctx = net->ctx;
    int cnn = dfqi_arch_is_cnn(&net->arch);
    if (widths.first_last == 0)
        widths.first_last = grids.act_scale == DFQI_ACT_SCALE_ROW ? FIRST_LAST : widths.weight;
    if (!cnn) DFQI_TRY(dfqi_arch_need_attention(ctx, &net->arch, "quantization"));
    DFQI_TRY(check_width(ctx, "weights", widths.weight));
    DFQI_TRY(check_width(ctx, "activations", widths.act));
    DFQI_TRY(check_width(ctx, "weights of the first and last layer", widths.first_last));
    return dfqi_scheme_outline(net, mode, widths, grids, out);
}
