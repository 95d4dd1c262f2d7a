/* dfq quantize --reconstruct: block reconstruction between calibration and tuning. */
#include "files.h"
#include "quantize.h"

static dfq_status create(struct quantize *q, dfq_reconstructor **out)
{
    dfq_reconstructor_options o = recipe_reconstructor(&q->full, q->net);
    return q->set ? dfq_reconstructor_create_from(q->net, q->low, q->set, &o, out)
                  : dfq_reconstructor_create(q->net, q->low, q->images, &o, out);
}

static dfq_status run(void *handle)
{
    return dfq_reconstructor_run(handle);
}

static dfq_status save(void *handle, const char *path)
{
    return dfq_reconstructor_save_checkpoint(handle, path);
}

int reconstruct_run(struct quantize *q)
{
    struct session *s = q->s;
    dfq_reconstructor *r;
    if (q->full.reconstruct == 0) return CODE_DONE;
    dfq_status status = create(q, &r);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
    const struct job_stage stage = {run, save, r, q->job.reconstruct};
    int code = CODE_DONE;
    if (q->job.resumed && file_kind(q->job.reconstruct) == FILE_REGULAR)
        status = dfq_reconstructor_load_checkpoint(r, q->job.reconstruct);
    if (status != DFQ_OK) {
        code = session_fail(s, status, PHASE_READ);
    } else {
        progress_begin(&s->progress, "reconstruct", 0, plan_after(&q->plan, PLAN_RECONSTRUCT));
        code = job_run(s, &q->job, &stage);
        progress_end(&s->progress);
    }
    if (!code) { /* tuning and saving can be interrupted: the work must not be lost */
        job_checkpoint(s, &q->job, save, r, q->job.reconstruct);
        status = dfq_reconstructor_get_errors(r, &q->unit_errors);
        if (status != DFQ_OK) code = session_fail(s, status, PHASE_WORK);
    }
    dfq_reconstructor_release(r);
    return code;
}
