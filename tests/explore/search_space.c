/* Costs of a search space against those of whole paths, and the public handle on it. */
#include "explore/coexplore/search_space.h"

#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "explore/cases.h"

enum { MAX = 256, IMAGES = 20, RECORD = 3073 };

static const char accelerator_json[] =
    "{\"pe_x\": [8, 12], \"pe_y\": 8, \"rf_words\": [16, 64], \"dataflow\": [\"ws\", \"os\"],"
    " \"pe_type\": \"fixed\", \"word_bits\": 16, \"psum_bits\": 16, \"glb_kb\": 108,"
    " \"clock_mhz\": 200, \"dram_gb_per_s\": 3.2, \"glb_gb_per_s\": 25.6}";

static void write_file(char *name, const void *bytes, size_t size)
{
    strcpy(name, "/tmp/dfq-space-XXXXXX");
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* Milliseconds and millijoules of all layers of a path on accelerator `config`. */
static void cost_path(dfq_context *ctx, const dfqi_search_space *s, const int32_t *path,
                      int64_t config, double out[2])
{
    int32_t span[DFQI_SUPER_CELLS][2], n = 0, attentions = 0, number[1024];
    dfqi_layer layers[MAX];
    dfqi_attention_pair attention[MAX];
    dfqi_graph *g;
    dfqi_table t;
    out[0] = out[1] = 0;
    ck_assert_int_eq(dfqi_super_graph(ctx, &s->net, path, &g, span), DFQ_OK);
    ck_assert_int_le(g->n_nodes, 1024);
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const int32_t scores = dfqi_scores_of_node(g, &g->nodes[i]);
        ck_assert_int_lt(n, MAX);
        number[i] = n;
        if (scores >= 0) attention[attentions++] = (dfqi_attention_pair){number[scores], n};
        n += dfqi_layer_of_node(g, &g->nodes[i], &layers[n]);
    }
    dfqi_graph_free(g);
    const dfqi_shapes shapes = {n, attentions, layers, attention};
    ck_assert_int_eq(attentions > 0, s->net.family != DFQI_SUPER_MBCONV);
    ck_assert_int_eq(dfqi_table_new(ctx, &s->accel, &shapes, NULL, "path", &t), DFQ_OK);
    for (int32_t i = 0; i < n + attentions; i++) {
        out[0] += dfqi_cycles_ms(t.cycles[i * t.n_configs + config], s->accel.clock_mhz);
        out[1] += t.pj[i * t.n_configs + config] * 1e-9;
    }
    dfqi_table_fini(&t);
}

/* 12 x 8 elements, 64 words, weight-stationary where row-stationary is not to be had: number 6 of
 * 8. */
static void check_reference(dfq_context *ctx, const dfqi_search_space *s,
                            const dfqi_search_space_costs *c)
{
    int32_t choice[DFQI_SUPER_CELLS + DFQI_SEARCH_SPACE_HW_PARAMS];
    char name[DFQI_SUPER_CHOICE_NAME];
    double want[2];
    dfqi_search_space_reference(s, c->n_cells, choice);
    for (int32_t i = 0; i < c->n_cells; i++) {
        dfqi_super_choice_name(&s->net, choice[i], name);
        ck_assert_str_eq(name, s->net.family == DFQI_SUPER_MBCONV ? "k5e6" : "w64d1h2r3");
    }
    cost_path(ctx, s, choice, 6, want);
    for (int m = 0; m < 2; m++)
        ck_assert_double_le(fabs(c->reference[m] - want[m]), 1e-9 * want[m]);
    ck_assert_double_eq(c->reference[2], c->base[2 * 8 + 6]);
}

