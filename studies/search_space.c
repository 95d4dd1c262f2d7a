/* What a search space reaches: processor time of its tables of costs on one thread, the least and
 * the most of each cost over all pairs of a path and an accelerator, and its quantiles over random
 * ones. Usage: study_search_space SPACE ACCELERATOR */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support.h"

enum { PAIRS = 10000, METRICS = 3, SHARES = 4 };

static const double shares[SHARES] = {0.05, 0.1, 0.25, 0.5};

/* Cost of choice k of all cells' choices, on an accelerator. */
static double cost_at(const dfqi_search_space_costs *c, int64_t total, int64_t configs,
                      int32_t metric, int64_t k, int64_t config)
{
    return c->cost[(metric * total + k) * configs + config];
}

/* Costs are sums over cells, so each cell's least choices are the least path. */
static void bound(const dfqi_search_space_costs *c, int64_t total, int64_t configs, int32_t metric,
                  double *least, double *most)
{
    *least = INFINITY;
    *most = 0;
    for (int64_t config = 0; config < configs; config++) {
        double low = c->base[metric * configs + config], high = low;
        for (int64_t i = 0, at = 0; i < c->n_cells; at += c->choices[i++]) {
            double a = INFINITY, b = 0;
            for (int64_t k = at; k < at + c->choices[i]; k++) {
                a = fmin(a, cost_at(c, total, configs, metric, k, config));
                b = fmax(b, cost_at(c, total, configs, metric, k, config));
            }
            low += a;
            high += b;
        }
        *least = fmin(*least, low);
        *most = fmax(*most, high);
    }
}

static void print(const dfqi_search_space_costs *c, int64_t configs)
{
    static const char *const metrics[METRICS] = {"latency, ms", "energy, mJ", "area, mm2"};
    static double v[METRICS][PAIRS];
    int64_t total = study_cell_choices(c);
    study_draw_pairs(c, 1, METRICS, PAIRS, v[0]);
    printf("| | least |");
    for (int i = 0; i < SHARES; i++) printf(" %g %% |", 100 * shares[i]);
    printf(" most |\n");
    for (int m = 0; m < METRICS; m++) {
        double least, most;
        bound(c, total, configs, m, &least, &most);
        printf("| %s | %.3g |", metrics[m], least);
        for (int i = 0; i < SHARES; i++) printf(" %.3g |", v[m][(int)(shares[i] * PAIRS)]);
        printf(" %.3g |\n", most);
    }
}

int main(int argc, char **argv)
{
    dfq_context_options o;
    dfq_context *ctx;
    dfqi_search_space s;
    dfqi_search_space_costs c;
    dfq_context_options_init(&o, sizeof o);
    o.threads = 1;
    if (argc != 3) return fprintf(stderr, "usage: study_search_space SPACE ACCELERATOR\n"), 1;
    if (dfq_context_create(&o, &ctx) != DFQ_OK) return 1;
    clock_t start = clock();
    if (dfqi_search_space_read(ctx, argv[1], argv[2], &s) != DFQ_OK ||
        dfqi_search_space_costs_new(ctx, &s, &c) != DFQ_OK)
        return fprintf(stderr, "%s\n", dfq_context_get_error(ctx)), 1;
    int64_t configs = dfqi_accel_space_count(&s.accel);
    printf("%s: %d cells, %lld accelerators, tables in %.2f s\n", s.net.name, (int)c.n_cells,
           (long long)configs, (double)(clock() - start) / CLOCKS_PER_SEC);
    print(&c, configs);
    dfqi_search_space_costs_fini(&c);
    dfq_context_release(ctx);
    return 0;
}
