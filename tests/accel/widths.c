/* Widths: what the layers of a network are charged for is what its quantized graph has, and what
 * that costs. */
#include "accel/widths.h"

#include <math.h>
#include <string.h>

#include "accel/cases.h"
#include "accel/nets.h"
#include "accel/table.h"
#include "graph/ops.h"

/* -- against the quantized graph itself -------------------------------------------------------- */

/* What a layer of the quantized graph reads and how it is read from. */
typedef struct seen {
    int32_t read[2]; /* of operands 0 and 1; 0: float */
    int32_t widest;  /* quantizer of its result */
    bool readers, unrounded;
} seen;

static int32_t quantizer_bits(const dfqi_node *n)
{
    if (n->op == DFQI_OP_FQ_WEIGHT) return (int32_t)n->attr.i[0];
    return n->op == DFQI_OP_FQ ? (int32_t)lroundf(log2f(n->attr.f[1] - n->attr.f[0] + 1)) : 0;
}

static bool passes(dfqi_op_kind op)
{
    return op == DFQI_OP_SPLIT_HEADS || op == DFQI_OP_JOIN_HEADS || op == DFQI_OP_SELECT_TOKEN ||
           op == DFQI_OP_DROP_TOKENS || op == DFQI_OP_RESHAPE || op == DFQI_OP_MAX_POOL ||
           op == DFQI_OP_SUBSAMPLE_PAD || op == DFQI_OP_BATCHNORM || op == DFQI_OP_RELU ||
           op == DFQI_OP_FQ;
}

/* The node that an operand's values were computed by, -1: none; and the quantizer on the way. */
static int32_t origin(const dfqi_graph *g, dfqi_id v, int32_t *bits)
{
    int32_t at = v < 0 ? -1 : g->values[v].node;
    for (*bits = 0; at >= 0; at = g->values[g->nodes[at].in[0]].node) {
        const dfqi_node *n = &g->nodes[at];
        if (*bits == 0) *bits = quantizer_bits(n);
        if (!passes(n->op)) break;
    }
    return at;
}

static void look(const dfqi_graph *g, seen *s)
{
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        if (passes(n->op) || n->op == DFQI_OP_FQ_WEIGHT) continue;
        for (int32_t k = 0; k < n->n_in; k++) {
            int32_t bits, from = origin(g, n->in[k], &bits);
            if (k < 2) s[i].read[k] = bits;
            if (from < 0) continue;
            s[from].readers = true;
            if (bits == 0) s[from].unrounded = true;
            if (bits > s[from].widest) s[from].widest = bits;
        }
    }
}

/* Ranges that let a graph be built. */
static void make_ready(dfqi_model *m)
{
    for (int32_t i = 0; i < m->scheme.n_sites; i++)
        if (m->scheme.sites[i].scale) dfqi_tensor_f32(m->scheme.sites[i].scale)[0] = 1;
}

/* Different widths at different places. */
static void vary(dfqi_scheme *s)
{
    for (int32_t i = 0; i < s->n_sites; i++) {
        dfqi_site *site = &s->sites[i];
        site->bits = 2 + (7 * i + 3) % 6;
        site->qmin = 0;
        site->qmax = (float)((1 << site->bits) - 1);
    }
}

START_TEST(test_quantized_graph)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = dfqt_net(ctx, _i);
    dfqi_layer_list l;
    dfqi_graph *g = NULL;
    dfqi_taps taps = {0};
    dfqi_id x;
    int32_t next = 0, rounded = 0;
    make_ready(m);
    vary(&m->scheme);
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){0}, &l), DFQ_OK);
    ck_assert_msg(dfqi_model_graph(m, 1, &g, &x, &taps) == DFQ_OK, "%s", ctx->error);
    seen *s = dfqi_calloc(ctx, (size_t)g->n_nodes, sizeof *s);
    look(g, s);
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        dfqi_layer any;
        if (!dfqi_layer_of_node(g, n, &any)) continue;
        ck_assert_int_lt(next, l.n_layers);
        const char *name = l.layers[next].name;
        const int32_t *bits = l.shapes[l.layers[next++].shape].bits;
        bool second = any.kind == DFQI_LAYER_PRODUCT || any.sum;
        int32_t out = s[i].unrounded || !s[i].readers ? 0 : s[i].widest;
        ck_assert_msg(bits[DFQI_I] == s[i].read[0] && bits[DFQI_O] == out &&
                          bits[DFQI_W] == (second ? s[i].read[1] : 0),
                      "%s: %d x %d -> %d, the graph has %d x %d -> %d", name, bits[DFQI_I],
                      bits[DFQI_W], bits[DFQI_O], s[i].read[0], s[i].read[1], out);
        rounded += out > 0;
    }
    ck_assert_int_eq(next, l.n_layers);
    ck_assert_int_eq(rounded > 2, m->quantized);
    dfqi_free(ctx, s);
    dfqi_graph_free(g);
    dfqi_layer_list_fini(&l);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