/* The very design, where the space has it. */
START_TEST(reference_design_of_the_published_space)
{
    dfq_context *ctx = dfqt_explore_context();
    dfqi_search_space s;
    dfqi_accel_config t;
    int32_t choice[DFQI_SUPER_CELLS + DFQI_SEARCH_SPACE_HW_PARAMS];
    int64_t config = 0;
    ck_assert_int_eq(dfqi_search_space_read(ctx, "cifar10-full", "hdx-space", &s), DFQ_OK);
    dfqi_search_space_reference(&s, 21, choice);
    const int32_t sizes[DFQI_SEARCH_SPACE_HW_PARAMS] = {17, 17, 5, 3, 1, 1};
    for (int i = 0; i < DFQI_SEARCH_SPACE_HW_PARAMS; i++)
        config = config * sizes[i] + choice[21 + i];
    dfqi_accel_space_config(&s.accel, config, &t);
    ck_assert_int_eq(t.pe_x, 16);
    ck_assert_int_eq(t.pe_y, 16);
    ck_assert_int_eq(t.rf_words, 64);
    ck_assert_int_eq(t.dataflow, DFQI_FLOW_RS);
    ck_assert_double_eq(t.glb_kb, 108);
    for (int i = 0; i < 21; i++) {
        ck_assert_int_eq(s.net.choices[choice[i]].kernel, 5);
        ck_assert_int_eq(s.net.choices[choice[i]].expand, 6);
    }
    dfq_context_release(ctx);
}
END_TEST

/* MB of a path's weights, as a file has them. */
static double path_mb(dfq_context *ctx, const dfqi_search_space *s, const int32_t *path)
{
    dfqi_supernet net;
    double bytes = 0;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &s->net, path, 1, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++)
            if (net.layers[i].t[k]) bytes += 4.0 * (double)dfqi_tensor_count(net.layers[i].t[k]);
    dfqi_supernet_fini(&net);
    return bytes / 1e6;
}

