/* Accuracy of a runtime on labelled images. */
#include <math.h>

#include "base/check.h"
#include "base/progress.h"
#include "quant/evaluate.h"
#include "runtime/runtime_priv.h"

/* Images first .. first + count - 1 into `images`, and their logits into `logits`. */
static dfq_status run_some(dfqi_runtime *rt, const dfqi_dataset *d, int64_t first, int64_t count,
                           float *images, float *logits)
{
    dfqi_pixels x;
    DFQI_TRY(dfqi_dataset_batch(d, first, count, &rt->p->preprocess, images));
    dfqi_pixels_init(rt, DFQ_PIXELS_F32_NCHW, images, count, &x);
    return dfqi_runtime_run(rt, &x, logits);
}

dfq_status dfqi_runtime_evaluate(dfqi_runtime *rt, const dfqi_dataset *d, int64_t first, int64_t n,
                                 dfqi_accuracy *out)
{
    dfq_context *ctx = rt->ctx;
    const dfqi_program *p = rt->p;
    const int64_t image = p->channels * dfqi_area(p->preprocess.size);
    const int64_t batch = n < p->batch ? n : p->batch;
    dfqi_accuracy acc = {0};
    dfq_status status = DFQ_E_NOMEM;
    if (p->backbone)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "the network has no head and so no classes, its outputs are features; it "
                         "must have a head for an evaluation");
    DFQI_TRY(dfqi_check_span(ctx, "images of the data set", first, n, 1, dfqi_dataset_count(d)));
    dfqi_stage stage = dfqi_stage_begin(ctx, "eval", 0, (uint64_t)n);
    float *images = dfqi_calloc(ctx, (size_t)batch, (size_t)image * sizeof *images);
    float *logits = dfqi_calloc(ctx, (size_t)batch, (size_t)p->classes * sizeof *logits);
    if (!images || !logits) goto out;
    for (int64_t i = 0; i < n; i += batch) {
        const int64_t count = n - i < batch ? n - i : batch;
        DFQI_GOTO(run_some(rt, d, first + i, count, images, logits), out);
        for (int64_t k = 0; k < count; k++)
            (void)dfqi_judge(logits + k * p->classes, p->classes,
                             dfqi_dataset_label(d, first + i + k), &acc);
        DFQI_GOTO(dfqi_stage_report(&stage, (uint64_t)acc.n, NAN), out);
    }
    *out = acc;
    status = DFQ_OK;
out:
    dfqi_free(ctx, images);
    dfqi_free(ctx, logits);
    return status;
}