/* Widths asked for are those of the quantized network that they would make. */
START_TEST(test_asked)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = dfqt_net(ctx, 2), *q = dfqt_net(ctx, 3); /* ResNet */
    dfqi_layer_list a, b;
    for (int32_t i = 0; i < q->scheme.n_sites; i++)
        if (!strcmp(q->scheme.sites[i].name, "conv1.weight") ||
            !strcmp(q->scheme.sites[i].name, "linear.weight"))
            q->scheme.sites[i].bits = 8;
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){.weight = 4, .act = 4}, &a), DFQ_OK);
    ck_assert_int_eq(dfqi_layers_of(q, (dfqi_layer_bits){0}, &b), DFQ_OK);
    ck_assert_int_eq(a.n_layers, b.n_layers);
    ck_assert_int_eq(a.n_shapes, b.n_shapes);
    ck_assert_mem_eq(a.shapes, b.shapes, (size_t)a.n_shapes * sizeof *a.shapes);
    ck_assert_mem_eq(a.layers, b.layers, (size_t)a.n_layers * sizeof *a.layers);
    dfqi_layer_list_fini(&a);
    dfqi_layer_list_fini(&b);
    /* of a quantized network they take the place of its own; wider ones than quantizers have,
     * too */
    ck_assert_int_eq(dfqi_layers_of(q, (dfqi_layer_bits){.weight = 12, .act = 16}, &b), DFQ_OK);
    ck_assert_int_eq(b.shapes[b.layers[1].shape].bits[DFQI_W], 12);
    ck_assert_int_eq(b.shapes[b.layers[1].shape].bits[DFQI_I], 16);
    dfqi_layer_list_fini(&b);
    dfqi_model_release(m);
    dfqi_model_release(q);
    dfq_context_release(ctx);
}
END_TEST

static void regrid(dfqi_model *q, dfqi_widths widths, dfqi_grids grids)
{
    dfqi_scheme_fini(&q->scheme);
    ck_assert_int_eq(dfqi_scheme_new_with(&q->net, DFQI_MODE_IMPROVED, widths, grids, &q->scheme),
                     DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_group_weights(&q->net, false, &q->scheme), DFQ_OK);
}

/* So are grids asked for: those of rows, of groups of channels and of columns are those of the
 * network that would have them. */
START_TEST(test_asked_rows)
{
    static const dfqi_grids grids[] = {
        {.act_scale = DFQI_ACT_SCALE_ROW},
        {.act_scale = DFQI_ACT_SCALE_ROW, .act_group = 16, .weight_group = 32}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = dfqt_net(ctx, DFQT_WIDE_VIT), *q = dfqt_net(ctx, DFQT_WIDE_VIT);
    dfqi_layer_list asked, own;
    regrid(q, (dfqi_widths){4, 4, 0}, grids[_i]);
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){4, 4, grids[_i]}, &asked), DFQ_OK);
    ck_assert_int_eq(dfqi_layers_of(q, (dfqi_layer_bits){0}, &own), DFQ_OK);
    ck_assert_int_eq(asked.n_shapes, own.n_shapes);
    ck_assert_mem_eq(asked.shapes, own.shapes, (size_t)own.n_shapes * sizeof *own.shapes);
    dfqi_layer_list_fini(&asked);
    dfqi_layer_list_fini(&own);
    dfqi_model_release(m);
    dfqi_model_release(q);
    dfq_context_release(ctx);
}
END_TEST

/* Left to themselves, groups are those that quantization chooses; such as no layer has are
 * refused. */
