/* MimiQ's other modes (parity): weights from smallest to largest or with learned scales,
 * activations from the smallest to the largest of a batch. By hand, in files, and under the
 * tuner. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph/graph.h"
#include "quant/cases.h"
#include "tune/tune.h"

enum { LOGITS = DFQT_IMAGES * DFQT_CLASSES };

static const char layer[] = "blocks.1.mlp.fc1.weight";

typedef struct scene {
    dfq_context *ctx;
    dfqi_model *teacher, *student;
} scene;

static scene begin(dfqi_weight_grid_kind weights, dfqi_act_grid_kind acts, int32_t bits)
{
    scene s = {.ctx = dfqt_context(1)};
    ck_assert_int_eq(dfqt_teacher(s.ctx, &s.teacher), DFQ_OK);
    ck_assert_msg(dfqt_quantize_with(s.teacher, DFQI_MODE_PARITY, (dfqi_widths){bits, bits, 0},
                                     (dfqi_grids){.weight_grid = weights, .act_grid = acts},
                                     &s.student) == DFQ_OK,
                  "%s", s.ctx->error);
    return s;
}

static void end(scene *s)
{
    dfqi_model_release(s->teacher);
    dfqi_model_release(s->student);
    dfqi_context_release(s->ctx);
}

/* Learned scales begin at 2 mean |W| / sqrt(Qp), the mean over the whole weight. */
START_TEST(test_lsq_start)
{
    scene s = begin(DFQI_WEIGHT_GRID_LSQ, DFQI_ACT_GRID_LSQ, 4);
    const dfq_tensor *w = dfqi_network_find(&s.student->net, layer);
    const dfqi_site *site = dfqi_scheme_find(&s.student->scheme, layer);
    double mean = 0;
    int64_t n = dfqi_tensor_count(w);
    for (int64_t i = 0; i < n; i++) mean += fabs((double)dfqi_tensor_f32(w)[i]) / (double)n;
    ck_assert(site->kind == DFQI_SITE_WEIGHT && site->qmin == -8 && site->qmax == 7);
    ck_assert_int_eq(dfqi_tensor_count(site->scale), w->dims[0]);
    for (int64_t r = 0; r < w->dims[0]; r++)
        ck_assert_double_eq_tol((double)dfqi_tensor_f32(site->scale)[r], 2 * mean / sqrt(7), 1e-6);
    end(&s);
}
END_TEST

/* The gradient of a learned scale counts 1 / sqrt(numel Qp), numel of the whole weight, and what is
 * clipped has none. */
START_TEST(test_lsq_scale)
{
    scene s = begin(DFQI_WEIGHT_GRID_LSQ, DFQI_ACT_GRID_LSQ, 4);
    const dfqi_network *net = &s.student->net;
    dfqi_quant_pass pass;
    dfqi_taps taps = {0};
    dfqi_graph *g;
    dfqi_id ids[64];
    int found = 0;
    ck_assert_int_le(net->n_params, 64);
    ck_assert_int_eq(dfqi_graph_new(s.ctx, 2, &g), DFQ_OK);
    dfqi_id x = dfqi_graph_input(g, "image", 1, 3, (int64_t[]){3, 16, 16});
    dfqi_network_params(net, g, 0, ids);
    ck_assert_int_eq(dfqi_quant_pass_begin(&pass, g, &s.student->scheme, 0), DFQ_OK);
    dfqi_network_forward(net, g, ids, x, &taps);
    dfqi_quant_pass_end(&pass, g);
    int32_t site = (int32_t)(dfqi_scheme_find(&s.student->scheme, layer) - s.student->scheme.sites);
    double numel = (double)dfqi_tensor_count(dfqi_network_find(net, layer));
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        if (n->op != DFQI_OP_FQ_WEIGHT || n->in[2] != pass.scale[site]) continue;
        ck_assert_double_eq_tol((double)n->attr.f[0], 1 / sqrt(numel * 7), 1e-9);
        ck_assert_int_eq(n->attr.i[2], 1);
        found++;
    }
    ck_assert_int_eq(found, 1);
    dfqi_quant_pass_fini(&pass, s.ctx);
    dfqi_graph_free(g);
    end(&s);
}
END_TEST

/* Activations: the average with factor 0.9 over batches of 16 starts at the first; here there is
 * one, so the grid is that of its extremes: scale = (b - a) / 15, and nothing is clipped. */
START_TEST(test_ranges)
{
    scene s = begin(DFQI_WEIGHT_GRID_MINMAX, DFQI_ACT_GRID_MINMAX, 4);
    int maps = 0;
    for (int32_t i = 0; i < s.student->scheme.n_sites; i++) {
        const dfqi_site *site = &s.student->scheme.sites[i];
        if (dfqi_site_is_weight(site)) continue;
        const float *range = dfqi_tensor_f32(site->range);
        float scale = *dfqi_tensor_f32(site->scale),
              zero_point = *dfqi_tensor_f32(site->zero_point);
        ck_assert_int_eq(dfqi_tensor_count(site->scale), 1);
        ck_assert_float_eq_tol(scale, (range[1] - range[0]) / 15, 1e-6f * scale);
        ck_assert_float_eq_tol((site->qmin - zero_point) * scale, range[0], 0.51f * scale);
        ck_assert_float_eq_tol(range[2], 0.1f, 1e-6f); /* one batch, not the published average */
        maps += strstr(site->name, ".av.a") && range[0] >= 0 && range[1] <= 1;
    }
    ck_assert_int_eq(maps, 2);
    end(&s);
}
END_TEST

