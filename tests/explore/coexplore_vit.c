/* A co-exploration of a tiny space of vision transformers, by its own cost tables. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "explore/cases.h"
#include "explore/coexplore/coexplore.h"
#include "explore/coexplore/search_space.h"
#include "support/fail_alloc.h"

enum { CELLS = 2, N = 60, RECORD = 3073, UNITS = 6 + 3 * 2 + 5 + 4 };

static const dfqi_supernet_space vit = {.name = "tiny-vit",
                                        .family = DFQI_SUPER_VIT,
                                        .n_stages = CELLS,
                                        .n_choices = 8,
                                        .image = 8,
                                        .classes = 3,
                                        .vit = {.patch = 4,
                                                .tokens = 8,
                                                .head = 4,
                                                .optional = 1,
                                                .width = {2, {8, 12}},
                                                .depth = {2, {1, 2}},
                                                .heads = {1, {2}},
                                                .ratio = {2, {1, 2}}}};
static const char accelerators[] =
    "{\"pe_x\": [2, 4], \"pe_y\": [2, 4], \"rf_words\": 16, \"dataflow\": [\"ws\", \"rs\"],"
    " \"pe_type\": \"fixed\", \"word_bits\": 16, \"psum_bits\": 16, \"glb_kb\": 8,"
    " \"clock_mhz\": 200, \"dram_gb_per_s\": 3.2, \"glb_gb_per_s\": 25.6}";
enum { CONFIGS = 8 };

static dfq_context *context(int32_t threads)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = threads};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static dfqi_search_space space_of(dfq_context *ctx)
{
    dfqi_search_space s = {.net = vit};
    ck_assert_int_eq(
        dfqi_accel_space_parse(ctx, "small", accelerators, sizeof accelerators - 1, &s.accel),
        DFQ_OK);
    dfqi_accel_space_config(&s.accel, 0, &s.base);
    return s;
}

/* What a path costs by the tables. */
static double by_table(const dfqi_search_space_costs *c, const int32_t *path, int metric,
                       int config)
{
    int32_t rows = 0, at = 0;
    double sum = c->base[metric * CONFIGS + config];
    for (int32_t i = 0; i < c->n_cells; i++) rows += c->choices[i];
    for (int32_t i = 0; i < c->n_cells; i++) {
        sum += c->cost[(metric * rows + at + path[i]) * CONFIGS + config];
        at += c->choices[i];
    }
    return sum;
}

/* -- tables ------------------------------------------------------------------------------------ */

static dfq_status tabulate(dfq_context *ctx, void *arg)
{
    dfqi_search_space_costs c;
    dfq_status status = dfqi_search_space_costs_new(ctx, arg, &c);
    if (status == DFQ_OK) dfqi_search_space_costs_fini(&c);
    return status;
}

START_TEST(refused_allocations_leave_nothing)
{
    dfq_context *ctx = context(1);
    dfqi_search_space s = space_of(ctx);
    dfq_context_release(ctx);
    fail_alloc_sweep(tabulate, &s, 1);
}
END_TEST

/* -- a job ------------------------------------------------------------------------------------- */

typedef struct scene {
    dfqi_search_space s;
    dfqi_search_space_costs costs;
    dfq_constraint limits[2];
    dfq_explorer_options o;
    dfq_solver_options solver;
    char images[64], file[64];
} scene;

static void name_file(char *out)
{
    strcpy(out, "/tmp/dfq-coexplore-XXXXXX");
    int fd = mkstemp(out);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

/* CIFAR-10 records: the class is the colour that is bright. */
static void write_images(const char *path)
{
    static unsigned char record[RECORD];
    dfqi_rng r = dfqi_rng_make(11, 0);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < N; i++) {
        record[0] = (unsigned char)(i % 3);
        for (int k = 1; k < RECORD; k++)
            record[k] =
                (unsigned char)(dfqi_rng_below(&r, 128) + ((k - 1) / 1024 == i % 3 ? 90 : 0));
        ck_assert_uint_eq(fwrite(record, 1, RECORD, f), RECORD);
    }
    fclose(f);
}

/* Three tenths of what the largest network takes on the smallest accelerator; not the largest
 * one. */
static void make(dfq_context *ctx, scene *s)
{
    static const int32_t largest[CELLS] = {7, 7};
    memset(s, 0, sizeof *s);
    s->s = space_of(ctx);
    ck_assert_int_eq(dfqi_search_space_costs_new(ctx, &s->s, &s->costs), DFQ_OK);
    s->limits[0] = (dfq_constraint){sizeof(dfq_constraint), DFQ_EXPLORE_LATENCY,
                                    0.3 * by_table(&s->costs, largest, 0, 0)};
    s->limits[1] = (dfq_constraint){sizeof(dfq_constraint), DFQ_EXPLORE_AREA,
                                    0.99 * by_table(&s->costs, largest, 2, CONFIGS - 1)};
    dfqi_coexplore_defaults(&s->o);
    dfqi_solver_defaults(&s->solver);
    s->o.warmup_steps = 6;
    s->o.weight_steps = 2;
    s->o.sampled_paths = 3;
    s->o.solver_steps = 2;
    s->o.train_steps = 4;
    s->o.batch = 6;
    s->o.max_shift = 1;
    s->o.seed = 4;
    s->o.fine_tune = 1;
    s->solver.steps = 5;
    s->solver.snapshot_every = 2;
    s->solver.learning_rate = s->solver.hw_learning_rate = 0.3;
    name_file(s->images);
    name_file(s->file);
    write_images(s->images);
}

