/* Supernets of vision transformers: sizes of the spaces, costs that add up, gradients of weights
 * and gates against differences, shared weights, derived networks, threads, refused allocations. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "nn/cases.h"
#include "nn/supernet_priv.h"
#include "nn/support.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

enum { BATCH = 3, CELLS = 2, PIXELS = 3 * 8 * 8, CLASSES = 3, OUT = 16 };

/* Choice = 8 width + 4 depth + 2 heads + ratio, each 0 or 1; 16: left out. */
static const dfqi_supernet_space tiny = {.name = "tiny",
                                         .family = DFQI_SUPER_VIT,
                                         .n_stages = CELLS,
                                         .n_choices = OUT,
                                         .image = 8,
                                         .classes = CLASSES,
                                         .vit = {.patch = 4,
                                                 .tokens = 6,
                                                 .head = 3,
                                                 .optional = 1,
                                                 .width = {2, {4, 7}},
                                                 .depth = {2, {1, 2}},
                                                 .heads = {2, {1, 2}},
                                                 .ratio = {2, {1, 2}}}};
/* All of the weights, and a part of each kind of them. */
static const int32_t paths[][CELLS] = {{15, 15}, {4, 9}, {2, 5}, {OUT, 3}};
enum { PATHS = 4 };

typedef struct data {
    float x[BATCH * PIXELS], targets[BATCH * CLASSES];
} data;

static void fill(data *d)
{
    dfqi_rng r = dfqi_rng_make(5, 0);
    dfqi_rng_fill_normal(&r, d->x, BATCH * PIXELS);
    for (int i = 0; i < BATCH * CLASSES; i++)
        d->targets[i] = i % CLASSES == i / CLASSES ? 0.9f : 0.05f;
}

static void bind(const dfqi_super_pass *p, const data *d)
{
    dfqi_exec_bind(p->e, p->x, d->x);
    dfqi_exec_bind(p->e, p->targets, d->targets);
}

static double loss_of(const dfqi_super_pass *p)
{
    ck_assert_int_eq(dfqi_exec_run(p->e), DFQ_OK);
    return (double)*dfqi_exec_data(p->e, p->loss);
}

/* Norms that count and biases that are not 0. */
static dfqi_supernet tiny_net(dfq_context *ctx, const int32_t *path)
{
    dfqi_supernet net;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, path, 3, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_layers; i++) {
        dfqi_rng r = dfqi_rng_make(11, (uint64_t)i);
        for (int32_t k = net.layers[i].kind == DFQI_SUPER_NORM ? 0 : 1; k < 2 && net.layers[i].t[k];
             k++)
            for (int64_t j = 0; j < dfqi_tensor_count(net.layers[i].t[k]); j++)
                dfqi_tensor_f32(net.layers[i].t[k])[j] += 0.3f * dfqi_rng_normal(&r);
    }
    return net;
}

/* -- sizes ------------------------------------------------------------------------------------- */

/* Multiply-accumulates of a path. */
static double macs_of(const dfqi_supernet *net, const int32_t *path)
{
    double macs = 0;
    ck_assert_int_eq(dfqi_supernet_macs(net, path, &macs), DFQ_OK);
    return macs;
}

START_TEST(spaces_cost_what_they_should)
{
    static const struct {
        const dfqi_supernet_space *space;
        int32_t path[4];
        double macs;
    } rows[] = {{&dfqi_super_vit_small, {24, 24, 24}, 197248},
                {&dfqi_super_vit_small, {0, 0, 0}, 5112448},
                {&dfqi_super_vit_small, {0, 15, 18}, 12780160},
                {&dfqi_super_vit_small, {23, 23, 23}, 27918976},
                {&dfqi_super_vit_tiny, {0, 0, 0, 0}, 235417088},
                {&dfqi_super_vit_tiny, {35, 35, 35, 35}, 1304366592}};
    dfq_context *ctx = dfqt_context(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfqi_supernet net;
        ck_assert_int_eq(dfqi_supernet_new(ctx, rows[i].space, rows[i].path, 1, &net), DFQ_OK);
        ck_assert_int_eq(dfqi_supernet_choices(&net, 0),
                         rows[i].space == &dfqi_super_vit_small ? 25 : 36);
        ck_assert_double_eq(macs_of(&net, rows[i].path), rows[i].macs);
        dfqi_supernet_fini(&net);
    }
    dfq_context_release(ctx);
}
END_TEST

