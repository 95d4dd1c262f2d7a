/* How far is the mapping search from the true optimum? On random small layers and accelerators it
 * compares energy x latency of the mapping found, its energy and its latency with the least of all
 * mappings of the same dataflow, each on its own, and prints mean and worst excess, by dataflow.
 * Usage: study_mappings [LAYERS [SEED [MOST]]]; layers with more than MOST mappings to try, and
 * such as fit nothing, are left out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <dfq/dfq.h>

#include "accel/mapping_search.h"
#include "accel/mapping_text.h"
#include "base/context.h"
#include "support/small_layers.h"

static const char *const aims[DFQT_AIMS] = {"energy x latency", "energy", "latency"};
static const char *const flows[DFQI_FLOW_COUNT] = {"ws", "os", "rs"};

typedef struct gaps {
    int n;
    double sum, worst;
} gaps;

static void note(gaps *g, double gap)
{
    g->n++;
    g->sum += gap;
    g->worst = fmax(g->worst, gap);
}

static void show(const dfqt_small *s, double found, const dfqi_mapping *own,
                 const dfqt_best_mapping *best)
{
    char text[2][DFQI_MAPPING_TEXT_MAX];
    dfqi_mapping_print(own, text[0]);
    dfqi_mapping_print(&best->mapping, text[1]);
    printf("  %s +%.1f %%:", flows[s->t.dataflow], 100 * (found / best->value - 1));
    for (int d = 0; d < DFQI_DIMS; d++) printf(" %c%d", "GNCMPQRS"[d], (int)(s->layer.dim[d]));
    printf(" stride %d, %d x %d, rf %d, %g KB\n    found %s\n    best  %s\n", (int)s->layer.stride,
           s->t.pe_x, s->t.pe_y, (int)s->t.rf_words, s->t.glb_kb, text[0], text[1]);
}

/* False: too many mappings, or none. */
static bool compare(dfq_context *ctx, const dfqt_small *s, int64_t most, gaps all[][DFQT_AIMS])
{
    dfqi_search_cache cache;
    dfqi_mapping m;
    dfqi_cost c;
    double gap[DFQT_AIMS];
    dfqi_search_cache_init(&cache, ctx, &s->layer);
    dfq_status status = dfqi_search_mapping(&cache, "layer", &s->t, DFQI_LEAST_EDP, &c, &m);
    dfqi_search_cache_fini(&cache);
    if (status != DFQ_OK) return false;
    for (int aim = 0; aim < DFQT_AIMS; aim++) {
        dfqt_best_mapping best;
        const double found = dfqt_mapping_value(&c, aim);
        if (!dfqt_best_mapping_of(&s->layer, &s->t, aim, found, most, &best)) return false;
        gap[aim] = found / best.value - 1;
        if (aim == DFQT_EDP && gap[aim] > 0.05) show(s, found, &m, &best);
    }
    for (int aim = 0; aim < DFQT_AIMS; aim++) {
        note(&all[s->t.dataflow][aim], gap[aim]);
        note(&all[DFQI_FLOW_COUNT][aim], gap[aim]);
    }
    return true;
}

int main(int argc, char **argv)
{
    const int layers = argc > 1 ? atoi(argv[1]) : 200;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    const int64_t most = argc > 3 ? atoll(argv[3]) : 3000000;
    gaps all[DFQI_FLOW_COUNT + 1][DFQT_AIMS] = {{{0}}};
    dfq_context *ctx;
    int left_out = 0;
    if (dfq_context_create(NULL, &ctx) != DFQ_OK) return 1;
    for (uint64_t i = 0; all[DFQI_FLOW_COUNT][0].n < layers && left_out < 10 * layers; i++) {
        dfqt_small s;
        if (!dfqt_small_layer(ctx, seed, i, &s)) return 1;
        left_out += !compare(ctx, &s, most, all);
    }
    for (int f = 0; f <= DFQI_FLOW_COUNT; f++)
        for (int aim = 0; aim < DFQT_AIMS; aim++)
            printf("%s, %s: %d layers, above the least by %.2f %% in the mean, %.2f %% at most\n",
                   f < DFQI_FLOW_COUNT ? flows[f] : "all", aims[aim], all[f][aim].n,
                   100 * all[f][aim].sum / all[f][aim].n, 100 * all[f][aim].worst);
    printf("%d layers left out\n", left_out);
    dfq_context_release(ctx);
    return 0;
}
