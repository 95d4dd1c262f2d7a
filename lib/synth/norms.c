/* Distance between BatchNorm statistics of a batch and the running statistics, as graph nodes. */
#include "synth/norms.h"

#include "graph/ops.h"

dfqi_id dfqi_norm_distance(dfqi_graph *g, const dfqi_norm_tap *taps, int32_t n)
{
    dfqi_id sum = DFQI_NONE;
    for (int32_t i = 0; i < n; i++) {
        dfqi_id mean = dfqi_batch_stats(g, taps[i].x), var = dfqi_graph_output(g, mean, 1);
        dfqi_id one = dfqi_bns(g, mean, var, taps[i].mean, taps[i].var);
        sum = i ? dfqi_add(g, sum, one) : one;
    }
    return sum;
}
