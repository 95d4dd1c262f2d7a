/* Evaluation: forward passes over data sets and over images in memory. */
#include "quant/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/progress.h"
#include "graph/exec.h"

enum { EVAL_BATCH = 8 };

/* A forward pass ready to run. */
typedef struct forward {
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, logits;
    int64_t batch;
} forward;

static void forward_fini(forward *f)
{
    dfqi_exec_free(f->e);
    dfqi_graph_free(f->g);
    *f = (forward){0};
}

static dfq_status forward_init(const dfqi_model *m, int64_t n, forward *f)
{
    *f = (forward){.batch = n < EVAL_BATCH ? n : EVAL_BATCH};
    DFQI_TRY(dfqi_model_graph_with(m, f->batch, DFQI_GRAPH_EXACT, &f->g, &f->x, &f->logits));
    dfq_status status = dfqi_exec_new(f->g, &f->e);
    if (status != DFQ_OK) forward_fini(f);
    return status;
}

dfqi_preprocess dfqi_model_preprocess(const dfqi_model *m)
{
    const dfqi_arch *a = &m->net.arch;
    dfqi_preprocess p = {.size = a->image, .resize = a->resize, .filter = a->filter};
    memcpy(p.mean, a->mean, sizeof p.mean);
    memcpy(p.std, a->std, sizeof p.std);
    return p;
}

dfq_status dfqi_model_logits(const dfqi_model *m, const float *images, int64_t n, float *logits)
{
    const dfqi_arch *a = &m->net.arch;
    int64_t image = dfqi_arch_pixels(a);
    forward f;
    DFQI_TRY(forward_init(m, n, &f));
    dfq_status status = DFQ_OK;
    for (int64_t i = 0; i < n && status == DFQ_OK; i += f.batch) {
        /* the last batch starts earlier so that it is full: some images are computed twice, to the
         * same bits */
        int64_t first = i + f.batch <= n ? i : n - f.batch;
        dfqi_exec_bind(f.e, f.x, images + first * image);
        status = dfqi_exec_run(f.e);
        if (status == DFQ_OK)
            memcpy(logits + first * a->classes, dfqi_exec_data(f.e, f.logits),
                   (size_t)(f.batch * a->classes) * sizeof *logits);
    }
    forward_fini(&f);
    return status;
}

int32_t dfqi_best_class(const float *z, int64_t classes)
{
    int64_t best = 0;
    for (int64_t c = 0; c < classes; c++) {
        if (!isfinite(z[c])) return -1;
        if (z[c] > z[best]) best = c;
    }
    return (int32_t)best;
}

/* Rank of the label among finite logits: 0 is the best. Lower classes win ties. */
static int64_t rank_of(const float *z, int64_t classes, int64_t label)
{
    int64_t rank = 0;
    for (int64_t c = 0; c < classes; c++)
        rank += z[c] > z[label] || (z[c] == z[label] && c < label);
    return rank;
}

int32_t dfqi_judge(const float *z, int64_t classes, int64_t label, dfqi_accuracy *acc)
{
    int32_t best = dfqi_best_class(z, classes);
    acc->n++;
    acc->not_finite += best < 0;
    acc->correct += best == label;
    acc->correct5 += best >= 0 && rank_of(z, classes, label) < 5;
    return best;
}

dfq_status dfqi_evaluate(const dfqi_model *m, const dfqi_dataset *d, int64_t first, int64_t n,
                         int32_t *predicted, dfqi_accuracy *out)
{
    dfq_context *ctx = m->ctx;
    const dfqi_arch *a = &m->net.arch;
    dfqi_preprocess p = dfqi_model_preprocess(m);
    dfqi_accuracy acc = {0};
    DFQI_TRY(dfqi_arch_need_classes(ctx, a, "an evaluation"));
    DFQI_TRY(dfqi_check_span(ctx, "images of the data set", first, n, 1, dfqi_dataset_count(d)));
    forward f;
    DFQI_TRY(forward_init(m, n, &f));
    dfq_status status = DFQ_E_NOMEM;
    dfqi_stage stage = dfqi_stage_begin(ctx, "eval", 0, (uint64_t)n);
    float *images = dfqi_calloc(ctx, (size_t)f.batch, sizeof(float) * (size_t)dfqi_arch_pixels(a));
    if (!images) goto out;
    dfqi_exec_bind(f.e, f.x, images);
    for (int64_t i = 0; i < n; i += f.batch) {
        int64_t count = i + f.batch <= n ? f.batch : n - i; /* the rest of the batch is stale */
        DFQI_GOTO(dfqi_dataset_batch(d, first + i, count, &p, images), out);
        DFQI_GOTO(dfqi_exec_run(f.e), out);
        const float *z = dfqi_exec_data(f.e, f.logits);
        for (int64_t k = 0; k < count; k++, z += a->classes) {
            int32_t best = dfqi_judge(z, a->classes, dfqi_dataset_label(d, first + i + k), &acc);
            if (predicted) predicted[i + k] = best;
        }
        DFQI_GOTO(dfqi_stage_report(&stage, (uint64_t)acc.n, NAN), out);
    }
    *out = acc;
    status = DFQ_OK;
out:
    dfqi_free(ctx, images);
    forward_fini(&f);
    return status;
}
