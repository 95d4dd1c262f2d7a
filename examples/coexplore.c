/* coexplore IMAGES OUT.safetensors [WARMUP STEPS TRAIN]: finds a small convolutional network that
 * classifies labelled images, within hard limits of latency and energy on an accelerator.
 *
 * cc coexplore.c $(pkg-config --cflags --libs dfq) -o coexplore */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>

static int32_t show(const dfq_progress *p, void *user)
{
    (void)user;
    fprintf(stderr, "\r%s %3.0f %%  ", p->stage, 100 * p->fraction);
    return 0; /* anything else would stop the job */
}

static dfq_status print_result(const dfq_explorer *explorer)
{
    dfq_tensor *choice = NULL;
    dfq_accelerator_config hw = {.struct_size = sizeof hw};
    dfq_status s = dfq_explorer_get_choice(explorer, 0, &choice);
    printf("\nnetwork:");
    for (int32_t g = 0; s == DFQ_OK && g < dfq_explorer_get_cells(explorer); g++) {
        const int32_t *c = dfq_tensor_get_data(choice);
        printf(" %s", dfq_explorer_get_name(explorer, g, c[g]));
    }
    if (s == DFQ_OK) s = dfq_explorer_get_accelerator(explorer, &hw);
    if (s == DFQ_OK) printf("\naccelerator: %d x %d elements\n", (int)hw.pe_x, (int)hw.pe_y);
    for (int32_t m = 0; s == DFQ_OK && m < dfq_explorer_get_metrics(explorer); m++) {
        dfq_explorer_metric v = {.struct_size = sizeof v};
        s = dfq_explorer_get_metric(explorer, m, &v);
        if (s == DFQ_OK)
            printf("%s: %.4g, limit %.4g\n", dfq_explorer_get_metric_name(explorer, m), v.cost,
                   v.limit);
    }
    dfq_tensor_release(choice);
    return s;
}

static dfq_status explore(dfq_context *ctx, const char *images, const char *out, const int *steps)
{
    const dfq_constraint limits[] = {{sizeof *limits, DFQ_EXPLORE_LATENCY, 2},
                                     {sizeof *limits, DFQ_EXPLORE_ENERGY, 0.5}};
    dfq_accelerator *accelerators = NULL;
    dfq_dataset *data = NULL;
    dfq_explorer *explorer = NULL;
    dfq_explorer_options options;
    dfq_solver_options solver;
    dfq_explorer_options_init(&options, sizeof options);
    dfq_solver_options_init(&solver, sizeof solver);
    if (steps != NULL) {
        options.warmup_steps = steps[0];
        solver.steps = steps[1];
        options.train_steps = steps[2];
        options.batch = 8;
    }
    dfq_status s = dfq_accelerator_load(ctx, "eyeriss-16x16", &accelerators);
    if (s == DFQ_OK) s = dfq_dataset_open(ctx, images, 0, &data);
    if (s == DFQ_OK)
        s = dfq_explorer_create(ctx, "cifar10-small", accelerators, data, limits, 2, &options,
                                &solver, &explorer);
    if (s == DFQ_OK) s = dfq_explorer_run(explorer);
    if (s == DFQ_OK) s = print_result(explorer);
    if (s == DFQ_OK) s = dfq_explorer_save_network(explorer, out);
    dfq_explorer_release(explorer);
    dfq_dataset_release(data);
    dfq_accelerator_release(accelerators);
    return s;
}

int main(int argc, char **argv)
{
    dfq_context_options o;
    dfq_context *ctx;
    int steps[3] = {0};
    if (argc != 3 && argc != 6) {
        fprintf(stderr, "usage: coexplore IMAGES OUT.safetensors [WARMUP STEPS TRAIN]\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) steps[i - 3] = atoi(argv[i]);
    dfq_context_options_init(&o, sizeof o);
    o.progress = show;
    if (dfq_context_create(&o, &ctx) != DFQ_OK) return 1;
    dfq_status s = explore(ctx, argv[1], argv[2], argc > 3 ? steps : NULL);
    if (s != DFQ_OK) fprintf(stderr, "\n%s: %s\n", dfq_status_name(s), dfq_context_get_error(ctx));
    dfq_context_release(ctx);
    return s == DFQ_OK ? 0 : s == DFQ_E_INFEASIBLE ? 3 : 1;
}
