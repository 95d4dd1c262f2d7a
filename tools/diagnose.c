/* Runs the diagnoses of `dfq quantize --diagnose` and prints their results. */
#include "diagnose.h"

#include <math.h>
#include <string.h>

#include "quantize.h"
#include "report/diagnostics.h"

/* -- work -------------------------------------------------------------------------------------- */

/* A pass with gradients of all three losses costs seven forward passes, of one loss three; an
 * eigenvalue takes some twelve pairs of passes. */
double diagnose_seconds(const struct options *full, double forward)
{
    dfq_diagnosis_options o;
    if (full->diagnose <= 0) return 0;
    dfq_diagnosis_options_init(&o, sizeof o);
    double hessian = 7 * (1 + 2 * o.probes) + 3 * 3 * 2 * 12, plane = (double)o.grid * o.grid;
    double n = (double)full->diagnose * forward;
    return n * (2 + hessian + plane) + (full->data ? n * (2 + hessian) : 0);
}

static dfq_status look(struct quantize *q, const dfq_tensor *images, const dfq_tensor *labels,
                       dfq_diagnosis **out)
{
    dfq_tuner_options t = recipe_tuner(&q->full, q->net);
    dfq_diagnosis_options o;
    dfq_diagnosis_options_init(&o, sizeof o);
    o.seed = q->full.seed;
    o.temperature = t.temperature;
    o.divide_by_classes = q->full.method == METHOD_AIT;
    if (q->diagnosis.n_views > 0) o.grid = 0;
    q->diagnosis.temperature = (double)o.temperature;
    q->diagnosis.divided = o.divide_by_classes;
    dfq_status status = dfq_diagnosis_create(q->net, q->low, images, labels, &o, out);
    return status == DFQ_OK ? dfq_diagnosis_run(*out) : status;
}

static dfq_status add_view(struct quantize *q, const dfq_tensor *images, const dfq_tensor *labels,
                           int real)
{
    struct diagnosis *d = &q->diagnosis;
    dfq_diagnosis *one = NULL;
    dfq_diagnosis_result *r = &d->result[d->n_views];
    dfq_status status = look(q, images, labels, &one);
    r->struct_size = sizeof *r;
    if (status == DFQ_OK) status = dfq_diagnosis_get_result(one, r);
    for (int32_t k = 0; k < DFQ_DIAGNOSIS_LOSSES && status == DFQ_OK; k++) {
        dfq_diagnosis_loss *l = &d->loss[d->n_views][k];
        l->struct_size = sizeof *l;
        status = dfq_diagnosis_get_loss(one, k, l);
    }
    if (status == DFQ_OK && d->n_views == 0) status = dfq_diagnosis_get_weights(one, &d->weights);
    if (status == DFQ_OK && d->n_views == 0) status = dfq_diagnosis_get_surface(one, &d->surface);
    dfq_diagnosis_release(one);
    if (status != DFQ_OK) return status;
    d->real[d->n_views] = real;
    d->labelled[d->n_views++] = labels != NULL;
    return DFQ_OK;
}

static dfq_status look_at_tuning(struct quantize *q)
{
    dfq_tensor *images = NULL, *labels = NULL;
    dfq_context *ctx = q->s->ctx;
    dfq_status status = quantize_slice(ctx, q->images, 0, q->full.diagnose, &images);
    if (status == DFQ_OK && q->labels)
        status = quantize_slice(ctx, q->labels, 0, q->full.diagnose, &labels);
    if (status == DFQ_OK) status = add_view(q, images, labels, q->s->o->real != NULL);
    dfq_tensor_release(images);
    dfq_tensor_release(labels);
    return status;
}

static dfq_status look_at_data(struct quantize *q)
{
    dfq_tensor *images = NULL, *labels = NULL;
    int64_t n = dfq_dataset_get_count(q->data);
    if (n > q->full.diagnose) n = q->full.diagnose;
    dfq_status status = dfq_dataset_get_batch(q->data, q->net, 0, n, &images);
    if (status == DFQ_OK) status = dfq_tensor_create(q->s->ctx, DFQ_DTYPE_I32, 1, &n, &labels);
    for (int64_t i = 0; i < n && status == DFQ_OK; i++)
        ((int32_t *)dfq_tensor_get_data(labels))[i] = dfq_dataset_get_label(q->data, i);
    if (status == DFQ_OK) status = add_view(q, images, labels, 1);
    dfq_tensor_release(images);
    dfq_tensor_release(labels);
    return status;
}

int diagnose_run(struct quantize *q)
{
    struct session *s = q->s;
    if (q->full.diagnose <= 0) return CODE_DONE;
    progress_begin(&s->progress, NULL, 0, plan_after(&q->plan, PLAN_DIAGNOSE));
    dfq_status status = code_changes_finish(&q->diagnosis.changes);
    if (status == DFQ_OK && q->images) status = look_at_tuning(q);
    if (status == DFQ_OK && q->data) status = look_at_data(q);
    progress_end(&s->progress);
    if (status == DFQ_E_CANCELLED) {
        (void)job_note(s, &q->job);
        return CODE_INTERRUPTED;
    }
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WORK);
}

