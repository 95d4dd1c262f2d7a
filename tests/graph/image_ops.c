/* Convolutions in groups and with TensorFlow's padding, windows, activations and gates against
 * PyTorch's numbers. */
#include "graph/cases.h"
#include "graph/golden.h"

typedef struct one {
    const char *name;
    dfqi_id (*build)(dfqi_graph *g, dfqi_id x);
} one;

static dfqi_id max_behind(dfqi_graph *g, dfqi_id x)
{
    return dfqi_max_pool(g, x, &(dfqi_pool_attr){.size = 3, .stride = 2, .more = 1});
}

static dfqi_id avg(dfqi_graph *g, dfqi_id x)
{
    return dfqi_avg_pool(g, x, &(dfqi_pool_attr){.size = 3, .stride = 2, .pad = 1});
}

static dfqi_id avg_counted(dfqi_graph *g, dfqi_id x)
{
    const dfqi_pool_attr a = {.size = 3, .stride = 2, .pad = 1, .count_pad = 1};
    return dfqi_avg_pool(g, x, &a);
}

static dfqi_id avg_behind(dfqi_graph *g, dfqi_id x)
{
    return dfqi_avg_pool(g, x, &(dfqi_pool_attr){.size = 2, .stride = 2, .more = 1});
}

static dfqi_id pad(dfqi_graph *g, dfqi_id x)
{
    return dfqi_pad_image(g, x, (int64_t[]){1, 2, 3, -1});
}

static dfqi_id sigmoid(dfqi_graph *g, dfqi_id x)
{
    return dfqi_activation(g, NULL, x, DFQI_ACTIVATION_SIGMOID);
}

static dfqi_id silu(dfqi_graph *g, dfqi_id x)
{
    return dfqi_activation(g, NULL, x, DFQI_ACTIVATION_SILU);
}

static dfqi_id hard_sigmoid(dfqi_graph *g, dfqi_id x)
{
    return dfqi_activation(g, NULL, x, DFQI_ACTIVATION_HARD_SIGMOID);
}

static dfqi_id hard_swish(dfqi_graph *g, dfqi_id x)
{
    return dfqi_activation(g, NULL, x, DFQI_ACTIVATION_HARD_SWISH);
}

static dfqi_id channels(dfqi_graph *g, dfqi_id x)
{
    return dfqi_channels(g, x, 2, 3);
}

static const one ones[] = {{"max_behind", max_behind},
                           {"avg", avg},
                           {"avg_counted", avg_counted},
                           {"avg_behind", avg_behind},
                           {"pad", pad},
                           {"sigmoid", sigmoid},
                           {"silu", silu},
                           {"hard_sigmoid", hard_sigmoid},
                           {"hard_swish", hard_swish},
                           {"channels", channels}};
enum { N_ONES = sizeof ones / sizeof *ones };

static const struct convolution {
    const char *name;
    dfqi_conv_attr attr;
} convolutions[] = {
    {"same", {.stride = 2, .dilation = 1, .groups = 1, .more = 1}},
    {"same_depthwise", {.stride = 2, .pad = 1, .dilation = 1, .groups = 18, .more = 1}},
    {"groups", {.stride = 1, .pad = 1, .dilation = 1, .groups = 3}},
    {"groups_stride", {.stride = 2, .pad = 1, .dilation = 1, .groups = 2}}};
enum { N_CONVOLUTIONS = sizeof convolutions / sizeof *convolutions };

/* y, and the gradient of x. */
static void check(rig *r, const golden *f, const char *name, dfqi_id x, dfqi_id y)
{
    dfqi_id dx;
    ck_assert_msg(y >= 0, "%s", r->ctx->error);
    dfqi_id dy = dfqt_golden_input(r, f, name, "dy", 1);
    ck_assert_int_eq(dfqi_graph_grad(r->g, 1, &y, &dy, 1, &x, &dx), DFQ_OK);
    dfqi_graph_keep(r->g, y);
    dfqi_graph_keep(r->g, dx);
    dfqt_start(r);
    dfqt_run(r);
    dfqt_golden_check(r, y, f, name, "y", 1e-6);
    dfqt_golden_check(r, dx, f, name, "dx", 1e-6);
}

START_TEST(test_one)
{
    const one *o = &ones[_i];
    golden f = dfqt_golden("image_ops.safetensors");
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id x = dfqt_golden_input(&r, &f, o->name, "x", 1);
    check(&r, &f, o->name, x, o->build(r.g, x));
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

START_TEST(test_convolution)
{
    const struct convolution *c = &convolutions[_i];
    golden f = dfqt_golden("image_ops.safetensors");
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id x = dfqt_golden_input(&r, &f, c->name, "x", 1);
    dfqi_id w = dfqt_golden_input(&r, &f, c->name, "w", 0);
    dfqi_id b = dfqt_golden_input(&r, &f, c->name, "b", 0);
    check(&r, &f, c->name, x, dfqi_conv(r.g, c->name, x, w, b, &c->attr));
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

START_TEST(test_pair)
{
    const char *name = _i ? "concat" : "gate";
    golden f = dfqt_golden("image_ops.safetensors");
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id x = dfqt_golden_input(&r, &f, name, "x", 1);
    dfqi_id other = dfqt_golden_input(&r, &f, name, _i ? "b" : "s", 1);
    check(&r, &f, name, x, (_i ? dfqi_concat : dfqi_gate)(r.g, x, other));
    dfqt_rig_fini(&r);
    dfqt_golden_fini(&f);
}
END_TEST

TCase *dfqt_image_ops_case(void)
{
    TCase *c = tcase_create("image_ops");
    tcase_add_loop_test(c, test_one, 0, N_ONES);
    tcase_add_loop_test(c, test_convolution, 0, N_CONVOLUTIONS);
    tcase_add_loop_test(c, test_pair, 0, 2);
    return c;
}