START_TEST(test_asked_groups)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = dfqt_net(ctx, DFQT_WIDE_VIT), *q = dfqt_net(ctx, DFQT_WIDE_VIT);
    dfqi_grids grids = {.act_scale = DFQI_ACT_SCALE_ROW,
                        .act_group = DFQI_ACT_GROUP_AUTO,
                        .weight_group = DFQI_WEIGHT_GROUP_AUTO};
    dfqi_layer_list asked, own;
    regrid(q, (dfqi_widths){4, 4, 0}, grids);
    ck_assert(q->scheme.grids.weight_group == 16 && q->scheme.grids.act_group == 64);
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){4, 4, grids}, &asked), DFQ_OK);
    ck_assert_int_eq(dfqi_layers_of(q, (dfqi_layer_bits){0}, &own), DFQ_OK);
    ck_assert_mem_eq(asked.shapes, own.shapes, (size_t)own.n_shapes * sizeof *own.shapes);
    dfqi_layer_list_fini(&asked);
    dfqi_layer_list_fini(&own);
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){8, 8, grids}, &asked), DFQ_OK);
    for (int32_t i = 0; i < asked.n_shapes; i++)
        ck_assert(asked.shapes[i].weight_group == 0 && asked.shapes[i].act_group == 0);
    dfqi_layer_list_fini(&asked);
    grids.weight_group = 48;
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){8, 8, grids}, &asked), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "weight_group is 48"));
    dfqi_model_release(m);
    dfqi_model_release(q);
    dfq_context_release(ctx);
}
END_TEST

/* y is read by two products with quantizers of 4 and 6 bits, z by one of them and unrounded. */
START_TEST(test_several_readers)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_site sites[] = {{.name = "b.input", .bits = 4}, {.name = "c.input", .bits = 6}};
    const dfqi_scheme s = {.n_sites = 2, .sites = sites};
    dfqi_graph *g;
    dfq_tensor *t;
    ck_assert_int_eq(dfqi_graph_new(ctx, 1, &g), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 2, (int64_t[]){8, 8}, &t), DFQ_OK);
    dfqi_id w = dfqi_graph_param(g, "w", t, 1), x = dfqi_graph_input(g, "x", 1, 1, (int64_t[]){8});
    dfqi_id y = dfqi_linear(g, "a", x, w, DFQI_NONE), b = dfqi_linear(g, "b", y, w, DFQI_NONE);
    dfqi_id z = dfqi_add(g, b, dfqi_linear(g, "c", y, w, DFQI_NONE));
    dfqi_linear(g, "b", z, w, DFQI_NONE);
    ck_assert_int_eq(dfqi_width_written(g, &s, y).bits, 6);
    ck_assert_int_eq(dfqi_width_written(g, &s, z).bits, 4);
    dfqi_gelu(g, z);
    ck_assert_int_eq(dfqi_width_written(g, &s, z).bits, 0);
    ck_assert_int_eq(dfqi_graph_status(g), DFQ_OK);
    dfqi_graph_free(g);
    dfqi_tensor_release(t);
    dfq_context_release(ctx);
}
END_TEST

/* -- what it costs ----------------------------------------------------------------------------- */

static void config_of(dfq_context *ctx, const char *preset, int32_t float_bits,
                      dfqi_accel_config *t)
{
    dfqi_accel_space s;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, preset, &s), DFQ_OK);
    dfqi_accel_space_config(&s, 0, t);
    if (float_bits) t->float_bits = float_bits;
}

static void cost_rows(dfq_context *ctx, const dfqi_accel_config *t, const dfqi_layer *l,
                      dfqi_cost *out)
{
    dfqi_layer own;
    dfqi_pricing p;
    ck_assert_int_eq(dfqi_layer_resolve(ctx, "rows", l, t, &own), DFQ_OK);
    dfqi_pricing_of(&own, t, &p);
    dfqi_cost_rows(&own, t, &p, out);
}

/* By hand, in bits: a sum reads two operands and writes one, the others read one; nothing goes to
 * DRAM. */
