/* Speed of zero-shot quantization of a CNN: one iteration makes a batch, trains the generator
 * against the float network, and the W4A4 student by KL with gradient inundation (AIT). Usage:
 * bench_ait MODEL.safetensors [batch] [threads] [iterations]; best and mean of the iterations
 * behind the first two; the machine should be idle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/progress.h"
#include "tune/tune.h"

static dfq_context *ctx;

static void must(dfq_status status)
{
    if (status == DFQ_OK) return;
    fprintf(stderr, "bench_ait: %s\n", ctx->error);
    exit(1);
}

static dfqi_model *student_of(const dfqi_model *teacher)
{
    dfqi_scheme scheme;
    dfqi_network net;
    dfqi_model *student;
    /* grids that follow, as a student without images has them */
    const dfqi_grids grids = {.weight_grid = DFQI_WEIGHT_GRID_MINMAX_ASYM,
                              .act_grid = DFQI_ACT_GRID_MINMAX};
    must(dfqi_scheme_new_with(&teacher->net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0}, grids,
                              &scheme));
    must(dfqi_network_clone(&teacher->net, &net));
    must(dfqi_model_new(&net, &scheme, &student));
    return student;
}

int main(int argc, char **argv)
{
    dfq_context_options c;
    dfqi_generator_options h;
    dfqi_tune_options o;
    dfqi_tune_cost cost;
    dfqi_model *teacher, *student;
    dfqi_tune *t;
    int32_t finished;
    int iterations = argc > 4 ? atoi(argv[4]) : 10;
    double best = INFINITY, sum = 0;
    if (argc < 2 || iterations < 1) {
        fprintf(stderr, "usage: bench_ait MODEL.safetensors [batch] [threads] [iterations]\n");
        return 2;
    }
    dfq_context_options_init(&c, sizeof c);
    c.threads = argc > 3 ? atoi(argv[3]) : 0;
    if (dfq_context_create(&c, &ctx) != DFQ_OK) return 1;
    must(dfqi_model_load(ctx, argv[1], NULL, &teacher));
    student = student_of(teacher);
    dfqi_generator_trainer_defaults(&h);
    h.kind = DFQI_GENERATOR_GDFQ; /* as the peer */
    h.batch = argc > 2 ? atoi(argv[2]) : 200;
    dfqi_tune_recipe(DFQ_RECIPE_AIT,
                     &(dfqi_recipe_case){.classes = teacher->net.arch.classes, .steps = 1000}, &o);
    o.warmup_steps = o.range_steps = 1; /* the first iteration sets the ranges */
    must(dfqi_tune_new_with_generator(teacher, student, &h, &o, &t));
    must(dfqi_tune_estimate(t, &cost));
    for (int i = 0; i < iterations + 2; i++) {
        double start = dfqi_now();
        must(dfqi_tune_step(t, &finished));
        if (i < 2) continue;
        sum += dfqi_now() - start;
        best = fmin(best, dfqi_now() - start);
    }
    printf(
        "%s, batch %d, %d threads: best %.3f s, mean %.3f s an iteration, %.1f GFLOPS, %.0f MB\n",
        teacher->net.arch.name, (int)h.batch, (int)ctx->threads, best, sum / iterations,
        2e-9 * cost.macs / best, cost.bytes * 1e-6);
    dfqi_tune_release(t);
    dfqi_model_release(student);
    dfqi_model_release(teacher);
    dfq_context_release(ctx);
    return 0;
}
