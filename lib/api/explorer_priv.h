/* The struct behind dfq_explorer, for the files that implement dfq/explorer.h. */
#ifndef DFQI_API_EXPLORER_PRIV_H
#define DFQI_API_EXPLORER_PRIV_H

#include <dfq/explorer.h>

#include "explore/coexplore/coexplore.h"
#include "explore/coexplore/search_space.h"

enum { DFQI_EXPLORER_NAME = 48 };

struct dfq_explorer {
    dfq_context *ctx; /* kept alive by the job */
    dfqi_search_space space;
    dfqi_search_space_costs costs;
    bool custom;                       /* the costs are a dfq_cost_model's */
    char (*names)[DFQI_EXPLORER_NAME]; /* of the groups, then of all choices */
    char metric_names[DFQ_METRICS_MAX][DFQI_EXPLORER_NAME];
    const char *metrics[DFQ_METRICS_MAX];
    dfqi_coexplore_tables tables;
    dfqi_coexplore *job;
};

/* The cells, then the hardware parameters. */
int32_t dfqi_explorer_groups(const dfq_explorer *e);

/* Makes the names of groups, choices and metrics, once the costs are known. A `model` of NULL: the
 * library's accelerators. */
DFQI_CHECKED dfq_status dfqi_explorer_make_names(dfq_explorer *e, const dfq_cost_model *model);

#endif