START_TEST(test_rows)
{
    enum { N = 1000 };
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_config t;
    dfqi_cost c;
    dfqi_layer sum = {.kind = DFQI_LAYER_ROWS,
                      .effort = 1,
                      .dim = {1, 1, 1, 1, N, 1, 1, 1},
                      .stride = 1,
                      .bits = {5, 0, 4},
                      .sum = 1};
    dfqi_layer gelu = sum;
    gelu.sum = 0;
    gelu.effort = 4;
    gelu.bits[DFQI_W] = 0;
    config_of(ctx, "eyeriss-16x16", 12, &t);
    double read = t.price.glb_read_pj / 16, write = t.price.glb_write_pj / 16;
    double rate = 25.6e9 * 8 / 200e6; /* bits a cycle */
    cost_rows(ctx, &t, &sum, &c);
    ck_assert_double_eq_tol(c.pj[DFQI_PART_GLB], N * ((5 + 12) * read + 4 * write), 1e-6);
    ck_assert_double_eq_tol(c.glb_cycles, N * (5 + 12 + 4) / rate, 1e-9);
    ck_assert_double_eq(c.compute_cycles, ceil(N / 16.0));
    cost_rows(ctx, &t, &gelu, &c);
    ck_assert_double_eq_tol(c.pj[DFQI_PART_GLB], N * (12 * read + 4 * write), 1e-6);
    ck_assert_double_eq_tol(c.glb_cycles, N * (12 + 4) / rate, 1e-9);
    ck_assert_double_eq(c.compute_cycles, ceil(N * 4 / 16.0));
    ck_assert_double_eq(c.cycles, fmax(c.compute_cycles, c.glb_cycles));
    ck_assert_double_eq(c.total_pj, c.pj[DFQI_PART_GLB]);
    ck_assert(c.dram_bytes == 0 && c.macs == 0);
    dfq_context_release(ctx);
}
END_TEST

/* A product of unquantized operands: DRAM and buffer move them as wide as they are kept, elements
 * take a word at most. */
START_TEST(test_kept_wider_than_words)
{
    static const dfqi_layer l = {.dim = {1, 1, 64, 32, 16, 1, 1, 1}, .stride = 1};
    static const double words[DFQI_OPERANDS] = {64 * 32, 64 * 16, 32 * 16};
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_config t;
    dfqi_cost cost[2];
    for (int wide = 0; wide < 2; wide++) {
        dfqi_mapping m;
        dfqi_pricing p;
        dfqi_layer own;
        config_of(ctx, "eyeriss-16x16", wide ? 32 : 8, &t);
        t.word_bits = 8;
        t.psum_bits = 32;
        t.pe = DFQI_PE_SERIAL;
        ck_assert_int_eq(dfqi_layer_resolve(ctx, "l", &l, &t, &own), DFQ_OK);
        dfqi_mapping_levels(&t, &m);
        dfqi_nest_add(&m.time[1], DFQI_DIM_P, 16);
        dfqi_nest_add(&m.time[1], DFQI_DIM_M, 32);
        dfqi_nest_add(&m.time[1], DFQI_DIM_C, 64);
        dfqi_pricing_of(&own, &t, &p);
        dfqi_cost_mapping(&own, &p, &m, &cost[wide]);
        double moved = 0;
        for (int v = 0; v < DFQI_OPERANDS; v++) moved += words[v] * (wide ? 4 : 1);
        ck_assert_double_eq(cost[wide].dram_bytes, moved);
    }
    ck_assert_double_gt(cost[1].pj[DFQI_PART_GLB], cost[0].pj[DFQI_PART_GLB]);
    ck_assert_double_gt(cost[1].glb_cycles, cost[0].glb_cycles);
    ck_assert_double_eq(cost[1].pj[DFQI_PART_MAC], cost[0].pj[DFQI_PART_MAC]);
    ck_assert_double_eq(cost[1].pj[DFQI_PART_RF], cost[0].pj[DFQI_PART_RF]);
    ck_assert_double_eq(cost[1].pj[DFQI_PART_NOC], cost[0].pj[DFQI_PART_NOC]);
    ck_assert_double_eq(cost[1].compute_cycles, cost[0].compute_cycles);
    dfq_context_release(ctx);
}
END_TEST

/* What a quantized network is charged for grows with the width of what stays float. */
START_TEST(test_float_bits)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = dfqt_net(ctx, 1);
    dfqi_accel_config t;
    dfqi_report r[2];
    for (int i = 0; i < 2; i++) {
        config_of(ctx, "eyeriss-16x16", i ? 16 : 4, &t);
        ck_assert_int_eq(dfqi_report_new(m, &t, (dfqi_layer_bits){0}, &r[i]), DFQ_OK);
    }
    for (int32_t i = 0; i < r[0].list.n_layers; i++) {
        const char *name = r[0].list.layers[i].name;
        const dfqi_cost *a = &r[0].costs[r[0].list.layers[i].shape];
        const dfqi_cost *b = &r[1].costs[r[1].list.layers[i].shape];
        /* from quantizers to a quantizer */
        bool all = strstr(name, ".qkv") || strstr(name, ".av");
        ck_assert_msg(all ? a->total_pj == b->total_pj : a->total_pj < b->total_pj, "%s", name);
    }
    dfqi_report_fini(&r[0]);
    dfqi_report_fini(&r[1]);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

