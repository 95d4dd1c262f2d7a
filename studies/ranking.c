/* Does a warm supernet rank paths? Warms up the small CIFAR-10 space as explorers do (or reads one
 * that is warm), judges PATHS random paths in it, then trains each anew by itself.
 * Usage: study_ranking TRAIN.bin TEST.bin [warm steps | WARM.safetensors] [own steps] [rate]
 * [threads] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "nn/supernet_file.h"
#include "support.h"

enum { PATHS = 8, BATCH = 64, CALIBRATE = 8 };

typedef struct judged {
    int32_t path[DFQI_SUPER_CELLS];
    double macs, shared, own; /* right answers */
} judged;

/* `path` NULL: a quarter of the steps along the largest choices, the others uniformly. */
static dfq_status train(dfqi_supernet *net, const dfqi_super_data *data, const int32_t *path,
                        int64_t steps, double rate)
{
    dfqi_super_options o;
    dfqi_super_train *t;
    int32_t drawn[DFQI_SUPER_CELLS], largest[DFQI_SUPER_CELLS];
    double start = dfqi_now(), sum = 0;
    dfq_status status = DFQ_OK;
    dfqi_super_defaults(&o);
    o.batch = BATCH;
    o.steps = steps;
    o.learning_rate = (float)rate;
    dfqi_supernet_largest(net, largest);
    DFQI_TRY(dfqi_super_train_new(net, &o, &t));
    for (int64_t i = 0; i < steps && status == DFQ_OK; i++) {
        float loss = 0;
        dfqi_super_sample(net, NULL, o.seed, i, drawn);
        if (!path && i == steps / 4) status = dfqi_supernet_inherit(net, largest);
        if (status == DFQ_OK)
            status = dfqi_super_train_step(t, data,
                                           path            ? path
                                           : i < steps / 4 ? largest
                                                           : drawn,
                                           &loss);
        sum += (double)loss;
        if ((i + 1) % 250 != 0) continue;
        printf("step %d: mean loss %.3f, %.0f images/s\n", (int)i + 1, sum / 250,
               (double)((i + 1) * BATCH) / (dfqi_now() - start));
        fflush(stdout);
        sum = 0;
    }
    dfqi_super_train_release(t);
    return status;
}

static dfq_status judge(dfqi_supernet *net, const dfqi_super_data *data,
                        const dfqi_super_data *test, const int32_t *path, double *out)
{
    int64_t correct, not_finite;
    DFQI_TRY(dfqi_super_recalibrate(net, path, data, 125, CALIBRATE));
    DFQI_TRY(dfqi_super_evaluate(net, path, test, 125, &correct, &not_finite));
    *out = (double)correct;
    return DFQ_OK;
}

static double rank(const double *v, int32_t i)
{
    double r = 0;
    for (int32_t k = 0; k < PATHS; k++) r += v[k] < v[i] ? 1.0 : v[k] == v[i] && k != i ? 0.5 : 0.0;
    return r;
}

static double spearman(const double *a, const double *b)
{
    double middle = (PATHS - 1) / 2.0, ab = 0, aa = 0, bb = 0;
    for (int32_t i = 0; i < PATHS; i++) {
        double x = rank(a, i) - middle, y = rank(b, i) - middle;
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return ab / sqrt(aa * bb);
}

static void summary(const judged *j, const char *when)
{
    double macs[PATHS], shared[PATHS], own[PATHS];
    for (int32_t i = 0; i < PATHS; i++) {
        macs[i] = j[i].macs;
        shared[i] = j[i].shared;
        own[i] = j[i].own;
    }
    printf("%s: Spearman of shared and MACs %.2f, own and MACs %.2f, shared and own %.2f\n", when,
           spearman(shared, macs), spearman(own, macs), spearman(shared, own));
}

/* k3e3 alone, k7e6 alone, and random paths. */
static dfq_status choose(const dfqi_supernet *net, judged *j)
{
    for (int32_t i = 0; i < PATHS; i++) {
        dfqi_super_sample(net, NULL, 77, i, j[i].path);
        for (int32_t c = 0; c < net->n_cells && i < 2; c++) j[i].path[c] = i ? 5 : 0;
        DFQI_TRY(dfqi_supernet_macs(net, j[i].path, &j[i].macs));
    }
    return DFQ_OK;
}

static dfq_status study(dfq_context *ctx, const dfqi_super_data *data, const dfqi_super_data *test,
                        const char *warm, int64_t own, double rate)
{
    judged j[PATHS] = {0};
    dfqi_supernet net;
    DFQI_TRY(dfqi_supernet_new(ctx, &dfqi_super_cifar_small, NULL, 1, &net));
    dfq_status status = strstr(warm, ".safetensors") ? dfqi_supernet_load(&net, warm)
                                                     : train(&net, data, NULL, atoi(warm), rate);
    if (status == DFQ_OK) status = choose(&net, j);
    for (int32_t i = 0; i < PATHS && status == DFQ_OK; i++) {
        status = judge(&net, data, test, j[i].path, &j[i].shared);
        printf("%.2f M MACs: %.0f of %d right in the supernet\n", j[i].macs / 1e6, j[i].shared,
               (int)test->n);
    }
    dfqi_supernet_fini(&net);
    for (int32_t i = 0; i < PATHS && own > 0 && status == DFQ_OK; i++) {
        status = dfqi_supernet_new(ctx, &dfqi_super_cifar_small, j[i].path, 1, &net);
        if (status != DFQ_OK) break;
        status = train(&net, data, j[i].path, own, rate);
        if (status == DFQ_OK) status = judge(&net, data, test, j[i].path, &j[i].own);
        printf("%.2f M MACs: %.0f right by itself\n", j[i].macs / 1e6, j[i].own);
        dfqi_supernet_fini(&net);
    }
    if (status == DFQ_OK) summary(j, "at the end");
    return status;
}

int main(int argc, char **argv)
{
    dfq_context_options c;
    dfq_context *ctx = NULL;
    dfqi_super_data data = {0}, test = {0};
    if (argc < 3) return EXIT_FAILURE;
    dfq_context_options_init(&c, sizeof c);
    c.threads = argc > 6 ? atoi(argv[6]) : 2;
    if (dfq_context_create(&c, &ctx) != DFQ_OK) return EXIT_FAILURE;
    dfq_status status = study_load(ctx, argv[1], &dfqi_super_cifar_small, &data);
    if (status == DFQ_OK) status = study_load(ctx, argv[2], &dfqi_super_cifar_small, &test);
    if (status == DFQ_OK)
        status = study(ctx, &data, &test, argc > 3 ? argv[3] : "4000",
                       argc > 4 ? atoi(argv[4]) : 500, argc > 5 ? atof(argv[5]) : 0.1);
    if (status != DFQ_OK) fprintf(stderr, "%s\n", dfq_context_get_error(ctx));
    study_unload(&data);
    study_unload(&test);
    dfq_context_release(ctx);
    return status == DFQ_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
