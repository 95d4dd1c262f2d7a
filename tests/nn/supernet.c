/* Supernets: sizes of the spaces, gradients of gates and weights, running statistics, derived
 * networks, threads, refused allocations. */
#include "nn/supernet_priv.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "nn/cases.h"
#include "nn/support.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

enum { BATCH = 3, CELLS = 4, PIXELS = 3 * 8 * 8, CLASSES = 3 };

static const dfqi_supernet_space tiny = {.name = "tiny",
                                         .image = 8,
                                         .classes = CLASSES,
                                         .stem = 4,
                                         .first = 4,
                                         .head = 8,
                                         .n_stages = 2,
                                         .n_choices = 2,
                                         .stages = {{4, 2, 1}, {6, 2, 2}},
                                         .choices = {{3, 2}, {5, 3}}};
static const int32_t with_skip[CELLS] = {1, 2, 0, 1};

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

static float loss_of(const dfqi_super_pass *p)
{
    ck_assert_int_eq(dfqi_exec_run(p->e), DFQ_OK);
    return *dfqi_exec_data(p->e, p->loss);
}

/* -- sizes ------------------------------------------------------------------------------------- */

static void path_of(const dfqi_supernet *net, int32_t choice, int32_t *path)
{
    for (int32_t c = 0; c < net->n_cells; c++)
        path[c] = choice < dfqi_supernet_choices(net, c) ? choice : 0;
}

/* Multiply-accumulates of a path. */
static double macs_of(const dfqi_supernet *net, const int32_t *path)
{
    double macs = 0;
    ck_assert_int_eq(dfqi_supernet_macs(net, path, &macs), DFQ_OK);
    return macs;
}

/* From 76 to 188 million multiplications in the full space with all of its cells. */
START_TEST(spaces_cost_what_they_should)
{
    static const struct {
        const dfqi_supernet_space *space;
        int32_t cells, skips;
        double least, small, large; /* with all that may be left out; all k3e3; all k7e6 */
    } rows[] = {{&dfqi_super_cifar_full, 21, 15, 25602560, 76179968, 187834880},
                {&dfqi_super_cifar_small, 9, 6, 6047744, 9979904, 19971584}};
    dfq_context *ctx = dfqt_context(1);
    for (int i = 0; i < 2; i++) {
        dfqi_supernet net;
        int32_t path[DFQI_SUPER_CELLS], skips = 0;
        ck_assert_int_eq(dfqi_supernet_new(ctx, rows[i].space, NULL, 1, &net), DFQ_OK);
        ck_assert_int_eq(net.n_cells, rows[i].cells);
        for (int32_t c = 0; c < net.n_cells; c++) skips += net.skips[c];
        ck_assert_int_eq(skips, rows[i].skips);
        path_of(&net, 6, path);
        ck_assert_double_eq(macs_of(&net, path), rows[i].least);
        path_of(&net, 0, path);
        ck_assert_double_eq(macs_of(&net, path), rows[i].small);
        path_of(&net, 5, path);
        ck_assert_double_eq(macs_of(&net, path), rows[i].large);
        dfqi_supernet_fini(&net);
    }
    dfq_context_release(ctx);
}
END_TEST

/* The formula that choices are compared by is the count of the graph's products. */
START_TEST(a_path_costs_what_its_graph_does)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net;
    int32_t path[DFQI_SUPER_CELLS];
    ck_assert_int_eq(dfqi_supernet_new(ctx, &dfqi_super_cifar_small, NULL, 1, &net), DFQ_OK);
    for (int32_t c = 0; c < net.n_cells; c++) path[c] = c % dfqi_supernet_choices(&net, c);
    ck_assert_double_eq(dfqi_super_row_of(&net.space)->work(&net, path), macs_of(&net, path));
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* -- gradients --------------------------------------------------------------------------------- */