static void done(scene *s)
{
    dfqi_search_space_costs_fini(&s->costs);
    remove(s->images);
    remove(s->file);
}

static dfqi_coexplore *create(dfq_context *ctx, const scene *s)
{
    dfqi_coexplore_tables space = {.net = &s->s.net,
                                   .n_hw_params = s->costs.n_hw_params,
                                   .n_metrics = DFQI_SEARCH_SPACE_METRICS,
                                   .metrics = dfqi_search_space_metrics,
                                   .choices = s->costs.choices,
                                   .cost = s->costs.cost,
                                   .base = s->costs.base,
                                   .reference = s->costs.reference};
    dfqi_coexplore *e;
    dfqi_dataset *d;
    ck_assert_int_eq(dfqi_dataset_open(ctx, s->images, 3, &d), DFQ_OK);
    ck_assert_msg(dfqi_coexplore_new(ctx, &space, d, s->limits, 2, &s->o, &s->solver, &e) == DFQ_OK,
                  "%s", dfq_context_get_error(ctx));
    dfqi_dataset_release(d);
    return e;
}

/* The derived network, and what it and its accelerator cost. */
static uint64_t bits(dfqi_coexplore *e, const scene *s)
{
    dfqi_coexplore_info r;
    uint64_t sum = 1469598103934665603U;
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.stage, DFQI_EXPLORE_STAGES);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
    ck_assert_double_le(r.costs[DFQ_EXPLORE_LATENCY], s->limits[0].limit);
    ck_assert_double_le(r.costs[DFQ_EXPLORE_AREA], s->limits[1].limit);
    ck_assert_int_eq(dfqi_coexplore_save_network(e, s->file), DFQ_OK);
    FILE *f = fopen(s->file, "rb");
    ck_assert_ptr_nonnull(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) sum = (sum ^ (uint64_t)c) * 1099511628211U;
    fclose(f);
    return sum;
}

/* Stopped after each step in turn, the second half on another number of threads. */
START_TEST(interruptions_and_threads_leave_no_trace)
{
    scene s;
    int32_t finished;
    uint64_t whole = 0;
    dfq_context *one = context(1), *two = context(2);
    make(one, &s);
    for (int stop = 0; stop <= UNITS; stop++) {
        dfqi_coexplore *first = create(one, &s), *second = create(two, &s);
        for (int i = 0; i < stop; i++)
            ck_assert_int_eq(dfqi_coexplore_step(first, &finished), DFQ_OK);
        ck_assert_int_eq(dfqi_coexplore_save(first, s.file), DFQ_OK);
        ck_assert_msg(dfqi_coexplore_restore(second, s.file) == DFQ_OK, "%s",
                      dfq_context_get_error(two));
        ck_assert_int_eq(dfqi_coexplore_run(second), DFQ_OK);
        uint64_t sum = bits(second, &s);
        if (stop == 0) whole = sum;
        ck_assert_msg(sum == whole, "stopped after %d steps", stop);
        dfqi_coexplore_release(first);
        dfqi_coexplore_release(second);
    }
    dfq_context_release(two);
    done(&s);
    dfq_context_release(one);
}
END_TEST

START_TEST(a_longer_job_learns_its_pictures)
{
    scene s;
    dfqi_accuracy acc;
    dfqi_dataset *d;
    dfq_context *ctx = context(1);
    make(ctx, &s);
    s.o.train_steps = 400;
    s.o.train_learning_rate = 0.01;
    s.o.batch = 12;
    dfqi_coexplore *e = create(ctx, &s);
    ck_assert_int_eq(dfqi_coexplore_run(e), DFQ_OK);
    ck_assert_int_eq(dfqi_dataset_open(ctx, s.images, 3, &d), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_evaluate(e, d, &acc), DFQ_OK);
    ck_assert_msg(acc.correct > N * 9 / 10, "%d of %d right", (int)acc.correct, N);
    dfqi_dataset_release(d);
    dfqi_coexplore_release(e);
    done(&s);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_coexplore_vit_case(void)
{
    TCase *c = tcase_create("coexplore_vit");
    tcase_add_test(c, refused_allocations_leave_nothing);
    tcase_add_test(c, interruptions_and_threads_leave_no_trace);
    tcase_add_test(c, a_longer_job_learns_its_pictures);
    return c;
}