static const dfqi_layer *shape_of(const dfqi_layer_list *l, const char *name)
{
    for (int32_t i = 0; i < l->n_layers; i++)
        if (strcmp(l->layers[i].name, name) == 0) return &l->shapes[l->layers[i].shape];
    ck_abort_msg("no layer %s", name);
    return NULL;
}

static void has_grids(const dfqi_layer_list *l, const char *name, double w, double i, double o)
{
    const dfqi_layer *s = shape_of(l, name);
    ck_assert_double_eq_tol(dfqi_layer_grid(s, DFQI_W), w, 1e-12);
    ck_assert_double_eq_tol(dfqi_layer_grid(s, DFQI_I), i, 1e-12);
    ck_assert_double_eq_tol(dfqi_layer_grid(s, DFQI_O), o, 1e-12);
}

/* By hand, in bits a word: a scale of 32 and a zero point for each row or group; a byte for each
 * group of a weight, and a scale for its row. 17 tokens, 2 heads of 32 channels. */
START_TEST(test_grid_bits)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *q = dfqt_net(ctx, DFQT_WIDE_VIT);
    dfqi_layer_list l;
    const double row = 36.0 / 32, keys = 32.0 / 32, values = 32.0 / 17, in = 36.0 / 16;
    regrid(q, (dfqi_widths){4, 4, 0},
           (dfqi_grids){.act_scale = DFQI_ACT_SCALE_ROW, .act_group = 16, .weight_group = 32});
    ck_assert_int_eq(dfqi_layers_of(q, (dfqi_layer_bits){0}, &l), DFQ_OK);
    has_grids(&l, "patch_embed.proj", 32.0 / 48, 0, 0); /* of 8 bits: no groups */
    has_grids(&l, "blocks.0.attn.qkv", 8.0 / 32 + 32.0 / 64, in, fmax(row, values));
    has_grids(&l, "blocks.0.attn.qk", keys, row, 0);
    has_grids(&l, "blocks.0.attn.qk/softmax", 0, 0, 32.0 / 17); /* from 0: no zero point */
    has_grids(&l, "blocks.0.attn.av", values, 32.0 / 17, in);
    has_grids(&l, "blocks.0.mlp.fc2", 8.0 / 32 + 32.0 / 128, in, 0);
    has_grids(&l, "blocks.0.mlp.fc1/gelu", 0, 0, in);
    /* 128 / 16 sums are scaled and added up, the first for nothing; av finds grids as well */
    ck_assert_int_eq(shape_of(&l, "blocks.0.mlp.fc2")->effort, 128 / 16 - 1);
    ck_assert_int_eq(shape_of(&l, "blocks.0.attn.av")->effort, 2);
    dfqi_layer_list_fini(&l);
    regrid(q, (dfqi_widths){4, 4, 0}, (dfqi_grids){.act_scale = DFQI_ACT_SCALE_TENSOR});
    ck_assert_int_eq(dfqi_layers_of(q, (dfqi_layer_bits){0}, &l), DFQ_OK);
    has_grids(&l, "blocks.0.attn.qkv", 32.0 / 64, 0, 0);
    has_grids(&l, "blocks.0.attn.qk", 0, 0, 0);
    dfqi_layer_list_fini(&l);
    dfqi_model_release(q);
    dfq_context_release(ctx);
}
END_TEST

/* Grids are moved with the words, products are those of codes, and the sums of groups of weights
 * are multiplied once more. */