/* The layer whose output a cell adds to its shortcut. */
static dfqi_super_layer *last_of(dfqi_supernet *net, const int32_t *path, int32_t cell)
{
    dfqi_super_layer *last = NULL;
    for (int32_t i = 0; i < net->n_layers; i++)
        if (net->layers[i].cell == cell && net->layers[i].choice == path[cell])
            last = &net->layers[i];
    return last;
}

static void scale(dfqi_super_layer *l, float by)
{
    for (int k = 1; k <= 2; k++)
        for (int64_t c = 0; c < l->out; c++) dfqi_tensor_f32(l->t[k])[c] *= by;
}

START_TEST(gates_have_the_gradient_of_differences)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_supernet net;
    dfqi_super_pass p;
    data d;
    double gates[CELLS], size = 0;
    const float h = 1.0f / 256;
    fill(&d);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 3, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_layers; i++) /* betas that count */
        for (int64_t c = 0; net.layers[i].kernel && c < net.layers[i].out; c++)
            dfqi_tensor_f32(net.layers[i].t[2])[c] = 0.1f * (float)(c % 3);
    ck_assert_int_eq(dfqi_super_pass_new(&net, with_skip, BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    bind(&p, &d);
    loss_of(&p);
    dfqi_super_pass_gates(&p, gates);
    ck_assert_double_eq(gates[1], 0.0); /* left out */
    for (int32_t c = 0; c < CELLS; c++) {
        dfqi_super_layer *l = last_of(&net, with_skip, c);
        if (!l) continue;
        float up, down;
        scale(l, 1 + h);
        up = loss_of(&p);
        scale(l, (1 - h) / (1 + h));
        down = loss_of(&p);
        scale(l, 1 / (1 - h));
        ck_assert_msg(fabs((double)(up - down) / (2 * h) - gates[c]) < 2e-3 + 0.02 * fabs(gates[c]),
                      "cell %d: %g, differences say %g", c, gates[c],
                      (double)(up - down) / (2 * h));
        size += fabs(gates[c]);
    }
    ck_assert_double_gt(size, 1e-2);
    dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* Steps along the gradients alone make the loss small; so all of them point the right way. */
START_TEST(weights_learn)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_supernet net;
    dfqi_super_pass p;
    data d;
    float first = 0, loss = 0;
    fill(&d);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 3, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_super_pass_new(&net, with_skip, BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    bind(&p, &d);
    for (int step = 0; step < 60; step++) {
        loss = loss_of(&p);
        if (step == 0) first = loss;
        for (int32_t i = 0; i < net.n_layers; i++)
            for (int32_t k = 0; k < 3 && p.taps[i].grad[k] >= 0; k++) {
                const float *g = dfqi_exec_data(p.e, p.taps[i].grad[k]);
                float *w = dfqi_tensor_f32(net.layers[i].t[k]);
                for (int64_t j = 0; j < dfqi_tensor_count(net.layers[i].t[k]); j++)
                    w[j] -= 0.05f * g[j];
            }
    }
    /* the targets' entropy, 0.394, is the least there is */
    ck_assert_msg(loss < first - 0.3f && loss > 0.394f, "from %g to %g", (double)first,
                  (double)loss);
    dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* -- evaluation -------------------------------------------------------------------------------- */

/* With the statistics of the very batch, evaluation differs from training by n / (n - 1) alone:
 * once that is undone they agree. */
START_TEST(running_statistics_serve_evaluation)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net;
    dfqi_super_pass train, eval;
    data d;
    double apart = 0, size = 0;
    fill(&d);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, with_skip, 3, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_super_pass_new(&net, with_skip, BATCH, DFQI_SUPER_TRAIN, &train), DFQ_OK);
    ck_assert_int_eq(dfqi_super_pass_new(&net, with_skip, BATCH, DFQI_SUPER_EVAL, &eval), DFQ_OK);
    bind(&train, &d);
    dfqi_exec_bind(eval.e, eval.x, d.x);
    loss_of(&train);
    dfqi_super_pass_track(&train, 1.0f);
    ck_assert_int_eq(train.taps[0].values, BATCH * 64);
    ck_assert_int_eq(train.taps[net.n_layers - 2].values, BATCH * 16);
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int64_t c = 0; train.taps[i].var >= 0 && c < net.layers[i].out; c++)
            dfqi_tensor_f32(net.layers[i].t[4])[c] *=
                (float)(train.taps[i].values - 1) / (float)train.taps[i].values;
    ck_assert_int_eq(dfqi_exec_run(eval.e), DFQ_OK);
    const float *a = dfqi_exec_data(train.e, train.logits),
                *b = dfqi_exec_data(eval.e, eval.logits);
    for (int i = 0; i < BATCH * CLASSES; i++) {
        apart += fabs((double)(a[i] - b[i]));
        size += fabs((double)a[i]);
    }
    ck_assert_double_lt(apart, 1e-4 * size);
    dfqi_super_pass_fini(&train);
    dfqi_super_pass_fini(&eval);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(derived_networks_have_their_path_alone)
{
    static const int32_t other[CELLS] = {0, 2, 0, 1}, none[CELLS] = {0, 2, 2, 1};
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net;
    dfqi_super_pass p = {0};
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, with_skip, 3, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_layers; i++)
        ck_assert_int_eq(net.layers[i].t[0] != NULL,
                         dfqi_supernet_on_path(&net.layers[i], with_skip));
    ck_assert_int_eq(dfqi_super_pass_new(&net, other, 1, DFQI_SUPER_EVAL, &p), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(ctx), "is 0, which this derived network does not have"));
    ck_assert_int_eq(dfqi_super_pass_new(&net, none, 1, DFQI_SUPER_EVAL, &p), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "cell 2 is 2"));
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* -- threads and memory ------------------------------------------------------------------------ */

