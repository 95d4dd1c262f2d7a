/* The functions of dfq/diagnosis.h. */
#include <dfq/diagnosis.h>

#include <math.h>
#include <string.h>

#include "api/api.h"
#include "base/check.h"
#include "base/memory.h"
#include "tune/diagnose.h"

struct dfq_diagnosis {
    dfq_context *ctx; /* kept by d */
    dfqi_diagnosis *d;
};

static dfq_diagnosis_options defaults(void)
{
    dfqi_diagnose_options d;
    dfqi_diagnose_defaults(&d);
    return (dfq_diagnosis_options){.struct_size = sizeof(dfq_diagnosis_options),
                                   .round_activations = d.round,
                                   .batch = d.batch,
                                   .seed = d.curvature.seed,
                                   .temperature = d.temperature,
                                   .divide_by_classes = d.divide,
                                   .probes = d.curvature.probes,
                                   .power_iterations = d.curvature.power,
                                   .grid = d.curvature.grid};
}

void dfq_diagnosis_options_init(dfq_diagnosis_options *options, size_t size)
{
    dfq_diagnosis_options d = defaults();
    dfqi_options_init(options, size, &d, sizeof d);
}

dfq_status dfq_diagnosis_create(const dfq_graph *teacher, const dfq_graph *student,
                                const dfq_tensor *images, const dfq_tensor *labels,
                                const dfq_diagnosis_options *options, dfq_diagnosis **out_diagnosis)
{
    dfq_diagnosis_options o = defaults();
    if (student == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = student->ctx;
    DFQI_NEED(ctx, teacher);
    DFQI_NEED(ctx, images);
    DFQI_NEED(ctx, out_diagnosis);
    DFQI_TRY(dfqi_options_read(ctx, "dfq_diagnosis_options", options, &o, sizeof o));
    if (o.reserved != 0)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "dfq_diagnosis_options.reserved is %d, must be 0",
                         (int)o.reserved);
    dfqi_diagnose_options own = {
        .batch = o.batch,
        .round = o.round_activations,
        .divide = o.divide_by_classes,
        .temperature = o.temperature,
        .curvature = {
            .seed = o.seed, .probes = o.probes, .power = o.power_iterations, .grid = o.grid}};
    dfq_diagnosis *diagnosis = dfqi_calloc(ctx, 1, sizeof *diagnosis);
    if (diagnosis == NULL) return DFQ_E_NOMEM;
    diagnosis->ctx = ctx;
    dfq_status status = dfqi_diagnosis_new(teacher, student, images, labels, &own, &diagnosis->d);
    if (status != DFQ_OK)
        dfqi_free(ctx, diagnosis);
    else
        *out_diagnosis = diagnosis;
    return status;
}

void dfq_diagnosis_release(dfq_diagnosis *diagnosis)
{
    if (diagnosis == NULL) return;
    dfqi_diagnosis *d = diagnosis->d;
    dfqi_free(diagnosis->ctx, diagnosis);
    dfqi_diagnosis_release(d); /* last: it keeps the context */
}

dfq_status dfq_diagnosis_step(dfq_diagnosis *diagnosis, int32_t *out_finished)
{
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, out_finished);
    return dfqi_diagnosis_step(diagnosis->d, out_finished);
}

dfq_status dfq_diagnosis_run(dfq_diagnosis *diagnosis)
{
    if (diagnosis == NULL) return DFQ_E_INVALID;
    return dfqi_diagnosis_run(diagnosis->d);
}

dfq_status dfq_diagnosis_estimate(const dfq_diagnosis *diagnosis, dfq_job_cost *out_cost)
{
    dfqi_diagnosis_cost c;
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, out_cost);
    DFQI_TRY(dfqi_diagnosis_estimate(diagnosis->d, &c));
    const dfq_job_cost cost = {.bytes = dfqi_count_i64(c.bytes),
                               .macs = dfqi_count_i64(c.macs),
                               .seconds_left = c.seconds_left,
                               .units = c.units,
                               .done = c.done};
    return dfqi_info_write(diagnosis->ctx, "dfq_job_cost", &cost, sizeof cost, out_cost);
}

dfq_status dfq_diagnosis_save_checkpoint(dfq_diagnosis *diagnosis, const char *path)
{
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, path);
    return dfqi_diagnosis_save(diagnosis->d, path);
}

