/* What several studies need. */
#ifndef DFQ_STUDIES_SUPPORT_H
#define DFQ_STUDIES_SUPPORT_H

#include "explore/coexplore/search_space.h"
#include "tune/super_train.h"

/* Order of doubles, for qsort(). */
int study_ascending(const void *a, const void *b);

/* Accelerators of the space, and choices of all cells together. */
int64_t study_accelerators(const dfqi_search_space_costs *c);
int64_t study_cell_choices(const dfqi_search_space_costs *c);

/* Costs of `pairs` random pairs of a path and an accelerator: [n_metrics][pairs], each metric in
 * ascending order. */
void study_draw_pairs(const dfqi_search_space_costs *c, uint64_t seed, int32_t n_metrics, int pairs,
                      double *out);

/* All images of a data set with their labels, at the size of the space's networks. The second frees
 * them; all zero ok. */
dfq_status study_load(dfq_context *ctx, const char *path, const dfqi_supernet_space *space,
                      dfqi_super_data *out);
void study_unload(dfqi_super_data *data);

#endif
