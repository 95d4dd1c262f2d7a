/* The joint search in the report of `dfq explore MODEL`: what was certified, and the fronts. */
#include <math.h>
#include <stdio.h>

#include "bits.h"
#include "hardware.h"
#include "report/quantize_page.h"

static const char *const titles[FRONT_METRICS] = {
    "Divergence over latency", "Divergence over energy", "Divergence over area",
    "Divergence over size of the weights", "Divergence over power"};
static const char *const axes[FRONT_METRICS] = {"ms", "mJ", "mm\xc2\xb2", "MB", "mW"};

/* As charts show it. */
static double shown(double v, int metric)
{
    return metric == FRONT_SIZE ? v / 1e6 : v;
}

static void fill_chart(const struct front *f, struct page *p)
{
    struct report_chart *c = &p->charts[p->r.n_charts];
    struct report_series *s = p->series[p->r.n_charts];
    double *x = page_numbers(p, (size_t)f->n), *y = page_numbers(p, (size_t)f->n);
    if (!x || !y) return;
    for (int i = 0; i < f->n; i++) {
        x[i] = shown(front_value(&f->points[i], f->metric), f->metric);
        y[i] = f->points[i].predicted;
    }
    s[0] = (struct report_series){"chosen within each limit", x, y, (size_t)f->n};
    *c = (struct report_chart){titles[f->metric], axes[f->metric], s, 1, 0};
    p->r.n_charts++;
}

void page_front_fill(const struct quantize *q, struct page *p)
{
    for (int i = 0; i < q->n_fronts; i++) fill_chart(&q->fronts[i], p);
}

void page_front_verdict(const struct quantize *q, char *out, size_t size)
{
    int at = snprintf(out, size, "Every limit holds by the exact costs:");
    for (int i = 0; i < q->n_fronts && at < (int)size; i++) {
        const struct front *f = &q->fronts[i];
        const int m = f->metric;
        at += snprintf(out + at, size - (size_t)at, "%s %.4g of %.4g %s", i ? "," : "",
                       shown(front_value(&q->choice, m), m), shown(f->limits[f->own], m), axes[m]);
    }
    char proof[80];
    if (at < (int)size)
        snprintf(out + at, size - (size_t)at, "; the sum of damages: %s.",
                 bits_proof(&q->choice, proof));
}

void page_front_accelerator(const struct quantize *q, char *out, size_t size)
{
    dfq_accelerator_config hw = {.struct_size = sizeof hw};
    char words[HARDWARE_TEXT];
    if (dfq_accelerator_get_config(q->accel, q->choice.config, &hw) != DFQ_OK) return;
    int at = snprintf(out, size, "%lld of %lld: %s", (long long)q->choice.config,
                      (long long)dfq_accelerator_get_count(q->accel), hardware_words(&hw, words));
    if (q->choice.fused_attentions > 0 && at < (int)size)
        snprintf(out + at, size - (size_t)at, "; attention fused in %d blocks",
                 (int)q->choice.fused_attentions);
}
