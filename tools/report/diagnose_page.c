/* Fills the diagnostics of the quantization report from the results of --diagnose. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "diagnose.h"
#include "report/report.h"

enum { CHARTS = 2, SERIES = DFQ_DIAGNOSIS_LOSSES, TEXT = 96 };

struct diagnose_page {
    struct report_diagnostics r;
    struct report_view views[DIAGNOSE_VIEWS];
    struct report_loss losses[DIAGNOSE_VIEWS][DFQ_DIAGNOSIS_LOSSES];
    char names[DIAGNOSE_VIEWS][TEXT], kl[TEXT], titles[2][3 * TEXT];
    struct report_surface surfaces[2];
    struct report_weight *weights;
    double *numbers; /* of all curves, column by column */
    struct report_chart lines[2], codes[CHARTS];
    struct report_series line_series[2][SERIES], code_series[CHARTS][SERIES];
};

static void fill_views(const struct diagnosis *d, struct diagnose_page *p)
{
    const char *const names[DFQ_DIAGNOSIS_LOSSES] = {p->kl, "KL, T = 1", "cross-entropy"};
    snprintf(p->kl, TEXT, "KL, T = %g%s", d->temperature,
             d->divided ? ", divided by the classes" : "");
    for (int v = 0; v < d->n_views; v++) {
        const dfq_diagnosis_result *r = &d->result[v];
        snprintf(p->names[v], TEXT, "%lld %s images", (long long)r->images,
                 d->real[v] ? "real" : "synthetic");
        for (int k = 0; k < DFQ_DIAGNOSIS_LOSSES; k++) {
            const dfq_diagnosis_loss *l = &d->loss[v][k];
            const struct report_loss one = {names[k],  l->loss,        l->gradient_norm,
                                            l->trace,  l->trace_error, l->eigenvalue,
                                            l->settled};
            p->losses[v][k] = one;
        }
        const struct report_view view = {p->names[v],
                                         (uint64_t)r->images,
                                         (uint64_t)r->agree,
                                         (uint64_t)r->teacher_correct,
                                         (uint64_t)r->student_correct,
                                         d->labelled[v],
                                         r->cosine,
                                         p->losses[v],
                                         DFQ_DIAGNOSIS_LOSSES};
        p->views[v] = view;
    }
    p->r.views = p->views;
    p->r.n_views = (size_t)d->n_views;
    p->r.values = (double)d->result[0].values;
}

static void fill_maps(const struct diagnosis *d, struct diagnose_page *p)
{
    static const int shown[2] = {DFQ_DIAGNOSIS_KL, DFQ_DIAGNOSIS_CE};
    size_t side = (size_t)dfq_tensor_get_dims(d->surface)[1];
    const float *v = dfq_tensor_get_data(d->surface);
    for (int i = 0; i < 2; i++) {
        snprintf(p->titles[i], sizeof p->titles[i], "%s%s, %s",
                 i ? "Cross-entropy" : "Divergence: ", i ? "" : p->kl, p->names[0]);
        const struct report_surface map = {p->titles[i], v + (size_t)shown[i] * side * side, side};
        p->surfaces[i] = map;
    }
    p->r.surfaces = p->surfaces;
    p->r.n_surfaces = 2;
}

/* All losses along the row and the column in the middle. */
static void fill_lines(const struct diagnosis *d, struct diagnose_page *p, double *at)
{
    static const char *const titles[2] = {"Losses along direction u", "Losses along direction v"};
    const char *const names[DFQ_DIAGNOSIS_LOSSES] = {p->kl, "KL, T = 1", "cross-entropy"};
    size_t side = (size_t)dfq_tensor_get_dims(d->surface)[1], half = side / 2;
    const float *v = dfq_tensor_get_data(d->surface);
    double *y = at + side;
    for (size_t i = 0; i < side; i++) at[i] = -1 + 2 * (double)i / (double)(side - 1);
    for (int c = 0; c < 2; c++) {
        for (size_t k = 0; k < SERIES; k++, y += side) {
            const float *map = v + k * side * side;
            for (size_t i = 0; i < side; i++)
                y[i] = (double)(c ? map[i * side + half] : map[half * side + i]);
            const struct report_series s = {names[k], at, y, side};
            p->line_series[c][k] = s;
        }
        const struct report_chart line = {titles[c], c ? "v" : "u", p->line_series[c], SERIES, 1};
        p->lines[c] = line;
    }
    p->r.lines = p->lines;
    p->r.n_lines = 2;
}

