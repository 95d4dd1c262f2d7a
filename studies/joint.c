/* Bits of layers together with one of many accelerators, within three limits at once (latency,
 * energy, area): is every setting met by the exact costs, is the choice proved to be the best of
 * the additive model, and what time does it take? The limits of a setting are a little above what a
 * network of one width costs on a good accelerator, so that each can be met. Damages are those of a
 * file that dfq_sensitivity_save_checkpoint() wrote, or made up.
 * Usage: study_joint MODEL ACCELERATORS [settings] [images CHECKPOINT] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <dfq/dfq.h>

#include "api/handles.h"
#include "api/sensitivity_priv.h"
#include "base/progress.h"
#include "base/rng.h"

enum { DRAWN = 30 }; /* accelerators, of which the best is taken */

static dfq_context *ctx;

static void must(dfq_status status)
{
    if (status == DFQ_OK) return;
    fprintf(stderr, "study_joint: %s\n", ctx ? dfq_context_get_error(ctx) : "");
    exit(1);
}

/* Each bit less costs four times as much, by a factor of the layer's own. */
static void make_up(dfq_sensitivity *s)
{
    dfqi_rng rng = dfqi_rng_make(3, 0);
    for (int32_t i = 0; i < s->core.n; i++) {
        const double w = exp(0.7 * (double)dfqi_rng_normal(&rng)),
                     a = exp(0.7 * (double)dfqi_rng_normal(&rng));
        for (int32_t b = 0; b < DFQI_BITS_WIDTHS; b++) {
            s->core.damages[i].w[b] = w * pow(4, -b - 1);
            s->core.damages[i].a[b] = 2 * a * pow(4, -b - 1);
        }
    }
    s->core.done = s->core.n;
}

static dfq_status choose(dfq_sensitivity *s, const dfq_bits_limits *l, dfq_bits_choice *out)
{
    dfq_bits *b = NULL;
    *out = (dfq_bits_choice){.struct_size = sizeof *out};
    dfq_status status = dfq_sensitivity_choose(s, l, &b, out);
    dfq_bits_release(b);
    return status;
}

/* Latency and energy with all layers at one width. */
static void cost_uniform(const dfq_sensitivity *s, int32_t bits, int64_t config, double *ms,
                         double *mj)
{
    dfqi_pair *widths = calloc((size_t)s->table->n, sizeof *widths);
    int32_t fused;
    if (!widths) exit(1);
    for (int32_t i = 0; i < s->table->n; i++)
        widths[i] = (dfqi_pair){s->table->rows[i].has_weight ? bits : 0,
                                s->table->rows[i].has_act ? bits : 0};
    must(dfqi_bits_exact(&s->costs, widths, config, ms, mj, &fused));
    free(widths);
}

/* Limits that all layers at one width meet on a good accelerator, by up to a tenth. */
static void draw(const dfq_sensitivity *s, dfqi_rng *rng, dfq_bits_limits *l)
{
    const dfqi_bits_costs *c = &s->costs;
    int64_t best = -1;
    double least = INFINITY, ms, mj;
    for (int i = 0; i < DRAWN; i++) {
        int64_t k = (int64_t)dfqi_rng_below(rng, (uint32_t)c->n_configs);
        cost_uniform(s, c->widest, k, &ms, &mj);
        double product = ms * mj * c->base_mm2[k];
        if (product < least) least = product, best = k;
    }
    int32_t bits = 3 + (int32_t)dfqi_rng_below(rng, 5);
    cost_uniform(s, bits, best, &l->latency_ms, &l->energy_mj);
    l->latency_ms *= 1 + 0.1 * (double)dfqi_rng_uniform(rng);
    l->energy_mj *= 1 + 0.1 * (double)dfqi_rng_uniform(rng);
    l->area_mm2 = c->base_mm2[best] * (1 + 0.1 * (double)dfqi_rng_uniform(rng));
    printf("w%da%d ", (int)bits, (int)bits);
}

/* Accelerators whose tables are filled. */
static int64_t filled(const dfqi_bits_costs *c)
{
    int64_t n = 0;
    for (int64_t k = 0; k < c->n_configs; k++) n += c->filled[k];
    return n;
}

static int meets(const dfq_bits_choice *c, const dfq_bits_limits *l)
{
    return c->latency_ms <= l->latency_ms && c->energy_mj <= l->energy_mj &&
           c->area_mm2 <= l->area_mm2;
}

static void run(dfq_sensitivity *s, dfq_bits_limits l, int n)
{
    dfqi_rng rng = dfqi_rng_make(11, 0);
    int met = 0, proved = 0;
    double seconds = 0;
    for (int i = 0; i < n; i++) {
        dfq_bits_choice c;
        draw(s, &rng, &l);
        double start = dfqi_now();
        dfq_status status = choose(s, &l, &c);
        double took = dfqi_now() - start;
        printf("%.4g ms %.4g mJ %.4g mm2: ", l.latency_ms, l.energy_mj, l.area_mm2);
        seconds += took;
        if (status == DFQ_E_INFEASIBLE) {
            printf("%s, %.2f s\n", dfq_context_get_error(ctx), took);
            continue;
        }
        must(status);
        met += meets(&c, &l);
        proved += c.proved;
        printf("%s, %s, accelerator %lld, %.4g ms %.4g mJ %.4g mm2, predicted %.4g, %.2f s\n",
               meets(&c, &l) ? "met" : "NOT MET", c.proved ? "proved" : "not proved",
               (long long)c.config, c.latency_ms, c.energy_mj, c.area_mm2, c.predicted, took);
        fflush(stdout);
    }
    printf("%d of %d met, %d proved, %.1f s in all; tables of %lld accelerators of %lld\n", met, n,
           proved, seconds, (long long)filled(&s->costs), (long long)s->costs.n_configs);
}

int main(int argc, char **argv)
{
    dfq_sensitivity_options o;
    dfq_sensitivity *s;
    dfq_graph *net;
    dfq_accelerator *accel;
    dfq_bits_limits l;
    if (argc < 3) return 2;
    must(dfq_context_create(NULL, &ctx));
    must(dfq_graph_load(ctx, argv[1], NULL, &net));
    must(dfq_accelerator_load(ctx, argv[2], &accel));
    dfq_sensitivity_options_init(&o, sizeof o);
    o.images = argc > 4 ? atoi(argv[4]) : 1;
    must(dfq_sensitivity_create(net, NULL, NULL, &o, &s));
    if (argc > 5)
        must(dfq_sensitivity_load_checkpoint(s, argv[5]));
    else
        make_up(s);
    dfq_bits_limits_init(&l, sizeof l);
    l.accelerator = accel;
    must(dfqi_scheme_of_options(s->graph, &s->quantize, &s->scheme));
    must(dfqi_bits_costs_new(s->graph, &s->scheme, s->table, &accel->space, &s->costs));
    run(s, l, argc > 3 ? atoi(argv[3]) : 10);
    dfq_accelerator_release(accel);
    dfq_sensitivity_release(s);
    dfq_graph_release(net);
    dfq_context_release(ctx);
    return 0;
}