void diagnose_close(struct diagnosis *d)
{
    code_changes_close(&d->changes);
    dfq_tensor_release(d->weights);
    dfq_tensor_release(d->surface);
    memset(d, 0, sizeof *d);
}

/* -- results ----------------------------------------------------------------------------------- */

static const char *const loss_names[DFQ_DIAGNOSIS_LOSSES] = {"kl", "kl_plain", "ce"};

static void json_view(struct json *j, const struct diagnosis *d, int v)
{
    const dfq_diagnosis_result *r = &d->result[v];
    json_open(j, NULL, '{');
    json_text(j, "of", d->real[v] ? "real" : "synthetic");
    json_int(j, "n", r->images);
    json_int(j, "agree", r->agree);
    if (d->labelled[v]) {
        json_int(j, "float_correct", r->teacher_correct);
        json_int(j, "correct", r->student_correct);
    }
    json_fraction(j, "cosine", r->cosine);
    for (int k = 0; k < DFQ_DIAGNOSIS_LOSSES; k++) {
        json_open(j, loss_names[k], '{');
        const dfq_diagnosis_loss *l = &d->loss[v][k];
        json_fraction(j, "loss", l->loss);
        json_fraction(j, "gradient_norm", l->gradient_norm);
        json_fraction(j, "trace", l->trace);
        json_fraction(j, "trace_error", l->trace_error);
        json_int(j, "trace_within_error", report_within_error(l->trace, l->trace_error));
        json_fraction(j, "eigenvalue", l->eigenvalue);
        json_int(j, "iterations", l->iterations);
        json_int(j, "settled", l->settled);
        json_close(j, '}');
    }
    json_close(j, '}');
}

static void json_weights(struct json *j, const struct diagnosis *d)
{
    const float *row = dfq_tensor_get_data(d->weights);
    json_open(j, "weights", '[');
    for (int32_t i = 0; i < d->changes.n_weights; i++, row += DFQ_DIAGNOSIS_COUNT) {
        const struct code_changes_weight *w = &d->changes.weights[i];
        json_open(j, NULL, '{');
        json_text(j, "name", w->name);
        json_fraction(j, "values", w->codes);
        json_fraction(j, "changed_per_step", w->step);
        json_fraction(j, "changed", w->ever);
        json_fraction(j, "distance", w->distance);
        json_fraction(j, "kappa", w->kappa);
        json_fraction(j, "cosine", (double)row[DFQ_DIAGNOSIS_COSINE]);
        for (int k = 0; k < DFQ_DIAGNOSIS_LOSSES; k++) {
            json_open(j, loss_names[k], '{');
            json_fraction(j, "gradient_norm", (double)row[DFQ_DIAGNOSIS_NORM + k]);
            json_fraction(j, "trace", (double)row[DFQ_DIAGNOSIS_TRACE + k]);
            json_close(j, '}');
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_surface(struct json *j, const dfq_tensor *t)
{
    const float *v = dfq_tensor_get_data(t);
    int64_t side = dfq_tensor_get_dims(t)[1];
    json_open(j, "surface", '{');
    json_int(j, "side", side);
    for (int k = 0; k < DFQ_DIAGNOSIS_LOSSES; k++) {
        json_open(j, loss_names[k], '[');
        for (int64_t i = 0; i < side * side; i++) json_fraction(j, NULL, (double)*v++);
        json_close(j, ']');
    }
    json_close(j, '}');
}

void diagnose_json(struct json *j, const struct diagnosis *d)
{
    json_open(j, "diagnosis", '{');
    json_fraction(j, "temperature", d->temperature);
    json_int(j, "divided_by_classes", d->divided);
    json_int(j, "values", d->result[0].values);
    json_open(j, "views", '[');
    for (int v = 0; v < d->n_views; v++) json_view(j, d, v);
    json_close(j, ']');
    json_weights(j, d);
    json_surface(j, d->surface);
    json_close(j, '}');
}

void diagnose_print(const struct diagnosis *d)
{
    static const char *const names[DFQ_DIAGNOSIS_LOSSES] = {"KL", "KL, T = 1", "cross-entropy"};
    for (int v = 0; v < d->n_views; v++) {
        const dfq_diagnosis_result *r = &d->result[v];
        printf("%d %s images: same class for %d, cosine of gradients %.3f\n", (int)r->images,
               d->real[v] ? "real" : "synthetic", (int)r->agree, r->cosine);
        for (int k = 0; k < DFQ_DIAGNOSIS_LOSSES; k++) {
            const dfq_diagnosis_loss *l = &d->loss[v][k];
            printf("  %-13s  loss %.4g, gradient %.4g, trace %.4g +- %.2g%s, eigenvalue %.4g%s\n",
                   names[k], l->loss, l->gradient_norm, l->trace, l->trace_error,
                   report_within_error(l->trace, l->trace_error) ? " (within its standard error)"
                                                                 : "",
                   l->eigenvalue, l->settled ? "" : " (not converged)");
        }
    }
}