static void gates_with(int32_t threads, float *loss, double *gates)
{
    dfq_context *ctx = dfqt_context(threads);
    dfqi_supernet net;
    dfqi_super_pass p;
    data d;
    fill(&d);
    ck_assert_int_eq(dfqi_supernet_new(ctx, &tiny, NULL, 3, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_super_pass_new(&net, with_skip, BATCH, DFQI_SUPER_TRAIN, &p), DFQ_OK);
    bind(&p, &d);
    *loss = loss_of(&p);
    dfqi_super_pass_gates(&p, gates);
    dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}

START_TEST(threads_change_no_bit)
{
    float loss[2];
    double gates[2][CELLS];
    for (int i = 0; i < 2; i++) gates_with(i + 1, &loss[i], gates[i]);
    ck_assert(memcmp(&loss[0], &loss[1], sizeof loss[0]) == 0);
    ck_assert(memcmp(gates[0], gates[1], sizeof gates[0]) == 0);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_supernet net;
    dfqi_super_pass p;
    (void)arg;
    dfq_status status = dfqi_supernet_new(ctx, &tiny, NULL, 3, &net);
    if (status != DFQ_OK) return status;
    status = dfqi_super_pass_new(&net, with_skip, BATCH, DFQI_SUPER_TRAIN, &p);
    if (status == DFQ_OK) dfqi_super_pass_fini(&p);
    dfqi_supernet_fini(&net);
    return status;
}

START_TEST(refused_allocations_leave_nothing)
{
    fail_alloc_sweep(scenario, NULL, 1);
}
END_TEST

TCase *dfqt_supernet_case(void)
{
    TCase *c = tcase_create("supernet");
    tcase_add_test(c, spaces_cost_what_they_should);
    tcase_add_test(c, a_path_costs_what_its_graph_does);
    tcase_add_test(c, gates_have_the_gradient_of_differences);
    tcase_add_test(c, weights_learn);
    tcase_add_test(c, running_statistics_serve_evaluation);
    tcase_add_test(c, derived_networks_have_their_path_alone);
    tcase_add_test(c, threads_change_no_bit);
    tcase_add_test(c, refused_allocations_leave_nothing);
    return c;
}