/* The formula that choices are compared by is the count of the graph's products. */
START_TEST(a_path_costs_what_its_graph_does)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = tiny_net(ctx, NULL);
    for (int i = 0; i < PATHS; i++)
        ck_assert_double_eq(dfqi_super_row_of(&net.space)->work(&net, paths[i]),
                            macs_of(&net, paths[i]));
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* The costs of a path are a sum over its cells, whatever the other cells are. */
START_TEST(costs_add_up_over_cells)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = tiny_net(ctx, NULL);
    double none = macs_of(&net, (int32_t[]){OUT, OUT});
    for (int32_t a = 0; a < OUT; a++)
        for (int32_t b = 0; b < OUT; b++)
            ck_assert_double_eq(macs_of(&net, (int32_t[]){a, b}),
                                macs_of(&net, (int32_t[]){a, OUT}) +
                                    macs_of(&net, (int32_t[]){OUT, b}) - none);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* -- gradients --------------------------------------------------------------------------------- */

/* Two central differences extrapolated to step 0. */
static double slope(const dfqi_super_pass *p, float *x)
{
    double d[2];
    float at = *x;
    for (int i = 0; i < 2; i++) {
        float up = at + (i ? 0.005f : 0.01f), down = at - (i ? 0.005f : 0.01f);
        *x = up;
        double y = loss_of(p);
        *x = down;
        y -= loss_of(p);
        d[i] = y / ((double)up - (double)down);
    }
    *x = at;
    return (4 * d[1] - d[0]) / 3;
}

/* Some elements of what the pass uses of a tensor; all others must change nothing. */
static void check_tensor(const dfqi_super_pass *p, int32_t layer, int32_t k)
{
    float *w = dfqi_tensor_f32(p->net->layers[layer].t[k]), index[512], part[512], g[512];
    int64_t n = dfqi_tensor_count(p->net->layers[layer].t[k]);
    int64_t used = dfqi_value_count(dfqi_graph_value(p->g, p->taps[layer].t[k]));
    double loss = loss_of(p), scale = 0.05;
    ck_assert_int_le(n, 512);
    ck_assert_int_eq(used, dfqi_value_count(dfqi_graph_value(p->g, p->taps[layer].grad[k])));
    memcpy(g, dfqi_exec_data(p->e, p->taps[layer].grad[k]), (size_t)used * sizeof *g);
    for (int64_t i = 0; i < n; i++) index[i] = (float)i;
    dfqi_super_pass_copy(p, layer, k, index, part, 0);
    for (int64_t i = 0; i < used; i++) scale = fmax(scale, fabs((double)g[i]));
    for (int64_t i = used - 1; i >= 0; i -= 5) {
        double want = slope(p, w + (int64_t)part[i]);
        ck_assert_msg(fabs(want - (double)g[i]) < 3e-3 * scale,
                      "layer %d, tensor %d, element %d: gradient %g, differences say %g", layer, k,
                      (int)i, (double)g[i], want);
    }
    for (int64_t i = 0; i < used; i++) index[(int64_t)part[i]] = -1;
    for (int64_t i = 0; i < n; i++)
        if (index[i] >= 0) w[i] += 1;
    ck_assert_msg(loss_of(p) == loss, "layer %d: what is off the path counts", layer);
    for (int64_t i = 0; i < n; i++)
        if (index[i] >= 0) w[i] -= 1;
}

