/* The tiny space: see coexplore_scene.h. */
#include "explore/coexplore_scene.h"
#include "explore/coexplore/search_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/rng.h"

/* MBConv cells, of which 0, 1 and 3 may be left out, and stages of vision transformers. */
static const dfqi_supernet_space tiny[2] = {{.name = "tiny",
                                             .image = 8,
                                             .classes = 3,
                                             .stem = 4,
                                             .first = 4,
                                             .head = 8,
                                             .n_stages = 2,
                                             .n_choices = 2,
                                             .stages = {{4, 2, 1}, {6, 2, 2}},
                                             .choices = {{3, 2}, {5, 3}}},
                                            {.name = "tiny transformer",
                                             .family = DFQI_SUPER_VIT,
                                             .n_stages = CELLS,
                                             .n_choices = 2,
                                             .image = 8,
                                             .classes = 3,
                                             .vit = {.patch = 4,
                                                     .tokens = 6,
                                                     .head = 3,
                                                     .optional = 1,
                                                     .width = {2, {4, 7}},
                                                     .depth = {1, {1}},
                                                     .heads = {1, {1}},
                                                     .ratio = {1, {2}}}}};
static const int32_t choices[2][CELLS + HW_PARAMS] = {{3, 3, 2, 3, 3, 2}, {3, 3, 3, 3, 3, 2}};

void dfqt_scene_file(char *out)
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

/* Larger choices cost more, larger accelerators less time and more area. */
void dfqt_scene_make(int family, dfqt_scene *s)
{
    static const double work[3] = {1, 3, 0};
    const int32_t *of = choices[family];
    int32_t total = of[0] + of[1] + of[2] + of[3];
    memset(s, 0, sizeof *s);
    for (int k = 0; k < CONFIGS; k++) {
        s->base[2 * CONFIGS + k] = 1 + k;
        for (int c = 0, i = 0; c < CELLS; c++)
            for (int j = 0; j < of[c]; j++, i++) {
                s->cost[i * CONFIGS + k] = work[j] / (1 + 0.3 * k);
                s->cost[(total + i) * CONFIGS + k] = work[j] * (1 + 0.1 * k);
            }
    }
    s->space = (dfqi_coexplore_tables){.net = &tiny[family],
                                       .n_hw_params = HW_PARAMS,
                                       .n_metrics = DFQI_SEARCH_SPACE_METRICS,
                                       .metrics = dfqi_search_space_metrics,
                                       .choices = of,
                                       .cost = s->cost,
                                       .base = s->base,
                                       .reference = s->reference};
    for (int m = 0; m < 3; m++) s->reference[m] = 3;
    s->limits[0] = (dfq_constraint){sizeof(dfq_constraint), DFQ_EXPLORE_LATENCY, 4};
    s->limits[1] = (dfq_constraint){sizeof(dfq_constraint), DFQ_EXPLORE_AREA, 4.5};
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
    s->solver.steps = 5;
    s->solver.snapshot_every = 2;
    s->solver.learning_rate = s->solver.hw_learning_rate = 0.3;
    dfqt_scene_file(s->images);
    dfqt_scene_file(s->file);
    write_images(s->images);
}

void dfqt_scene_done(const dfqt_scene *s)
{
    remove(s->images);
    remove(s->file);
}

dfq_status dfqt_scene_create(dfq_context *ctx, const dfqt_scene *s, dfqi_coexplore **out)
{
    dfqi_dataset *d;
    dfq_status status = dfqi_dataset_open(ctx, s->images, 3, &d);
    if (status != DFQ_OK) return status;
    status = dfqi_coexplore_new(ctx, &s->space, d, s->limits, 2, &s->o, &s->solver, out);
    dfqi_dataset_release(d);
    return status;
}

dfq_context *dfqt_scene_context(int32_t threads)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = threads};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

/* The bits of a job: its result, estimates, curves, and the weights of the derived network. */
uint64_t dfqt_scene_bits(dfqi_coexplore *e, const dfqt_scene *s)
{
    dfqi_coexplore_info r;
    dfq_tensor *t[5] = {NULL};
    uint64_t sum = 1469598103934665603U;
    ck_assert_int_eq(dfqi_coexplore_result(e, &r), DFQ_OK);
    ck_assert_int_eq(r.stage, DFQI_EXPLORE_STAGES);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
    ck_assert_int_eq(dfqi_coexplore_effects(e, &t[0]), DFQ_OK);
    ck_assert_int_eq(dfqi_solver_trajectory(dfqi_coexplore_solver(e), &t[1]), DFQ_OK);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(dfqi_coexplore_losses(e, i, &t[2 + i]), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_save_network(e, s->file), DFQ_OK);
    for (int i = 0; i < 5; i++) {
        const unsigned char *v = t[i]->data;
        for (size_t k = 0; k < dfq_tensor_get_bytes(t[i]); k++) sum = (sum ^ v[k]) * 1099511628211U;
        dfq_tensor_release(t[i]);
    }
    FILE *f = fopen(s->file, "rb");
    ck_assert_ptr_nonnull(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) sum = (sum ^ (uint64_t)c) * 1099511628211U;
    fclose(f);
    return sum;
}
