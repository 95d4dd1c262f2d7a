/* Supernets as an accelerator sees them: the layers of a cell are those of its choice, whatever its
 * neighbours are, and all of a path's add up to it. */
#include <string.h>

#include "accel/cases.h"
#include "accel/layer.h"
#include "base/rng.h"
#include "nn/supernet.h"
#include "support/suite.h"

enum { MAX = 64 };

static const dfqi_supernet_space *const spaces[] = {&dfqi_super_cifar_small, &dfqi_super_cifar_full,
                                                    &dfqi_super_vit_small, &dfqi_super_vit_tiny};
enum { SPACES = sizeof spaces / sizeof *spaces };

typedef struct path {
    int32_t choice[DFQI_SUPER_CELLS], span[DFQI_SUPER_CELLS][2];
    dfqi_graph *g;
} path;

static path make(dfq_context *ctx, const dfqi_supernet *net, int seed)
{
    path p = {.g = NULL};
    dfqi_rng r = dfqi_rng_make(5, (uint64_t)seed);
    for (int32_t c = 0; c < net->n_cells; c++)
        p.choice[c] = (int32_t)dfqi_rng_below(&r, (uint32_t)dfqi_supernet_choices(net, c));
    ck_assert_int_eq(dfqi_super_graph(ctx, &net->space, p.choice, &p.g, p.span), DFQ_OK);
    return p;
}

/* Layers of the nodes from .. to - 1. */
static int32_t list(const dfqi_graph *g, int32_t from, int32_t to, dfqi_layer *out)
{
    int32_t n = 0;
    for (int32_t i = from; i < to; i++) {
        ck_assert_int_lt(n, MAX);
        n += dfqi_layer_of_node(g, &g->nodes[i], &out[n]);
    }
    return n;
}

START_TEST(layers_add_up_to_the_path)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net;
    ck_assert_int_eq(dfqi_supernet_new(ctx, spaces[_i], NULL, 1, &net), DFQ_OK);
    for (int seed = 0; seed < 4; seed++) {
        path p = make(ctx, &net, seed);
        double macs = 0, told;
        for (int32_t i = 0; i < p.g->n_nodes; i++) {
            dfqi_layer l;
            if (dfqi_layer_of_node(p.g, &p.g->nodes[i], &l)) macs += dfqi_layer_macs(&l);
        }
        ck_assert_int_eq(dfqi_supernet_macs(&net, p.choice, &told), DFQ_OK);
        ck_assert_double_eq(macs, told);
        for (int32_t c = 0; c < net.n_cells; c++) { /* in order, and empty if left out */
            ck_assert_int_eq(p.span[c][1] > p.span[c][0], p.choice[c] < net.space.n_choices);
            for (int32_t d = 0; d < c; d++)
                ck_assert(!p.span[c][1] || p.span[d][1] <= p.span[c][0]);
        }
        dfqi_graph_free(p.g);
    }
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(layers_of_a_cell_are_its_choices)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_supernet net;
    int same = 0;
    ck_assert_int_eq(dfqi_supernet_new(ctx, spaces[_i], (int32_t[DFQI_SUPER_CELLS]){0}, 1, &net),
                     DFQ_OK);
    path p = make(ctx, &net, 0);
    for (int seed = 1; seed < 30; seed++) {
        path q = make(ctx, &net, seed);
        for (int32_t c = 0; c < net.n_cells; c++) {
            dfqi_layer a[MAX], b[MAX];
            if (p.choice[c] != q.choice[c]) continue;
            int32_t n = list(p.g, p.span[c][0], p.span[c][1], a);
            ck_assert_int_eq(n, list(q.g, q.span[c][0], q.span[c][1], b));
            ck_assert_mem_eq(a, b, (size_t)n * sizeof *a);
            same++;
        }
        dfqi_graph_free(q.g);
    }
    ck_assert_int_gt(same, 0);
    dfqi_graph_free(p.g);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* A stage of one block, width 64, 2 heads of 32, ratio 3, 64 tokens of 64 channels. */
START_TEST(a_stage_has_the_layers_of_its_blocks)
{
    enum { ROWS = DFQI_LAYER_ROWS };
    static const int64_t want[16][4] = {
        /* kind; heads, inner extent, columns; or effort, elements */
        {ROWS, 4, 64 * 64}, {0, 1, 64, 64},         {ROWS, 4, 64 * 64}, {0, 1, 64, 192},
        {0, 2, 32, 64},     {ROWS, 8, 2 * 64 * 64}, {0, 2, 64, 32},     {0, 1, 64, 64},
        {ROWS, 1, 64 * 64}, {ROWS, 4, 64 * 64},     {0, 1, 64, 192},    {ROWS, 4, 64 * 192},
        {0, 1, 192, 64},    {ROWS, 1, 64 * 64},     {0, 1, 64, 64},     {ROWS, 1, 64 * 64}};
    static const int32_t only[3] = {24, 11, 24};
    dfq_context *ctx = dfqt_context(1);
    dfqi_graph *g;
    dfqi_layer have[MAX];
    int32_t span[3][2];
    ck_assert_int_eq(dfqi_super_graph(ctx, &dfqi_super_vit_small, only, &g, span), DFQ_OK);
    ck_assert_int_eq(list(g, span[1][0], span[1][1], have), 16);
    for (int i = 0; i < 16; i++) {
        const int64_t *d = have[i].dim;
        ck_assert_int_eq(have[i].kind, want[i][0]);
        if (have[i].kind == ROWS) {
            ck_assert_int_eq(have[i].effort, want[i][1]);
            ck_assert_int_eq(d[DFQI_DIM_P], want[i][2]);
            continue;
        }
        ck_assert_int_eq(d[DFQI_DIM_G], want[i][1]);
        ck_assert_int_eq(d[DFQI_DIM_C], want[i][2]);
        ck_assert_int_eq(d[DFQI_DIM_M], want[i][3]);
        ck_assert_int_eq(d[DFQI_DIM_P], 64);
    }
    dfqi_graph_free(g);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_supernet_case(void)
{
    TCase *c = tcase_create("supernet");
    tcase_add_loop_test(c, layers_add_up_to_the_path, 0, SPACES);
    tcase_add_loop_test(c, layers_of_a_cell_are_its_choices, 0, SPACES);
    tcase_add_test(c, a_stage_has_the_layers_of_its_blocks);
    return c;
}
