/* Cost tables from a caller's own cost model (dfq_cost_model). */
#ifndef DFQI_EXPLORE_COST_MODEL_H
#define DFQI_EXPLORE_COST_MODEL_H

#include <dfq/explorer.h>

#include "explore/coexplore/search_space.h"

/* Costs of every choice of the supernet on every accelerator of the model. DFQ_E_INVALID and
 * DFQ_E_NUMERIC: the model is not one, the text says why; what cost() returned; DFQ_E_CANCELLED. */
DFQI_CHECKED dfq_status dfqi_cost_model_tabulate(dfq_context *ctx, const dfqi_supernet_space *space,
                                                 const dfq_cost_model *model,
                                                 dfqi_search_space_costs *out);

#endif