static void fill_codes(const struct diagnosis *d, struct diagnose_page *p, double *at)
{
    static const char *const names[CODE_CHANGES_COLUMNS] = {
        NULL, "per step, all weights", "per step, largest of a tensor", "since calibration",
        "kappa, geometric mean"};
    size_t n = d->changes.n_rows;
    for (int c = 0; c < CODE_CHANGES_COLUMNS; c++)
        for (size_t i = 0; i < n; i++)
            at[(size_t)c * n + i] = d->changes.rows[i * CODE_CHANGES_COLUMNS + (size_t)c];
    for (int c = CODE_CHANGES_NOW; c <= CODE_CHANGES_KAPPA; c++) {
        const struct report_series s = {names[c], at, at + (size_t)c * n, n};
        p->code_series[c == CODE_CHANGES_KAPPA]
                      [c == CODE_CHANGES_KAPPA ? 0 : c - CODE_CHANGES_NOW] = s;
    }
    const struct report_chart changes = {"Changed codes, %", "step", p->code_series[0], 3, 1};
    const struct report_chart kappa = {"Kappa: factor of gradient inundation", "step",
                                       p->code_series[1], 1, 1};
    p->codes[0] = changes;
    p->codes[1] = kappa;
    p->r.codes = p->codes;
    p->r.n_codes = CHARTS;
}

static void fill_weights(const struct diagnosis *d, struct diagnose_page *p)
{
    const float *row = dfq_tensor_get_data(d->weights);
    for (int32_t i = 0; i < d->changes.n_weights; i++, row += DFQ_DIAGNOSIS_COUNT) {
        const struct code_changes_weight *w = &d->changes.weights[i];
        const struct report_weight one = {w->name,
                                          w->codes,
                                          (double)row[DFQ_DIAGNOSIS_COSINE],
                                          w->step,
                                          w->ever,
                                          w->distance,
                                          w->kappa,
                                          {(double)row[DFQ_DIAGNOSIS_TRACE + DFQ_DIAGNOSIS_KL],
                                           (double)row[DFQ_DIAGNOSIS_TRACE + DFQ_DIAGNOSIS_CE]}};
        p->weights[i] = one;
    }
    p->r.weights = p->weights;
    p->r.n_weights = (size_t)d->changes.n_weights;
}

struct diagnose_page *diagnose_page_make(const struct diagnosis *d)
{
    struct diagnose_page *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    size_t side = (size_t)dfq_tensor_get_dims(d->surface)[1];
    size_t line = (1 + 2 * SERIES) * side, n = d->changes.n_rows;
    p->weights = calloc((size_t)d->changes.n_weights + 1, sizeof *p->weights);
    p->numbers = calloc(line + CODE_CHANGES_COLUMNS * n, sizeof *p->numbers);
    if (!p->weights || !p->numbers) {
        diagnose_page_free(p);
        return NULL;
    }
    fill_views(d, p);
    fill_maps(d, p);
    fill_lines(d, p, p->numbers);
    fill_codes(d, p, p->numbers + line);
    fill_weights(d, p);
    return p;
}

const struct report_diagnostics *diagnose_page_get(const struct diagnose_page *p)
{
    return &p->r;
}

void diagnose_page_free(struct diagnose_page *p)
{
    if (!p) return;
    free(p->weights);
    free(p->numbers);
    free(p);
}
