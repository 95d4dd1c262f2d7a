/* Fills the curves of the quantization report: synthesis, tuning, generator network, threshold
 * crossings. */
#include <math.h>
#include <stdlib.h>

#include "model.h"
#include "report/quantize_page.h"

static const char statistics[] = "distance of BatchNorm statistics";

double *page_numbers(struct page *p, size_t n)
{
    double *out = p->numbers + p->used;
    if (p->used + n > p->cap) return NULL;
    p->used += n;
    return out;
}

/* Adds column `column` of a table [rows, columns] to the chart; several batches one after the other
 * become their mean. x is the row, or column 0 if `x_column`. */
static void add_series(struct page *p, struct report_chart *c, const char *name,
                       const dfq_tensor *table, int column, int64_t batches, int x_column)
{
    const int64_t *dims = dfq_tensor_get_dims(table);
    const float *v = dfq_tensor_get_data(table);
    int64_t rows = dims[0] / batches, columns = dims[1], finite = 0;
    struct report_series *s = p->series[p->r.n_charts] + c->n_series;
    if (rows < 1) return;
    double *x = page_numbers(p, (size_t)rows), *y = page_numbers(p, (size_t)rows);
    if (!x || !y) return;
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t b = 0; b < batches; b++) sum += (double)v[(b * rows + i) * columns + column];
        x[i] = x_column ? (double)v[i * columns] : (double)i;
        y[i] = sum / (double)batches;
        finite += isfinite(y[i]) != 0;
    }
    if (finite == 0) return;
    s->name = name;
    s->step = x;
    s->value = y;
    s->n = (size_t)rows;
    c->n_series++;
}

static struct report_chart *new_chart(struct page *p, const char *title, const char *x_label,
                                      int log_y)
{
    struct report_chart *c = &p->charts[p->r.n_charts];
    c->title = title;
    c->x_label = x_label;
    c->series = p->series[p->r.n_charts];
    c->n_series = 0;
    c->log_y = log_y;
    return c;
}

static void keep_chart(struct page *p, const struct report_chart *c)
{
    if (c->n_series > 0) p->r.n_charts++;
}

/* -- crossings --------------------------------------------------------------------------------- */

/* Noisy from step to step: what is shown are means over windows of steps. */
enum { WINDOWS = 120 };

static int64_t window_steps(int64_t rows)
{
    return (rows + WINDOWS - 1) / WINDOWS;
}

