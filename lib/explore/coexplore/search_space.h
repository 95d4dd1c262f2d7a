/* Search space of a co-exploration: the choices of the network and of the accelerator, and the cost
 * of each network choice on each accelerator. */
#ifndef DFQI_EXPLORE_SEARCH_SPACE_H
#define DFQI_EXPLORE_SEARCH_SPACE_H

#include <dfq/solver.h>

#include "accel/table.h"
#include "explore/solver/ratio.h"
#include "nn/supernet.h"

typedef struct dfqi_search_space {
    dfqi_supernet_space net;
    dfqi_accel_config base; /* the first accelerator */
    dfqi_accel_space accel;
    bool has_size;   /* has costs the size of weights? */
    double power_mw; /* the limit of power that costs are to hold; 0: none. Then they have a size,
                      * too */
} dfqi_search_space;

/* `space_path`: the name of a built-in space, or the path, with a dot or a slash in it, of a
 * description (nn/supernet_space_json.c); `accelerator`: a preset's name, else the path of a
 * description. */
DFQI_CHECKED dfq_status dfqi_search_space_read(dfq_context *ctx, const char *space_path,
                                               const char *accelerator, dfqi_search_space *out);
/* The networks alone. */
DFQI_CHECKED dfq_status dfqi_search_space_find(dfq_context *ctx, const char *space_path,
                                               dfqi_supernet_space *out);

enum {
    DFQI_SEARCH_SPACE_HW_PARAMS = 6,
    DFQI_SEARCH_SPACE_METRICS = 3, /* that all costs have, and cost functions are of */
    DFQI_SEARCH_SPACE_MOST = 5
};

/* "latency_ms", "energy_mj", "area_mm2", "size_mb", "power_mw". */
extern const char *const dfqi_search_space_metrics[DFQI_SEARCH_SPACE_MOST];

/* The choices [n_cells + DFQI_SEARCH_SPACE_HW_PARAMS] of the reference design. */
void dfqi_search_space_reference(const dfqi_search_space *s, int32_t n_cells, int32_t *choice);

/* Costs of every choice on every accelerator, exact and finite, in the layout of dfq_problem:
 * [metric][cells][accelerators] and [metric][accelerators]; metrics: latency ms, energy mJ for one
 * image, area mm2; if asked for, MB of the network's weights (floats, as in a file) and the row of
 * power (solver/ratio.h). What fits nowhere costs 1e6 times the largest that fits. */
typedef struct dfqi_search_space_costs {
    dfq_context *ctx;
    int32_t n_cells, n_hw_params, n_metrics;
    int32_t *choices; /* cells', then pe_x, pe_y, rf_words, dataflow, pe_type, glb_kb */
    double *cost, *base;
    dfqi_ratio power;                  /* metric -1: there is none */
    double power_limit;                /* of its row */
    double reference[DFQ_METRICS_MAX]; /* of the reference design; infinity: it does not fit */
} dfqi_search_space_costs;

DFQI_CHECKED dfq_status dfqi_search_space_costs_new(dfq_context *ctx, const dfqi_search_space *s,
                                                    dfqi_search_space_costs *out);
void dfqi_search_space_costs_fini(dfqi_search_space_costs *c);

#endif