START_TEST(test_grid_costs)
{
    enum { C = 64, M = 32, P = 16 };
    static const dfqi_layer plain = {
        .dim = {1, 1, C, M, P, 1, 1, 1}, .stride = 1, .bits = {4, 4, 8}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_config t;
    dfqi_cost cost[2];
    config_of(ctx, "eyeriss-16x16", 8, &t);
    for (int with = 0; with < 2; with++) {
        dfqi_layer l = plain;
        dfqi_mapping m;
        dfqi_pricing p;
        if (with) l.grid[DFQI_W] = (dfqi_share){8, 16}, l.grid[DFQI_I] = (dfqi_share){32, 32};
        if (with) l.grid[DFQI_O] = (dfqi_share){32, 16};
        if (with) l.weight_group = 16;
        dfqi_mapping_levels(&t, &m);
        dfqi_nest_add(&m.time[1], DFQI_DIM_P, P);
        dfqi_nest_add(&m.time[1], DFQI_DIM_M, M);
        dfqi_nest_add(&m.time[1], DFQI_DIM_C, C);
        dfqi_pricing_of(&l, &t, &p);
        dfqi_cost_mapping(&l, &p, &m, &cost[with]);
    }
    double grids = (C * M * 0.5 + C * P * 1.0 + M * P * 2.0) / 8, groups = C * M * P / 16.0;
    ck_assert_double_eq_tol(cost[1].dram_bytes, cost[0].dram_bytes + grids, 1e-9);
    ck_assert_double_gt(cost[1].pj[DFQI_PART_GLB], cost[0].pj[DFQI_PART_GLB]);
    ck_assert_double_gt(cost[1].glb_cycles, cost[0].glb_cycles);
    ck_assert_double_eq_tol(cost[1].pj[DFQI_PART_MAC] - cost[0].pj[DFQI_PART_MAC],
                            groups * dfqi_mac_pj(4, 16, 16), 1e-6);
    ck_assert_double_eq(cost[1].pj[DFQI_PART_NOC], cost[0].pj[DFQI_PART_NOC]);
    ck_assert_double_eq(cost[1].pj[DFQI_PART_RF], cost[0].pj[DFQI_PART_RF]);
    dfq_context_release(ctx);
}
END_TEST

/* Grids of rows: whatever is read through one has two comparisons a value more, beside the array
 * of a product, and the rest is as with static grids. */
START_TEST(test_row_grids)
{
    static const char *const found[] = {".qkv", ".av", "/softmax", "/gelu", "/norm"};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = dfqt_net(ctx, 1), *rows = dfqt_net(ctx, 1);
    dfqi_accel_config t;
    dfqi_report a, b;
    int32_t slower = 0;
    ck_assert(m->quantized && !dfqi_arch_is_cnn(&m->net.arch));
    dfqi_scheme_fini(&rows->scheme);
    ck_assert_int_eq(dfqi_scheme_new_with(&rows->net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 4},
                                          (dfqi_grids){.act_scale = DFQI_ACT_SCALE_ROW},
                                          &rows->scheme),
                     DFQ_OK);
    config_of(ctx, "eyeriss-16x16", 8, &t);
    t.pe_x = 2; /* lanes */
    ck_assert_int_eq(dfqi_report_new(m, &t, (dfqi_layer_bits){0}, &a), DFQ_OK);
    ck_assert_int_eq(dfqi_report_new(rows, &t, (dfqi_layer_bits){0}, &b), DFQ_OK);
    ck_assert_int_eq(a.list.n_layers, b.list.n_layers);
    for (int32_t i = 0; i < a.list.n_layers; i++) {
        const char *name = a.list.layers[i].name;
        int32_t s = a.list.layers[i].shape, r = b.list.layers[i].shape;
        int more = 0;
        for (int k = 0; k < 5; k++) more |= strstr(name, found[k]) != NULL;
        ck_assert_msg(b.list.shapes[r].effort == a.list.shapes[s].effort + 2 * more, "%s", name);
        ck_assert_msg(
            memcmp(a.list.shapes[s].bits, b.list.shapes[r].bits, sizeof a.list.shapes[s].bits) == 0,
            "%s", name);
        double lanes = ceil(dfqi_layer_words(&b.list.shapes[r], DFQI_O) * 2 / 2);
        if (more) ck_assert_double_ge(b.costs[r].compute_cycles, lanes);
        slower += b.costs[r].cycles > a.costs[s].cycles;
        ck_assert_double_ge(b.costs[r].cycles, a.costs[s].cycles);
    }
    ck_assert_int_ge(slower, 4);
    dfqi_report_fini(&a);
    dfqi_report_fini(&b);
    dfqi_model_release(m);
    dfqi_model_release(rows);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_widths_case(void)
{
    TCase *c = tcase_create("widths");
    tcase_add_loop_test(c, test_quantized_graph, 0, DFQT_NETS);
    tcase_add_test(c, test_asked);
    tcase_add_loop_test(c, test_asked_rows, 0, 2);
    tcase_add_test(c, test_asked_groups);
    tcase_add_test(c, test_several_readers);
    tcase_add_test(c, test_rows);
    tcase_add_test(c, test_kept_wider_than_words);
    tcase_add_test(c, test_float_bits);
    tcase_add_test(c, test_grid_bits);
    tcase_add_test(c, test_grid_costs);
    tcase_add_test(c, test_row_grids);
    return c;
}
