/* Runs a tuner step by step and counts the changed codes after each step. */
#include "code_changes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

dfq_status code_changes_open(struct code_changes *w, struct session *s, const dfq_graph *low)
{
    memset(w, 0, sizeof *w);
    w->s = s;
    dfq_status status = dfq_crossings_create(low, &w->crossings);
    if (status != DFQ_OK) return status;
    w->n_weights = dfq_crossings_get_count(w->crossings);
    w->weights = calloc((size_t)w->n_weights + 1, sizeof *w->weights);
    if (!w->weights) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < w->n_weights; i++)
        w->weights[i].name = dfq_crossings_get_name(w->crossings, i);
    return DFQ_OK;
}

void code_changes_close(struct code_changes *w)
{
    dfq_crossings_release(w->crossings);
    free(w->weights);
    free(w->rows);
    memset(w, 0, sizeof *w);
}

/* -- one step ---------------------------------------------------------------------------------- */

static double *new_row(struct code_changes *w)
{
    if (w->n_rows == w->cap_rows) {
        size_t cap = w->cap_rows ? 2 * w->cap_rows : 256;
        double *more = realloc(w->rows, cap * CODE_CHANGES_COLUMNS * sizeof *more);
        if (!more) return NULL;
        w->rows = more;
        w->cap_rows = cap;
    }
    return w->rows + CODE_CHANGES_COLUMNS * w->n_rows++;
}

/* Sums for the means, which code_changes_finish takes. */
static void add_step(struct code_changes *w, double step, const float *rows, const float *kappa,
                     double *out)
{
    double now = 0, ever = 0, codes = 0, most = 0, logs = 0;
    for (int32_t i = 0; i < w->n_weights; i++) {
        const float *row = rows + DFQ_CROSSED_COUNT * i;
        double share = (double)row[DFQ_CROSSED_NOW] / (double)row[DFQ_CROSSED_CODES];
        now += (double)row[DFQ_CROSSED_NOW];
        ever += (double)row[DFQ_CROSSED_EVER];
        codes += (double)row[DFQ_CROSSED_CODES];
        most = fmax(most, share);
        w->weights[i].step += share;
        if (kappa) {
            double l = log(fmax((double)kappa[3 * i], 1));
            w->weights[i].kappa += l;
            logs += l;
        }
    }
    out[CODE_CHANGES_STEP] = step;
    out[CODE_CHANGES_NOW] = 100 * now / codes;
    out[CODE_CHANGES_MOST] = 100 * most;
    out[CODE_CHANGES_EVER] = 100 * ever / codes;
    out[CODE_CHANGES_KAPPA] = kappa ? exp(logs / w->n_weights) : (double)NAN;
}

static dfq_status count_step(struct code_changes *w, double step)
{
    dfq_tensor *rows = NULL, *kappa = NULL;
    dfq_status status = dfq_crossings_measure(w->crossings, &rows);
    if (status == DFQ_OK && w->inundated) status = dfq_tuner_get_crossings(w->tuner, &kappa);
    double *out = status == DFQ_OK ? new_row(w) : NULL;
    if (status == DFQ_OK && !out) status = DFQ_E_NOMEM;
    if (status == DFQ_OK)
        add_step(w, step, dfq_tensor_get_data(rows), kappa ? dfq_tensor_get_data(kappa) : NULL,
                 out);
    dfq_tensor_release(rows);
    dfq_tensor_release(kappa);
    return status;
}

/* The loss of the step that was just done, for the progress line. */
static double last_loss(const struct code_changes *w)
{
    dfq_tensor *curves = NULL;
    double loss = NAN;
    if (w->s->o->quiet || dfq_tuner_get_curves(w->tuner, &curves) != DFQ_OK) return loss;
    int64_t rows = dfq_tensor_get_dims(curves)[0], columns = dfq_tensor_get_dims(curves)[1];
    const float *v = dfq_tensor_get_data(curves);
    if (rows > 0) loss = (double)v[(rows - 1) * columns + DFQ_TUNE_TOTAL];
    dfq_tensor_release(curves);
    return loss;
}

/* The last step leaves the best parameters in the network; counted are those of the step. */
static dfq_status step_once(struct code_changes *w, double step, int32_t *finished)
{
    dfq_status status = dfq_tuner_step(w->tuner, finished);
    if (status == DFQ_OK && *finished) status = dfq_tuner_restore_parameters(w->tuner, 0);
    if (status == DFQ_OK) status = count_step(w, step);
    if (status == DFQ_OK && *finished) status = dfq_tuner_restore_parameters(w->tuner, 1);
    return status;
}

dfq_status code_changes_run(void *handle)
{
    struct code_changes *w = handle;
    struct session *s = w->s;
    dfq_tuner_cost cost = {.struct_size = sizeof cost, .seconds = 0};
    int32_t finished = 0;
    dfq_status status = dfq_tuner_estimate(w->tuner, &cost);
    if (status != DFQ_OK) return status;
    int64_t done = cost.done;
    if (done == cost.steps) return dfq_tuner_step(w->tuner, &finished); /* a finished job resumed */
    while (!finished) {
        status = step_once(w, (double)done, &finished);
        if (status != DFQ_OK) return status;
        done++;
        progress_show(&s->progress, "tune", (uint64_t)done, (uint64_t)cost.steps, last_loss(w));
        int stop =
            session_interrupted() || (s->checkpoint_at > 0 && text_now() >= s->checkpoint_at);
        if (stop && !finished) return DFQ_E_CANCELLED;
    }
    return DFQ_OK;
}

/* -- the end ----------------------------------------------------------------------------------- */

dfq_status code_changes_finish(struct code_changes *w)
{
    dfq_tensor *rows;
    double steps = (double)w->n_rows;
    dfq_status status = dfq_crossings_measure(w->crossings, &rows);
    if (status != DFQ_OK) return status;
    for (int32_t i = 0; i < w->n_weights; i++) {
        struct code_changes_weight *one = &w->weights[i];
        const float *row = (const float *)dfq_tensor_get_data(rows) + DFQ_CROSSED_COUNT * i;
        one->codes = (double)row[DFQ_CROSSED_CODES];
        one->ever = (double)row[DFQ_CROSSED_EVER] / one->codes;
        one->distance = (double)row[DFQ_CROSSED_DISTANCE];
        one->step = steps > 0 ? one->step / steps : (double)NAN;
        one->kappa = steps > 0 && w->inundated ? exp(one->kappa / steps) : (double)NAN;
    }
    dfq_tensor_release(rows);
    return DFQ_OK;
}
