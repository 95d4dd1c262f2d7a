/* Trains DANCE's networks on the tables of a search space and says how good they are.
 * Usage: study_evaluator [steps of EST] [of GEN] [space] [accelerators] [threads] */
#include <stdio.h>
#include <stdlib.h>

#include "base/progress.h"
#include "explore/cost_networks/evaluator.h"
#include "explore/cost_networks/hw_generator.h"
#include "explore/coexplore/search_space.h"

static int show(const char *stage, uint64_t done, uint64_t total, double loss)
{
    if (total > 100 && done % (total / 10) == 0)
        printf("%s %d of %d: loss %.3g\n", stage, (int)done, (int)total, loss);
    return fflush(stdout);
}

static int32_t progress(const dfq_progress *p, void *user)
{
    (void)user;
    return show(p->stage, p->done, p->total, p->loss);
}

static dfq_status estimate(dfq_context *ctx, const dfq_problem *p, int64_t steps)
{
    static const char *const names[] = {"latency", "energy", "area"};
    dfqi_mlp_options o;
    dfqi_evaluator *e;
    double start = dfqi_now();
    dfqi_mlp_defaults(&o);
    o.steps = steps;
    DFQI_TRY(dfqi_evaluator_new(ctx, p, &o, &e));
    dfq_status status = dfqi_evaluator_train(e);
    if (status != DFQ_OK) printf("%s\n", dfq_context_get_error(ctx));
    dfqi_evaluator_quality q = dfqi_evaluator_judged(e);
    for (int32_t m = 0; m < p->n_metrics; m++)
        printf("EST %s: mean relative error %.3f %%, p99 %.3f %%, Kendall tau %.4f\n", names[m],
               100 * q.mean[m], 100 * q.p99[m], q.tau[m]);
    printf("EST: %lld steps of %lld in %.1f s\n", (long long)steps, (long long)o.batch,
           dfqi_now() - start);
    dfqi_evaluator_release(e);
    return DFQ_OK;
}

static dfq_status generate(dfq_context *ctx, const dfq_problem *p, int64_t steps)
{
    dfqi_mlp_options o;
    dfqi_gen *g;
    double start = dfqi_now();
    dfqi_mlp_defaults(&o);
    o.steps = steps;
    DFQI_TRY(dfqi_gen_new(ctx, p, &o, &g));
    dfq_status status = dfqi_gen_train(g);
    dfqi_gen_quality q = dfqi_gen_judged(g);
    printf("GEN: labels met by hardware parameter:");
    for (int32_t k = 0; k < p->n_hw_params; k++) printf(" %.2f %%", 100 * q.accuracy[k]);
    printf(", by all %.2f %%; cost over the best %.3f %%\n", 100 * q.all, 100 * q.regret);
    printf("GEN: %lld steps of %lld in %.1f s\n", (long long)steps, (long long)o.batch,
           dfqi_now() - start);
    dfqi_gen_release(g);
    return status;
}

int main(int argc, char **argv)
{
    const char *net = argc > 3 ? argv[3] : "cifar10-full",
               *accel = argc > 4 ? argv[4] : "hdx-space";
    dfq_context_options o = {.struct_size = sizeof o, .threads = argc > 5 ? atoi(argv[5]) : 1};
    dfqi_search_space s;
    dfqi_search_space_costs c = {0};
    dfq_context *ctx;
    o.progress = progress;
    if (dfq_context_create(&o, &ctx) != DFQ_OK) return EXIT_FAILURE;
    dfq_status status = dfqi_search_space_read(ctx, net, accel, &s);
    if (status == DFQ_OK) status = dfqi_search_space_costs_new(ctx, &s, &c);
    if (status == DFQ_OK) {
        dfq_problem p = {.struct_size = sizeof p,
                         .n_groups = c.n_cells + c.n_hw_params,
                         .n_hw_params = c.n_hw_params,
                         .n_metrics = c.n_metrics,
                         .choices = c.choices,
                         .cost_table = c.cost,
                         .base_table = c.base};
        status = generate(ctx, &p, argc > 2 ? atoi(argv[2]) : 2000);
        if (status == DFQ_OK) status = estimate(ctx, &p, argc > 1 ? atoi(argv[1]) : 10000);
    }
    if (status != DFQ_OK) fprintf(stderr, "%s\n", dfq_context_get_error(ctx));
    dfqi_search_space_costs_fini(&c);
    dfq_context_release(ctx);
    return status == DFQ_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
