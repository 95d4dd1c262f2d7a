/* Accuracy of EST on samples that were not used for training. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "explore/cost_networks/evaluator_priv.h"

enum { TAU_SAMPLES = 1024 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kendall's tau of estimates and truths, log2 both: pairs in the same order less those in the
 * other, over all. */
static double kendall(int64_t n, const double (*v)[2])
{
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++) {
            double s = (v[i][0] - v[k][0]) * (v[i][1] - v[k][1]);
            same += (s > 0) - (s < 0);
        }
    return (double)same / (0.5 * (double)n * (double)(n - 1));
}

static void judge_metric(dfqi_evaluator *e, int32_t metric, const double (*v)[2], double *error)
{
    int64_t n = e->o.held_out;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += error[i] = fabs(exp2(v[i][0] - v[i][1]) - 1);
    e->quality.tau[metric] = kendall(n < TAU_SAMPLES ? n : TAU_SAMPLES, v);
    qsort(error, (size_t)n, sizeof *error, ascending);
    e->quality.mean[metric] = sum / (double)n;
    e->quality.p99[metric] = error[(int64_t)(0.99 * (double)(n - 1))];
}

dfq_status dfqi_evaluator_judge(dfqi_evaluator *e, const dfqi_samples *s, uint64_t stream)
{
    int64_t n = e->o.held_out, batch = e->o.batch;
    dfqi_mlp_pass p = {0};
    dfq_status status = DFQ_E_NOMEM;
    double(*v)[2] = dfqi_calloc(e->ctx, (size_t)(n * e->n_learned), sizeof *v);
    double *error = dfqi_calloc(e->ctx, (size_t)n, sizeof *error);
    if (!v || !error) goto out;
    DFQI_GOTO(dfqi_mlp_pass_begin(&e->net, batch, false, &p), out);
    DFQI_GOTO(dfqi_mlp_pass_end(&p, 0, NULL, NULL, 0), out);
    dfqi_exec_bind(p.e, p.x, e->x);
    for (int64_t first = 0; first < n; first += batch) {
        for (int64_t i = 0; i < batch; i++) dfqi_evaluator_sample(e, s, stream, first + i, i);
        DFQI_GOTO(dfqi_exec_run(p.e), out);
        const float *z = dfqi_exec_data(p.e, p.out[0]);
        for (int64_t i = 0; i < batch; i++)
            for (int32_t k = 0; k < e->n_learned; k++) {
                double *at = v[k * n + first + i];
                at[0] = (double)z[i * e->n_learned + k];
                at[1] = -(double)e->minus[i * e->n_learned + k];
            }
    }
    for (int32_t k = 0; k < e->n_learned; k++)
        judge_metric(e, e->learned[k], (const double(*)[2])(v + k * n), error);
out:
    dfqi_mlp_pass_fini(&p);
    dfqi_free(e->ctx, v);
    dfqi_free(e->ctx, error);
    return status;
}
