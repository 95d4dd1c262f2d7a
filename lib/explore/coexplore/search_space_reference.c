/* The reference design of a search space, the unit of two cost functions (docs/METHODS.md, Costs):
 * every MBConv cell 5x5 with expansion 6, on 16 x 16 elements, row-stationary, with 64 words and
 * 108 KB. Where the space lacks a value, the nearest one is taken. */
#include <math.h>
#include <stdlib.h>

#include "explore/coexplore/search_space.h"

static int32_t nearest(const dfqi_values *values, double to)
{
    int32_t best = 0;
    for (int32_t i = 1; i < values->n; i++)
        if (fabs(values->v[i] - to) < fabs(values->v[best] - to)) best = i;
    return best;
}

static int32_t find(const dfqi_values *values, double what)
{
    for (int32_t i = 0; i < values->n; i++)
        if (values->v[i] == what) return i;
    return 0;
}

/* The same for every cell. Stages of transformers have no such design: the middle of their
 * choices. */
static int32_t cell_choice(const dfqi_supernet_space *s)
{
    int32_t best = 0;
    int64_t least = INT64_MAX;
    if (s->family != DFQI_SUPER_MBCONV) return (s->n_choices - 1) / 2;
    for (int32_t k = 0; k < s->n_choices; k++) {
        int64_t away = llabs(s->choices[k].kernel - 5) + llabs(s->choices[k].expand - 6);
        if (away < least) least = away, best = k;
    }
    return best;
}

void dfqi_search_space_reference(const dfqi_search_space *s, int32_t n_cells, int32_t *choice)
{
    const dfqi_accel_space *a = &s->accel;
    const int32_t hw_params[DFQI_SEARCH_SPACE_HW_PARAMS] = {nearest(&a->pe_x, 16),
                                                            nearest(&a->pe_y, 16),
                                                            nearest(&a->rf_words, 64),
                                                            find(&a->dataflow, DFQI_FLOW_RS),
                                                            0,
                                                            nearest(&a->glb_kb, 108)};
    for (int32_t i = 0; i < n_cells; i++) choice[i] = cell_choice(&s->net);
    for (int32_t i = 0; i < DFQI_SEARCH_SPACE_HW_PARAMS; i++) choice[n_cells + i] = hw_params[i];
}