START_TEST(weights_have_the_gradient_of_differences)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = tiny_net(ctx, NULL);
    dfqi_super_pass p;
    data d;
    int tensors = 0;
    fill(&d);
    ck_assert_int_eq(dfqi_super_pass_new(&net, paths[_i], BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    bind(&p, &d);
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int32_t k = 0; k < dfqi_super_layer_trained(&net.layers[i]); k++) {
            ck_assert_int_eq(p.taps[i].grad[k] >= 0,
                             dfqi_supernet_on_path(&net.layers[i], paths[_i]));
            if (p.taps[i].grad[k] < 0) continue;
            check_tensor(&p, i, k);
            tensors++;
        }
    ck_assert_int_ge(tensors, 7 + 18); /* those of the shortest path: one block */
    dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static void scale(dfqi_super_layer *l, float by)
{
    for (int k = 0; k < 2; k++)
        for (int64_t c = 0; c < dfqi_tensor_count(l->t[k]); c++) dfqi_tensor_f32(l->t[k])[c] *= by;
}

/* The layer whose output a stage adds. */
static dfqi_super_layer *last_of(dfqi_supernet *net, int32_t cell)
{
    for (int32_t i = 0; i < net->n_layers; i++)
        if (net->layers[i].cell == cell && net->layers[i].closes) return &net->layers[i];
    return NULL;
}

START_TEST(gates_have_the_gradient_of_differences)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net = tiny_net(ctx, NULL);
    dfqi_super_pass p;
    data d;
    double gates[CELLS];
    const float h = 1.0f / 64;
    fill(&d);
    ck_assert_int_eq(dfqi_super_pass_new(&net, paths[_i], BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    bind(&p, &d);
    loss_of(&p);
    dfqi_super_pass_gates(&p, gates);
    for (int32_t c = 0; c < CELLS; c++) {
        dfqi_super_layer *l = last_of(&net, c);
        scale(l, 1 + h);
        double up = loss_of(&p);
        scale(l, (1 - h) / (1 + h));
        double slope_of = (up - loss_of(&p)) / (2 * (double)h);
        scale(l, 1 / (1 - h));
        ck_assert_msg(fabs(slope_of - gates[c]) < 1e-3 + 0.01 * fabs(gates[c]),
                      "cell %d: %g, differences say %g", c, gates[c], slope_of);
        if (paths[_i][c] == OUT)
            ck_assert_double_eq(gates[c], 0.0);
        else
            ck_assert_double_gt(fabs(gates[c]), 1e-3);
    }
    dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* -- shared weights ---------------------------------------------------------------------------- */

/* A network of the path alone computes what the path in the supernet does, once it has its
 * weights. */
START_TEST(derived_networks_are_their_path)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet all = tiny_net(ctx, NULL), one;
    dfqi_super_pass p, q;
    data d;
    fill(&d);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, paths[_i], 9, &one), DFQ_OK);
    ck_assert_int_eq(dfqi_super_pass_new(&all, paths[_i], BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    ck_assert_int_eq(dfqi_super_pass_new(&one, paths[_i], BATCH, DFQI_SUPER_TRAIN, &q), DFQ_OK);
    ck_assert_int_eq(one.n_layers, all.n_layers);
    for (int32_t i = 0; i < one.n_layers; i++) {
        ck_assert_int_eq(one.layers[i].t[0] != NULL,
                         dfqi_supernet_on_path(&one.layers[i], paths[_i]));
        for (int32_t k = 0; k < 2 && one.layers[i].t[k]; k++) {
            const dfqi_value *v = dfqi_graph_value(p.g, p.taps[i].t[k]);
            const dfq_tensor *t = one.layers[i].t[k];
            ck_assert_int_eq(v->rank, t->rank);
            ck_assert_mem_eq(v->dims, t->dims, (size_t)t->rank * sizeof *t->dims);
        }
    }
    ck_assert_int_eq(dfqi_supernet_hand_down(&all, &one), DFQ_OK);
    bind(&p, &d);
    bind(&q, &d);
    ck_assert_double_eq(loss_of(&p), loss_of(&q));
    ck_assert_mem_eq(dfqi_exec_data(p.e, p.logits), dfqi_exec_data(q.e, q.logits),
                     BATCH * CLASSES * sizeof(float));
    for (int32_t i = 0; i < one.n_layers; i++)
        for (int32_t k = 0; k < 2 && p.taps[i].grad[k] >= 0; k++)
            ck_assert_mem_eq(dfqi_exec_data(p.e, p.taps[i].grad[k]),
                             dfqi_exec_data(q.e, q.taps[i].grad[k]),
                             (size_t)dfqi_tensor_count(one.layers[i].t[k]) * sizeof(float));
    dfqi_super_pass_fini(&p);
    dfqi_super_pass_fini(&q);
    ck_assert_int_eq(dfqi_super_pass_new(&one, (int32_t[]){0, 0}, 1, DFQI_SUPER_EVAL, &p),
                     DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "use its own path"));
    dfqi_supernet_fini(&all);
    dfqi_supernet_fini(&one);
    dfq_context_release(ctx);
}
END_TEST

/* -- what is refused --------------------------------------------------------------------------- */

START_TEST(spaces_that_make_no_network_are_refused)
{
    enum { N = 9 };
    static const char *const says[N] = {"multiple of the patch",
                                        "channels",
                                        "0 values of width",
                                        "ratio is 0",
                                        "larger than",
                                        "must be 16",
                                        "n_choices is 17",
                                        "choices, must",
                                        "0 classes"};
    dfq_context *ctx = dfqt_context(1);
    for (int i = 0; i < N; i++) {
        dfqi_supernet_space s = tiny;
        dfqi_supernet net;
        if (i == 0) s.vit.patch = 3;
        if (i == 1) s.vit.head = 0;
        if (i == 2) s.vit.width.n = 0;
        if (i == 3) s.vit.ratio.value[0] = 0;
        if (i == 4) s.vit.heads.value[1] = 1;
        if (i == 5) s.n_choices = 15;
        if (i == 6) s.n_choices = 17;
        if (i == 7) s.n_choices = 64;
        if (i == 8) s.classes = 0;
        ck_assert_int_eq(dfqi_supernet_new(ctx, &s, NULL, 1, &net), DFQ_E_INVALID);
        ck_assert_msg(strstr(dfq_context_get_error(ctx), says[i]) != NULL, "%d: %s", i,
                      dfq_context_get_error(ctx));
    }
    dfq_context_release(ctx);
}
END_TEST

/* -- threads and memory ------------------------------------------------------------------------ */

START_TEST(threads_change_no_bit)
{
    double loss[2], gates[2][CELLS];
    data d;
    fill(&d);
    for (int32_t i = 0; i < 2; i++) {
        dfq_context *ctx = dfqt_context(i + 1);
        dfqi_supernet net = tiny_net(ctx, NULL);
        dfqi_super_pass p;
        ck_assert_int_eq(dfqi_super_pass_new(&net, paths[1], BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
        bind(&p, &d);
        loss[i] = loss_of(&p);
        dfqi_super_pass_gates(&p, gates[i]);
        dfqi_super_pass_fini(&p);
        dfqi_supernet_fini(&net);
        dfq_context_release(ctx);
    }
    ck_assert_mem_eq(&loss[0], &loss[1], sizeof loss[0]);
    ck_assert_mem_eq(gates[0], gates[1], sizeof gates[0]);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_supernet net;
    dfqi_super_pass p;
    (void)arg;
    dfq_status status = dfqi_supernet_new(ctx, &tiny, NULL, 3, &net);
    if (status != DFQ_OK) return status;
    status = dfqi_super_pass_new(&net, paths[1], BATCH, DFQI_SUPER_TRAIN, &p);
    if (status == DFQ_OK) dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    return status;
}

START_TEST(refused_allocations_leave_nothing)
{
    fail_alloc_sweep(scenario, NULL, 1);
}
END_TEST

TCase *dfqt_supernet_vit_case(void)
{
    TCase *c = tcase_create("supernet_vit");
    tcase_add_test(c, spaces_cost_what_they_should);
    tcase_add_test(c, a_path_costs_what_its_graph_does);
    tcase_add_test(c, costs_add_up_over_cells);
    tcase_add_loop_test(c, weights_have_the_gradient_of_differences, 0, PATHS);
    tcase_add_loop_test(c, gates_have_the_gradient_of_differences, 0, PATHS);
    tcase_add_loop_test(c, derived_networks_are_their_path, 0, PATHS);
    tcase_add_test(c, spaces_that_make_no_network_are_refused);
    tcase_add_test(c, threads_change_no_bit);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
