/* The front of a joint search (front.h). */
#include "front.h"

#include <math.h>

#include "bits.h"
#include "hardware.h"

/* Shares of what the choice takes, until nothing meets them, and of its limit, until that asks for
 * nothing. */
static const double tighter[] = {0.97, 0.9, 0.8, 0.65}, looser[] = {1.1, 1.25, 1.5, 2};
enum { SIDE = sizeof tighter / sizeof *tighter };
static const double binding = 0.98; /* of a limit: what takes less is not held by it */

const char *const front_names[FRONT_METRICS] = {"latency_ms", "energy_mj", "area_mm2", "size_bytes",
                                                "power_mw"};

/* The limit of a metric. */
static double *limit_of(dfq_bits_limits *l, int metric)
{
    double *const all[FRONT_METRICS] = {&l->latency_ms, &l->energy_mj, &l->area_mm2, &l->size_bytes,
                                        &l->power_mw};
    return all[metric];
}

double front_value(const dfq_bits_choice *c, int metric)
{
    const double all[FRONT_METRICS] = {c->latency_ms, c->energy_mj, c->area_mm2, c->size_bytes,
                                       c->power_mw};
    return all[metric];
}

static dfq_status choose(dfq_sensitivity *s, const dfq_bits_limits *l, dfq_bits_choice *out)
{
    dfq_bits *b = NULL;
    *out = (dfq_bits_choice){.struct_size = sizeof *out};
    dfq_status status = dfq_sensitivity_choose(s, l, &b, out);
    dfq_bits_release(b);
    return status;
}

static void keep(struct front *f, double limit, const dfq_bits_choice *c)
{
    f->limits[f->n] = limit;
    f->points[f->n++] = *c;
}

/* The points of one metric, in the order of its limits. */
static dfq_status find(const struct quantize *q, dfq_sensitivity *s, dfq_bits_limits l, int metric,
                       struct front *f)
{
    double *limit = limit_of(&l, metric);
    const double own = *limit, taken = front_value(&q->choice, metric);
    dfq_bits_choice low[SIDE], c = q->choice;
    int n = 0;
    dfq_status status = DFQ_OK;
    for (; n < SIDE; n++) {
        *limit = taken * tighter[n];
        status = choose(s, &l, &low[n]);
        if (status != DFQ_OK) break;
    }
    if (status != DFQ_OK && status != DFQ_E_INFEASIBLE) return status;
    *limit = own;
    for (int i = n - 1; i >= 0; i--) keep(f, taken * tighter[i], &low[i]);
    f->own = f->n;
    keep(f, own, &q->choice);
    for (int i = 0; i < SIDE && front_value(&c, metric) > binding * *limit_of(&l, metric); i++) {
        *limit = own * looser[i];
        status = choose(s, &l, &c);
        if (status != DFQ_OK) return status;
        keep(f, *limit, &c);
    }
    return DFQ_OK;
}

int front_find(struct quantize *q, dfq_sensitivity *s)
{
    dfq_bits_limits limits;
    dfq_status status = bits_limits(q, &limits);
    progress_begin(&q->s->progress, "front", 0, plan_after(&q->plan, PLAN_CALIBRATE));
    for (int m = 0; m < FRONT_METRICS && status == DFQ_OK; m++) {
        struct front *f = &q->fronts[q->n_fronts];
        if (!(*limit_of(&limits, m) > 0)) continue;
        f->metric = m;
        status = find(q, s, limits, m, f);
        q->n_fronts += status == DFQ_OK;
    }
    progress_end(&q->s->progress);
    if (status == DFQ_E_CANCELLED) return CODE_INTERRUPTED;
    return status == DFQ_OK ? CODE_DONE : session_fail(q->s, status, PHASE_WORK);
}

/* -- telling ----------------------------------------------------------------------------------- */

static void print_choice(const dfq_bits_choice *c)
{
    char gap[32];
    snprintf(gap, sizeof gap, "within %.2g %%", 100 * c->gap);
    printf("%10.4g %10.4g %10.4g %10.4g %8lld %10.4g %s\n", c->latency_ms, c->energy_mj,
           c->area_mm2, c->size_bytes / 1e6, (long long)c->config, c->predicted,
           c->proved ? "yes" : gap);
}

void front_print(const struct quantize *q)
{
    static const char *const words[FRONT_METRICS] = {"latency, ms", "energy, mJ", "area, mm2",
                                                     "size, MB", "power, mW"};
    for (int i = 0; i < q->n_fronts; i++) {
        const struct front *f = &q->fronts[i];
        printf("front of %s; the other limits as given\n%10s %10s %10s %10s %10s %8s %10s %s\n",
               words[f->metric], "at most", "ms", "mJ", "mm2", "MB", "accel.", "divergence",
               "proved");
        for (int k = 0; k < f->n; k++) {
            printf("%10.4g ", f->limits[k] / (f->metric == FRONT_SIZE ? 1e6 : 1));
            print_choice(&f->points[k]);
        }
    }
}

static void point_json(struct json *j, double limit, const dfq_bits_choice *c)
{
    json_open(j, NULL, '{');
    json_fraction(j, "limit", limit);
    json_fraction(j, "predicted", c->predicted);
    for (int m = 0; m < FRONT_METRICS; m++) json_fraction(j, front_names[m], front_value(c, m));
    json_int(j, "config", c->config);
    json_int(j, "proved", c->proved);
    json_fraction(j, "gap", c->gap);
    json_close(j, '}');
}

void front_json(struct json *j, const struct quantize *q)
{
    json_open(j, "fronts", '[');
    for (int i = 0; i < q->n_fronts; i++) {
        const struct front *f = &q->fronts[i];
        json_open(j, NULL, '{');
        json_text(j, "metric", front_names[f->metric]);
        json_open(j, "points", '[');
        for (int k = 0; k < f->n; k++) point_json(j, f->limits[k], &f->points[k]);
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}