dfq_status dfq_diagnosis_load_checkpoint(dfq_diagnosis *diagnosis, const char *path)
{
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, path);
    return dfqi_diagnosis_restore(diagnosis->d, path);
}

/* -- results ----------------------------------------------------------------------------------- */

dfq_status dfq_diagnosis_get_result(const dfq_diagnosis *diagnosis,
                                    dfq_diagnosis_result *out_result)
{
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, out_result);
    const dfqi_diagnosis *d = diagnosis->d;
    const dfqi_loss_curvature *s = dfqi_diagnosis_curvature(d);
    dfqi_agreement a = dfqi_diagnosis_agreement(d);
    dfq_diagnosis_result out = {.weights = dfqi_diagnosis_count(d),
                                .values = dfqi_diagnosis_values(d),
                                .images = dfqi_diagnosis_images(d),
                                .agree = a.agree,
                                .teacher_correct = a.teacher,
                                .student_correct = a.student,
                                .cosine = s ? s->cosine : (double)NAN};
    return dfqi_info_write(diagnosis->ctx, "dfq_diagnosis_result", &out, sizeof out, out_result);
}

dfq_status dfq_diagnosis_get_loss(const dfq_diagnosis *diagnosis, int32_t loss,
                                  dfq_diagnosis_loss *out_loss)
{
    static const dfqi_loss_curvature_loss none = {NAN, NAN, NAN, NAN, NAN, 0, 0};
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, out_loss);
    DFQI_TRY(dfqi_check_index(diagnosis->ctx, "loss", loss, DFQI_SLOPES));
    const dfqi_loss_curvature *s = dfqi_diagnosis_curvature(diagnosis->d);
    const dfqi_loss_curvature_loss *l = s ? &s->loss[loss] : &none;
    dfq_diagnosis_loss out = {.settled = l->settled,
                              .loss = l->loss,
                              .gradient_norm = l->norm,
                              .trace = l->trace,
                              .trace_error = l->trace_error,
                              .eigenvalue = l->eigenvalue,
                              .iterations = l->iterations};
    return dfqi_info_write(diagnosis->ctx, "dfq_diagnosis_loss", &out, sizeof out, out_loss);
}

const char *dfq_diagnosis_get_name(const dfq_diagnosis *diagnosis, int32_t i)
{
    if (diagnosis == NULL || i < 0 || i >= dfqi_diagnosis_count(diagnosis->d)) return NULL;
    return dfqi_diagnosis_name(diagnosis->d, i);
}

/* A copy of `from`, or NaN where it is NULL. */
static dfq_status table(dfq_context *ctx, const float *from, int32_t rank, const int64_t *dims,
                        dfq_tensor **out)
{
    dfq_tensor *copy;
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, rank, dims, &copy));
    for (int64_t i = 0, n = dfqi_tensor_count(copy); i < n; i++)
        dfqi_tensor_f32(copy)[i] = from ? from[i] : NAN;
    *out = copy;
    return DFQ_OK;
}

dfq_status dfq_diagnosis_get_weights(const dfq_diagnosis *diagnosis, dfq_tensor **out_weights)
{
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, out_weights);
    const dfqi_loss_curvature *s = dfqi_diagnosis_curvature(diagnosis->d);
    const int64_t dims[2] = {dfqi_diagnosis_count(diagnosis->d), DFQI_LOSS_CURVATURE_COLUMNS};
    return table(diagnosis->ctx, s ? s->table : NULL, 2, dims, out_weights);
}

dfq_status dfq_diagnosis_get_surface(const dfq_diagnosis *diagnosis, dfq_tensor **out_surface)
{
    if (diagnosis == NULL) return DFQ_E_INVALID;
    DFQI_NEED(diagnosis->ctx, out_surface);
    const dfqi_loss_curvature *s = dfqi_diagnosis_curvature(diagnosis->d);
    int64_t grid = dfqi_diagnosis_grid(diagnosis->d);
    const int64_t dims[3] = {DFQI_SLOPES, grid, grid};
    if (grid == 0)
        return dfqi_fail(
            diagnosis->ctx, DFQ_E_INVALID,
            "diagnosis: the loss surface was not computed; set grid to an odd number from 3 on");
    return table(diagnosis->ctx, s ? s->surface : NULL, 3, dims, out_surface);
}
