/* Trains a CIFAR-10 space along uniform paths and judges some of them; with a seventh argument the
 * derived network of every cell's choice of that number alone.
 * Usage: study_supernet TRAIN.bin TEST.bin [steps] [batch] [threads] [space] [choice] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "support.h"

enum { JUDGED = 4, CALIBRATE = 8 };

static dfq_status train(dfqi_supernet *net, dfqi_super_train *t, const dfqi_super_options *o,
                        const dfqi_super_data *data, const int32_t *derived)
{
    double macs = 0, own, start = dfqi_now();
    int32_t path[DFQI_SUPER_CELLS];
    float loss;
    for (int64_t i = 0; i < o->steps; i++) {
        dfqi_super_sample(net, NULL, o->seed, i, path);
        if (derived) memcpy(path, derived, sizeof path);
        DFQI_TRY(dfqi_super_train_step(t, data, path, &loss));
        DFQI_TRY(dfqi_supernet_macs(net, path, &own));
        macs += own;
        if (i % 50 == 0 || i + 1 == o->steps) printf("step %d: loss %.3f\n", (int)i, (double)loss);
    }
    double s = dfqi_now() - start, batch = (double)o->batch;
    printf("%.1f s, %.0f images/s, mean %.2f M MACs a path, %.1f GFLOPS (6 a MAC)\n", s,
           (double)o->steps * batch / s, macs / (double)o->steps / 1e6, 6 * macs * batch / s / 1e9);
    start = dfqi_now();
    dfqi_super_pass p;
    DFQI_TRY(dfqi_super_pass_new(net, path, o->batch, DFQI_SUPER_TRAIN, &p));
    printf("building and planning a path: %.2f ms\n", 1e3 * (dfqi_now() - start));
    dfqi_super_pass_fini(&p);
    return DFQ_OK;
}

/* The smallest and the largest path, or the derived network's, and random ones. */
static dfq_status judge(dfqi_supernet *net, const dfqi_super_data *data,
                        const dfqi_super_data *test, int32_t n)
{
    for (int32_t j = 0; j < n; j++) {
        int32_t path[DFQI_SUPER_CELLS];
        int64_t correct, not_finite;
        double macs;
        dfqi_super_sample(net, NULL, 77, j, path);
        for (int32_t c = 0; c < net->n_cells && j < 2; c++)
            path[c] = j ? net->space.n_choices - 1 : 0;
        if (net->derived) memcpy(path, net->path, sizeof path);
        DFQI_TRY(dfqi_super_recalibrate(net, path, data, 125, CALIBRATE));
        DFQI_TRY(dfqi_super_evaluate(net, path, test, 125, &correct, &not_finite));
        DFQI_TRY(dfqi_supernet_macs(net, path, &macs));
        printf("%.2f M MACs: %d of %d right, path", macs / 1e6, (int)correct, (int)test->n);
        for (int32_t c = 0; c < net->n_cells; c++) printf(" %d", path[c]);
        printf("\n");
    }
    return DFQ_OK;
}

int main(int argc, char **argv)
{
    dfq_context_options c;
    dfq_context *ctx = NULL;
    dfqi_super_data data = {0}, test = {0};
    dfqi_super_options o;
    dfqi_supernet net = {0};
    dfqi_super_train *t = NULL;
    static const dfqi_supernet_space *const spaces[] = {
        &dfqi_super_cifar_small, &dfqi_super_cifar_full, &dfqi_super_vit_small};
    const dfqi_supernet_space *space = NULL;
    int32_t path[DFQI_SUPER_CELLS];
    const int32_t *derived = argc > 7 ? path : NULL;
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (strcmp(spaces[i]->name, argc > 6 ? argv[6] : "cifar10-small") == 0) space = spaces[i];
    if (argc < 3 || !space) return EXIT_FAILURE;
    for (int32_t i = 0; i < DFQI_SUPER_CELLS; i++) path[i] = derived ? atoi(argv[7]) : 0;
    dfq_context_options_init(&c, sizeof c);
    c.threads = argc > 5 ? atoi(argv[5]) : 2;
    if (dfq_context_create(&c, &ctx) != DFQ_OK) return EXIT_FAILURE;
    dfqi_super_defaults_of(space, &o);
    o.steps = argc > 3 ? atoi(argv[3]) : 400;
    if (argc > 4) o.batch = atoi(argv[4]);
    if (o.optimizer == DFQI_SGD) o.learning_rate = 0.05f;
    o.seed = 1;
    dfq_status status = study_load(ctx, argv[1], space, &data);
    if (status == DFQ_OK) status = study_load(ctx, argv[2], space, &test);
    if (status == DFQ_OK) status = dfqi_supernet_new(ctx, space, derived, 1, &net);
    if (status == DFQ_OK) status = dfqi_super_train_new(&net, &o, &t);
    if (status == DFQ_OK) status = train(&net, t, &o, &data, derived);
    if (status == DFQ_OK) status = judge(&net, &data, &test, derived ? 1 : JUDGED);
    if (status != DFQ_OK) fprintf(stderr, "%s\n", dfq_context_get_error(ctx));
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&net);
    study_unload(&data);
    study_unload(&test);
    dfq_context_release(ctx);
    return status == DFQ_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
