/* The functions of dfq/reconstructor.h. */
#include <dfq/reconstructor.h>

#include "api/api.h"
#include "base/memory.h"
#include "tune/reconstruct.h"

struct dfq_reconstructor {
    dfq_context *ctx; /* kept alive by the job's networks */
    dfqi_reconstruct *r;
};

static dfq_reconstructor_options defaults_of(const dfq_graph *graph)
{
    dfq_reconstructor_options o;
    dfqi_reconstruct_defaults(graph && dfqi_arch_is_cnn(&graph->net.arch), &o);
    return o;
}

void dfq_reconstructor_options_init(dfq_reconstructor_options *options, size_t size,
                                    const dfq_graph *graph)
{
    dfq_reconstructor_options o = defaults_of(graph);
    dfqi_options_init(options, size, &o, sizeof o);
}

static dfq_status create(const dfq_graph *teacher, dfq_graph *student, const dfq_tensor *images,
                         dfq_image_set *set, const dfq_reconstructor_options *options,
                         dfq_reconstructor **out)
{
    dfq_context *ctx = student->ctx;
    dfq_reconstructor_options o = defaults_of(teacher);
    dfqi_reconstruct *r = NULL;
    DFQI_TRY(dfqi_options_read(ctx, "dfq_reconstructor_options", options, &o, sizeof o));
    dfq_reconstructor *made = dfqi_calloc(ctx, 1, sizeof *made);
    if (made == NULL) return DFQ_E_NOMEM;
    dfq_status status = dfqi_reconstruct_new(teacher, student, images, set, &o, &r);
    if (status != DFQ_OK) {
        dfqi_free(ctx, made);
        return status;
    }
    *made = (dfq_reconstructor){.ctx = ctx, .r = r};
    *out = made;
    return DFQ_OK;
}

dfq_status dfq_reconstructor_create(const dfq_graph *teacher, dfq_graph *student,
                                    const dfq_tensor *images,
                                    const dfq_reconstructor_options *options,
                                    dfq_reconstructor **out_reconstructor)
{
    if (student == NULL) return DFQ_E_INVALID;
    DFQI_NEED(student->ctx, teacher);
    DFQI_NEED(student->ctx, images);
    DFQI_NEED(student->ctx, out_reconstructor);
    return create(teacher, student, images, NULL, options, out_reconstructor);
}

dfq_status dfq_reconstructor_create_from(const dfq_graph *teacher, dfq_graph *student,
                                         dfq_image_set *set,
                                         const dfq_reconstructor_options *options,
                                         dfq_reconstructor **out_reconstructor)
{
    if (student == NULL) return DFQ_E_INVALID;
    DFQI_NEED(student->ctx, teacher);
    DFQI_NEED(student->ctx, set);
    DFQI_NEED(student->ctx, out_reconstructor);
    return create(teacher, student, NULL, set, options, out_reconstructor);
}

void dfq_reconstructor_release(dfq_reconstructor *reconstructor)
{
    if (reconstructor == NULL) return;
    dfqi_reconstruct *r = reconstructor->r;
    dfqi_free(reconstructor->ctx, reconstructor);
    dfqi_reconstruct_release(r); /* last: it keeps the context */
}

dfq_status dfq_reconstructor_step(dfq_reconstructor *reconstructor, int32_t *out_finished)
{
    if (reconstructor == NULL) return DFQ_E_INVALID;
    DFQI_NEED(reconstructor->ctx, out_finished);
    return dfqi_reconstruct_step(reconstructor->r, out_finished);
}

dfq_status dfq_reconstructor_run(dfq_reconstructor *reconstructor)
{
    if (reconstructor == NULL) return DFQ_E_INVALID;
    return dfqi_reconstruct_run(reconstructor->r);
}

dfq_status dfq_reconstructor_get_errors(const dfq_reconstructor *reconstructor,
                                        dfq_tensor **out_errors)
{
    if (reconstructor == NULL) return DFQ_E_INVALID;
    DFQI_NEED(reconstructor->ctx, out_errors);
    return dfqi_reconstruct_errors(reconstructor->r, out_errors);
}

dfq_status dfq_reconstructor_estimate(const dfq_reconstructor *reconstructor,
                                      dfq_job_cost *out_cost)
{
    dfqi_reconstruct_cost c;
    if (reconstructor == NULL) return DFQ_E_INVALID;
    DFQI_NEED(reconstructor->ctx, out_cost);
    DFQI_TRY(dfqi_reconstruct_estimate(reconstructor->r, &c));
    dfq_job_cost out = {.bytes = dfqi_count_i64(c.bytes),
                        .macs = dfqi_count_i64(c.macs),
                        .seconds_left = c.seconds_left,
                        .units = c.steps,
                        .done = c.done};
    return dfqi_info_write(reconstructor->ctx, "dfq_job_cost", &out, sizeof out, out_cost);
}

dfq_status dfq_reconstructor_save_checkpoint(dfq_reconstructor *reconstructor, const char *path)
{
    if (reconstructor == NULL) return DFQ_E_INVALID;
    DFQI_NEED(reconstructor->ctx, path);
    return dfqi_reconstruct_save(reconstructor->r, path);
}

dfq_status dfq_reconstructor_load_checkpoint(dfq_reconstructor *reconstructor, const char *path)
{
    if (reconstructor == NULL) return DFQ_E_INVALID;
    DFQI_NEED(reconstructor->ctx, path);
    return dfqi_reconstruct_restore(reconstructor->r, path);
}