/* Mean of the finite values of a column; NaN if there is none. */
static double window_mean(const float *v, int64_t from, int64_t to, int64_t columns)
{
    double sum = 0, n = 0;
    for (int64_t i = from; i < to; i++)
        if (isfinite(v[i * columns])) sum += (double)v[i * columns], n++;
    return n > 0 ? sum / n : (double)NAN;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of finite values, which it sorts; NaN without any. */
static double median(double *v, int64_t n)
{
    if (n == 0) return (double)NAN;
    qsort(v, (size_t)n, sizeof *v, compare);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

/* The share of codes that a step changes, in percent: each weight, their median, the target. */
static int add_crossings(const struct quantize *q, struct page *p)
{
    const int64_t *dims = dfq_tensor_get_dims(q->crossed);
    const float *share = dfq_tensor_get_data(q->crossed);
    int64_t rows = dims[0], n = dims[1], per = window_steps(rows);
    int64_t count = rows > 0 ? (rows + per - 1) / per : 0;
    const float *targets = dfq_tensor_get_data(q->crossing_targets);
    double *row = calloc((size_t)n + 1, sizeof *row);
    double *x = page_numbers(p, (size_t)count), *y = page_numbers(p, (size_t)((n + 2) * count));
    p->weights = calloc((size_t)n + 2, sizeof *p->weights);
    if (!row || !x || !y || !p->weights) {
        free(row);
        return -1;
    }
    for (int64_t k = 0; k < count; k++) {
        int64_t from = k * per, to = from + per < rows ? from + per : rows, known = 0;
        for (int64_t w = 0; w < n; w++) {
            double mean = 100 * window_mean(share + w, from, to, n);
            y[w * count + k] = mean;
            if (isfinite(mean)) row[known++] = mean;
        }
        x[k] = (double)(from + to - 1) / 2;
        y[n * count + k] = median(row, known);
        y[(n + 1) * count + k] = known > 0 ? 100 * (double)targets[from] : (double)NAN;
    }
    free(row);
    for (int64_t w = 0; w < n + 2; w++) {
        const char *name = w < n ? NULL : w == n ? "median of the tensors" : "target";
        const struct report_series one = {name, x, y + w * count, (size_t)count};
        p->weights[w] = one;
    }
    struct report_chart *c =
        new_chart(p, "Changed codes of each weight tensor per step, %", "step", 1);
    c->series = p->weights;
    c->n_series = (size_t)n + 2;
    keep_chart(p, c);
    return 0;
}

size_t page_curves_room(const struct quantize *q)
{
    /* each series takes x and y, of one column each */
    size_t n = 2 * (page_count(q->losses) + page_count(q->curves) + page_count(q->evaluations) +
                    page_count(q->generator_losses));
    n += 2 * (size_t)q->n_fronts * FRONT_POINTS;
    return q->crossed ? n + (size_t)(dfq_tensor_get_dims(q->crossed)[1] + 3) * WINDOWS : n;
}

/* -- all --------------------------------------------------------------------------------------- */

static void fill_synthesis(const struct quantize *q, struct page *p)
{
    struct report_chart *c;
    int64_t rows = dfq_tensor_get_dims(q->losses)[0], per = q->full.iters;
    int64_t batches = rows % per == 0 && rows > 0 ? rows / per : 1;
    int pse = q->full.kind == DFQ_SYNTHESIZER_PSE;
    const char *axis = batches > 1 ? "iteration, mean over batches" : "iteration";
    c = new_chart(p, "Synthesis", axis, 1);
    add_series(p, c, "objective", q->losses, DFQ_LOSS_TOTAL, batches, 0);
    add_series(p, c, "class", q->losses, DFQ_LOSS_CLASS, batches, 0);
    if (q->full.kind == DFQ_SYNTHESIZER_ATTENTION)
        add_series(p, c, "head distance", q->losses, DFQ_LOSS_ATTENTION, batches, 0);
    if (!model_has_heads(&q->info))
        add_series(p, c, statistics, q->losses, DFQ_LOSS_ATTENTION, batches, 0);
    keep_chart(p, c);
    if (pse) {
        c = new_chart(p, "Synthesis: patch similarity entropy", axis, 0);
        add_series(p, c, "entropy term", q->losses, DFQ_LOSS_ATTENTION, batches, 0);
        keep_chart(p, c);
    }
    const char *tv = pse ? "total variation, distance from its target" : "total variation";
    c = new_chart(p, "Synthesis: total variation", axis, 1);
    add_series(p, c, tv, q->losses, DFQ_LOSS_TV, batches, 0);
    keep_chart(p, c);
}

static void fill_generator(const struct quantize *q, struct page *p)
{
    struct report_chart *c = new_chart(p, "Generator", "step", 1);
    add_series(p, c, "objective", q->generator_losses, 0, 1, 0);
    add_series(p, c, "class", q->generator_losses, 1, 1, 0);
    add_series(p, c, statistics, q->generator_losses, 2, 1, 0);
    keep_chart(p, c);
}

int page_curves_fill(const struct quantize *q, struct page *p)
{
    struct report_chart *c;
    page_front_fill(q, p);
    if (q->losses) fill_synthesis(q, p);
    if (q->generator_losses) fill_generator(q, p);
    if (q->curves) {
        c = new_chart(p, "Tuning", "step", 1);
        add_series(p, c, "loss", q->curves, DFQ_TUNE_TOTAL, 1, 0);
        add_series(p, c, "divergence", q->curves, DFQ_TUNE_KL, 1, 0);
        add_series(p, c, "attention distance", q->curves, DFQ_TUNE_HEAD, 1, 0);
        add_series(p, c, "class", q->curves, DFQ_TUNE_LABEL, 1, 0);
        keep_chart(p, c);
    }
    if (q->evaluations) {
        c = new_chart(p, "Tuning: divergence on held-out images", "step", 0);
        add_series(p, c, "held out", q->evaluations, 1, 1, 1);
        keep_chart(p, c);
    }
    p->r.charts = p->charts;
    return q->crossed ? add_crossings(q, p) : 0;
}