/* With a limit of power, tables have the size of weights and the row of power, too. */
START_TEST(size_and_power_add_up_to_the_path)
{
    enum { LATENCY, ENERGY, AREA, SIZE, POWER, CONFIGS = 8 };
    dfq_context *ctx = dfqt_explore_context();
    dfqi_search_space s;
    dfqi_search_space_costs c;
    char file[64];
    int32_t path[DFQI_SUPER_CELLS];
    size_t total = 0;
    double least = INFINITY, most = 0;
    dfqi_rng r = dfqi_rng_make(3, 2);
    write_file(file, accelerator_json, sizeof accelerator_json - 1);
    const char *name = _i ? dfqi_super_vit_small.name : dfqi_super_cifar_small.name;
    ck_assert_int_eq(dfqi_search_space_read(ctx, name, file, &s), DFQ_OK);
    s.power_mw = 150;
    ck_assert_int_eq(dfqi_search_space_costs_new(ctx, &s, &c), DFQ_OK);
    ck_assert_int_eq(c.n_metrics, 5);
    for (int32_t i = 0; i < c.n_cells; i++) total += (size_t)c.choices[i];
    for (size_t config = 0; config < CONFIGS; config++) {
        double sum[5];
        for (size_t m = 0; m < 5; m++) sum[m] = c.base[m * CONFIGS + config];
        size_t at = 0;
        for (int32_t i = 0; i < c.n_cells; at += (size_t)c.choices[i++]) {
            path[i] = (int32_t)dfqi_rng_below(&r, (uint32_t)c.choices[i]);
            for (size_t m = 0; m < 5; m++)
                sum[m] += c.cost[(m * total + at + (size_t)path[i]) * CONFIGS + config];
        }
        ck_assert_double_eq_tol(sum[SIZE], path_mb(ctx, &s, path), 1e-9);
        ck_assert_double_eq_tol(sum[POWER] - c.power_limit, sum[ENERGY] - 0.150 * sum[LATENCY],
                                1e-9 * sum[ENERGY]);
        least = fmin(least, sum[SIZE]);
        most = fmax(most, sum[SIZE]);
    }
    ck_assert_double_lt(least, most);
    dfqi_search_space_costs_fini(&c);
    remove(file);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(costs_of_choices_add_up_to_the_path)
{

    dfq_context *ctx = dfqt_explore_context();
    dfqi_search_space s;
    dfqi_search_space_costs c;
    char file[64];
    int32_t path[DFQI_SUPER_CELLS], total = 0, at = 0;
    dfqi_rng r = dfqi_rng_make(3, 1);
    write_file(file, accelerator_json, sizeof accelerator_json - 1);
    const char *name = _i ? dfqi_super_vit_small.name : dfqi_super_cifar_small.name;
    ck_assert_msg(dfqi_search_space_read(ctx, name, file, &s) == DFQ_OK, "%s",
                  dfq_context_get_error(ctx));
    ck_assert_int_eq(dfqi_search_space_costs_new(ctx, &s, &c), DFQ_OK);
    ck_assert_int_eq(c.choices[c.n_cells], 2);
    ck_assert_int_eq(c.choices[c.n_cells + 2], 2);
    for (int32_t i = 0; i < c.n_cells; i++) total += c.choices[i];
    for (int64_t config = 0; config < 8; config += 5) {
        double want[2], have[2] = {c.base[config], c.base[8 + config]};
        for (int32_t i = at = 0; i < c.n_cells; at += c.choices[i++]) {
            path[i] = (int32_t)dfqi_rng_below(&r, (uint32_t)c.choices[i]);
            for (int m = 0; m < 2; m++) have[m] += c.cost[(m * total + at + path[i]) * 8 + config];
        }
        cost_path(ctx, &s, path, config, want);
        for (int m = 0; m < 2; m++)
            ck_assert_double_le(fabs(have[m] - want[m]), 1e-9 * fabs(want[m]));
    }
    ck_assert_double_gt(c.base[2 * 8 + 7], c.base[2 * 8]);
    check_reference(ctx, &s, &c);
    dfqi_search_space_costs_fini(&c);
    ck_assert_int_eq(dfqi_search_space_read(ctx, "no-space", file, &s), DFQ_E_INVALID);
    remove(file);
    dfq_context_release(ctx);
}
END_TEST

/* Noise, ten classes. */
static void write_images(char *name)
{
    static unsigned char bytes[IMAGES * RECORD];
    dfqi_rng r = dfqi_rng_make(2, 0);
    for (int i = 0; i < IMAGES * RECORD; i++)
        bytes[i] = (unsigned char)(i % RECORD ? (int)dfqi_rng_below(&r, 256) : i / RECORD % 10);
    write_file(name, bytes, sizeof bytes);
}

START_TEST(handles_tell_all_there_is)
{
    dfq_context *ctx = dfqt_explore_context();
    char file[64], images[64];
    dfq_dataset *d;
    dfq_explorer *e = NULL;
    dfq_explorer_options o;
    dfq_solver_options so;
    dfq_explorer_result r = {.struct_size = sizeof r};
    dfq_explorer_metric m = {.struct_size = sizeof m};
    dfq_accelerator_config a = {.struct_size = sizeof a};
    dfq_accuracy acc = {.struct_size = sizeof acc};
    dfq_tensor *t;
    dfq_accelerator *accel;
    dfq_constraint limit = {sizeof(dfq_constraint), DFQ_EXPLORE_AREA, 3};
    write_file(file, accelerator_json, sizeof accelerator_json - 1);
    write_images(images);
    dfq_explorer_options_init(&o, sizeof o);
    dfq_solver_options_init(&so, sizeof so);
    o.warmup_steps = 1;
    o.weight_steps = o.train_steps = 1;
    o.sampled_paths = o.batch = 2;
    so.steps = 1;
    ck_assert_int_eq(dfq_dataset_open(ctx, images, 10, &d), DFQ_OK);
    ck_assert_int_eq(dfq_accelerator_load(ctx, file, &accel), DFQ_OK);
    ck_assert_msg(dfq_explorer_create(ctx, "cifar10-small", accel, d, &limit, 1, &o, &so, &e) ==
                      DFQ_OK,
                  "%s", dfq_context_get_error(ctx));
    dfq_accelerator_release(accel); /* the job has copied it */
    ck_assert_int_eq(dfq_explorer_get_accelerator(e, &a), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_cells(e), 9);
    ck_assert_int_eq(dfq_explorer_get_groups(e), 15);
    ck_assert_int_eq(dfq_explorer_get_choices(e, 1), 7);
    ck_assert_str_eq(dfq_explorer_get_name(e, 1, -1), "cell 1");
    ck_assert_str_eq(dfq_explorer_get_name(e, 1, 3), "k5e6");
    ck_assert_str_eq(dfq_explorer_get_name(e, 1, 6), "skip");
    ck_assert_ptr_null(dfq_explorer_get_name(e, 0, 6)); /* its stride is 2 */
    ck_assert_str_eq(dfq_explorer_get_name(e, 9, 1), "12");
    ck_assert_str_eq(dfq_explorer_get_name(e, 12, -1), "dataflow");
    ck_assert_str_eq(dfq_explorer_get_name(e, 12, 1), "os");
    ck_assert_int_eq(dfq_explorer_run(e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
    ck_assert_int_eq(dfq_explorer_get_accelerator(e, &a), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_metrics(e), 3);
    ck_assert_str_eq(dfq_explorer_get_metric_name(e, DFQ_EXPLORE_AREA), "area_mm2");
    ck_assert_ptr_null(dfq_explorer_get_metric_name(e, 3));
    ck_assert_int_eq(dfq_explorer_get_metric(e, DFQ_EXPLORE_AREA, &m), DFQ_OK);
    ck_assert_double_eq(a.area_mm2, m.cost);
    ck_assert_double_eq(m.limit, 3);
    ck_assert_int_eq(dfq_explorer_get_metric(e, 3, &m), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_get_choice(e, 0, &t), DFQ_OK);
    const int32_t *choice = dfq_tensor_get_data(t);
    ck_assert_int_eq(a.pe_x, choice[9] ? 12 : 8);
    int32_t other[15];
    double costs[4] = {0, 0, 0, 7};
    memcpy(other, choice, sizeof other);
    ck_assert_int_eq(dfq_explorer_cost(e, other, 2, costs), DFQ_OK);
    ck_assert_double_eq(costs[2], 0);
    ck_assert_int_eq(dfq_explorer_cost(e, other, 3, costs), DFQ_OK);
    for (int32_t j = 0; j < 3; j++) {
        ck_assert_int_eq(dfq_explorer_get_metric(e, j, &m), DFQ_OK);
        ck_assert_double_eq(costs[j], m.cost);
    }
    ck_assert_double_eq(costs[3], 7);
    ck_assert_int_eq(dfq_explorer_cost(e, other, 4, costs), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_explorer_cost(e, other, 0, costs), DFQ_E_INVALID);
    other[9] = 2;
    ck_assert_int_eq(dfq_explorer_cost(e, other, 3, costs), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "choice 2 of pe_x, there are 0 to 1"));
    dfq_tensor_release(t);
    ck_assert_int_eq(dfq_explorer_evaluate(e, d, &acc), DFQ_OK);
    ck_assert_int_eq(acc.n, IMAGES);
    ck_assert_int_eq(acc.correct5, -1);
    dfq_explorer_release(e);
    dfq_explorer_release(NULL);
    dfq_dataset_release(d);
    remove(file);
    remove(images);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status explore(dfq_context *ctx, const char *file, const dfq_dataset *d,
                          const dfq_constraint *limits, int32_t n, int32_t evaluator,
                          dfq_explorer **out)
{
    dfq_explorer_options o;
    dfq_solver_options so;
    dfq_accelerator *accel;
    dfq_explorer_options_init(&o, sizeof o);
    dfq_solver_options_init(&so, sizeof so);
    o.warmup_steps = o.weight_steps = o.train_steps = 1;
    o.sampled_paths = o.batch = 2;
    o.evaluator = evaluator;
    so.rule = evaluator ? DFQ_RULE_CONSTRAINT_GRADIENT : DFQ_RULE_PROJECT;
    so.steps = 20;
    ck_assert_int_eq(dfq_accelerator_load(ctx, file, &accel), DFQ_OK);
    dfq_status status =
        dfq_explorer_create(ctx, "cifar10-small", accel, d, limits, n, &o, &so, out);
    dfq_accelerator_release(accel);
    return status == DFQ_OK ? dfq_explorer_run(*out) : status;
}

static dfq_explorer_metric metric_of(const dfq_explorer *e, int32_t metric)
{
    dfq_explorer_metric m = {.struct_size = sizeof m};
    ck_assert_int_eq(dfq_explorer_get_metric(e, metric, &m), DFQ_OK);
    return m;
}

/* Limits of both bind, and are told as power and size; the checkpoint of such a job is its own. */
START_TEST(limits_of_size_and_power)
{
    dfq_context *ctx = dfqt_explore_context();
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), DFQ_EXPLORE_SIZE, 1e3},
                                {sizeof(dfq_constraint), DFQ_EXPLORE_POWER, 1e6}};
    char file[64], images[64];
    dfq_dataset *d;
    dfq_explorer *e = NULL;
    write_file(file, accelerator_json, sizeof accelerator_json - 1);
    write_images(images);
    ck_assert_int_eq(dfq_dataset_open(ctx, images, 10, &d), DFQ_OK);
    ck_assert_int_eq(explore(ctx, file, d, limits, 1, 0, &e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_metrics(e), 4);
    dfq_explorer_release(e);
    ck_assert_int_eq(explore(ctx, file, d, limits, 2, 0, &e), DFQ_OK);
    ck_assert_int_eq(dfq_explorer_get_metrics(e), 5);
    ck_assert_str_eq(dfq_explorer_get_metric_name(e, DFQ_EXPLORE_POWER), "power_mw");
    for (int32_t j = 0; j < 2; j++) limits[j].limit = 0.9 * metric_of(e, limits[j].metric).cost;
    dfq_explorer_release(e);
    ck_assert_msg(explore(ctx, file, d, limits, 2, 0, &e) == DFQ_OK, "%s",
                  dfq_context_get_error(ctx));
    const double ms = metric_of(e, DFQ_EXPLORE_LATENCY).cost;
    const double mj = metric_of(e, DFQ_EXPLORE_ENERGY).cost;
    const dfq_explorer_metric mw = metric_of(e, DFQ_EXPLORE_POWER);
    ck_assert_double_eq_tol(mw.cost, 1000 * mj / ms, 1e-9 * mw.cost);
    ck_assert_double_eq(mw.limit, limits[1].limit);
    ck_assert_double_le(mw.cost, mw.limit * (1 + 1e-12));
    ck_assert_double_le(metric_of(e, DFQ_EXPLORE_SIZE).cost, limits[0].limit);
    dfq_explorer_release(e);
    limits[1].limit = 1;
    ck_assert_int_eq(explore(ctx, file, d, limits, 2, 0, &e), DFQ_E_INFEASIBLE);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "power_mw <= 1 ("));
    ck_assert_double_gt(metric_of(e, DFQ_EXPLORE_POWER).tightest, 1);
    dfq_explorer_release(e);
    e = NULL;
    ck_assert_int_eq(explore(ctx, file, d, limits, 2, DFQ_EVALUATOR_NETWORKS, &e), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "size and power need the tables"));
    limits[1].limit = -1;
    ck_assert_int_eq(explore(ctx, file, d, limits, 2, 0, &e), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "power_mw is -1"));
    dfq_dataset_release(d);
    remove(file);
    remove(images);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_space_case(void)
{
    TCase *c = tcase_create("space");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, reference_design_of_the_published_space);
    tcase_add_loop_test(c, costs_of_choices_add_up_to_the_path, 0, 2);
    tcase_add_loop_test(c, size_and_power_add_up_to_the_path, 0, 2);
    tcase_add_test(c, handles_tell_all_there_is);
    tcase_add_test(c, limits_of_size_and_power);
    return c;
}