START_TEST(test_asymmetric)
{
    scene s = begin(DFQI_WEIGHT_GRID_MINMAX_ASYM, DFQI_ACT_GRID_LSQ, 4);
    const dfqi_site *site = dfqi_scheme_find(&s.student->scheme, layer);
    ck_assert(site->kind == DFQI_SITE_WEIGHT_MINMAX && site->follows && !site->scale);
    end(&s);
}
END_TEST

/* All six pairs: different students, and files that give their bits. */
START_TEST(test_files)
{
    char path[] = "/tmp/dfq-modes-XXXXXX";
    int fd = mkstemp(path);
    dfqi_weight_grid_kind weights = (dfqi_weight_grid_kind)(1 + _i % 3);
    dfqi_act_grid_kind acts = (dfqi_act_grid_kind)(1 + _i / 3);
    scene s = begin(weights, acts, 4);
    dfqi_model *r;
    float z[LOGITS], q[LOGITS], other[LOGITS];
    close(fd);
    dfqt_logits(s.student, z);
    ck_assert_int_eq(dfqi_model_save(s.student, path, 0), DFQ_OK);
    ck_assert_msg(dfqi_model_load(s.ctx, path, NULL, &r) == DFQ_OK, "%s", s.ctx->error);
    ck_assert(r->scheme.grids.weight_grid == weights && r->scheme.grids.act_grid == acts);
    dfqt_logits(r, q);
    ck_assert_mem_eq(z, q, sizeof z);
    remove(path);
    dfqi_model_release(r);
    end(&s);
    s = begin((dfqi_weight_grid_kind)(1 + (_i + 1) % 3), acts, 4);
    dfqt_logits(s.student, other);
    ck_assert_mem_ne(z, other, sizeof z);
    end(&s);
}
END_TEST

/* Learned scales of weights move; ranges of activations stay. */
START_TEST(test_tuned)
{
    scene s = begin(DFQI_WEIGHT_GRID_LSQ, DFQI_ACT_GRID_MINMAX, 4);
    const dfqi_site *w = dfqi_scheme_find(&s.student->scheme, layer);
    const dfqi_site *a = dfqi_scheme_find(&s.student->scheme, "blocks.1.mlp.fc1.input");
    float scale = *dfqi_tensor_f32(w->scale), range = *dfqi_tensor_f32(a->scale);
    dfqi_tune_options o;
    dfqi_tune *t;
    dfq_tensor *images, *curves;
    ck_assert_int_eq(
        dfqi_tensor_new(s.ctx, DFQI_F32, 4, (int64_t[]){DFQT_IMAGES, 3, 16, 16}, &images), DFQ_OK);
    dfqt_images(dfqi_tensor_f32(images));
    dfqi_tune_recipe(DFQ_RECIPE_MIMIQ_PARITY, &(dfqi_recipe_case){.steps = 0}, &o);
    o.steps = 30;
    o.batch = DFQT_IMAGES;
    o.augment = DFQI_AUGMENT_NONE;
    o.eval_every = 0;
    ck_assert_msg(dfqi_tune_new(s.teacher, s.student, images, &o, &t) == DFQ_OK, "%s",
                  s.ctx->error);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", s.ctx->error);
    ck_assert_int_eq(dfqi_tune_curves(t, &curves), DFQ_OK);
    const float *total = dfqi_tensor_f32(curves);
    ck_assert_float_lt(total[29 * DFQI_TUNE_LOSSES], total[0]);
    ck_assert(*dfqi_tensor_f32(w->scale) != scale && *dfqi_tensor_f32(a->scale) == range);
    dfqi_tensor_release(curves);
    dfqi_tune_release(t);
    dfqi_tensor_release(images);
    end(&s);
}
END_TEST

START_TEST(test_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize_with(t, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0},
                                        (dfqi_grids){.weight_grid = DFQI_WEIGHT_GRID_LSQ}, &s),
                     DFQ_E_UNSUPPORTED);
    ck_assert_str_eq(ctx->error, "grids of weights and activations are for mode parity of a vision "
                                 "transformer; mode improved has its own, leave them out");
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_modes_case(void)
{
    TCase *c = tcase_create("modes");
    tcase_add_test(c, test_lsq_start);
    tcase_add_test(c, test_lsq_scale);
    tcase_add_test(c, test_ranges);
    tcase_add_test(c, test_asymmetric);
    tcase_add_loop_test(c, test_files, 0, 6);
    tcase_add_test(c, test_tuned);
    tcase_add_test(c, test_refused);
    return c;
}
