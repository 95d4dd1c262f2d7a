/* Images as codes of 8 bits, which their pixels had. */
#include "quant/image_grid.h"

#include <math.h>

enum { CODES = 255 };

dfqi_image_grid dfqi_image_grid_of(const dfqi_preprocess *p)
{
    float lo = 0.0f, hi = 0.0f;
    for (int c = 0; c < 3; c++) {
        lo = fminf(lo, -p->mean[c] / p->std[c]);
        hi = fmaxf(hi, (1.0f - p->mean[c]) / p->std[c]);
    }
    const float scale = (hi - lo) / CODES;
    return (dfqi_image_grid){.scale = scale, .zero_point = rintf(-lo / scale), .qmax = CODES};
}

static dfqi_id constant(dfqi_graph *g, float value)
{
    const int64_t one = 1;
    dfq_tensor *t;
    if (g->status != DFQ_OK) return DFQI_NONE;
    g->status = dfqi_tensor_new(g->ctx, DFQI_F32, 1, &one, &t);
    if (g->status != DFQ_OK) return DFQI_NONE;
    *dfqi_tensor_f32(t) = value;
    dfqi_id id = dfqi_graph_param(g, NULL, t, 1);
    dfqi_tensor_release(t);
    return id;
}

dfqi_id dfqi_image_grid_fq(dfqi_graph *g, dfqi_id x, const dfqi_image_grid *grid)
{
    const dfqi_id scale = constant(g, grid->scale), zero_point = constant(g, grid->zero_point);
    return dfqi_fq(g, x, scale, zero_point, 0.0f, grid->qmax, 1.0f, 1.0f);
}

static const dfqi_node *maker(const dfqi_graph *g, dfqi_id value)
{
    const int32_t node = value < 0 ? -1 : dfqi_graph_value(g, value)->node;
    return node < 0 ? NULL : &g->nodes[node];
}

bool dfqi_reads_image(const dfqi_graph *g, dfqi_id value)
{
    const dfqi_node *n = maker(g, value);
    return n && (n->op == DFQI_OP_PATCHIFY || n->op == DFQI_OP_CHANNELS_LAST) &&
           dfqi_graph_value(g, n->in[0])->kind == DFQI_VALUE_INPUT;
}

bool dfqi_is_mean(const dfqi_graph *g, dfqi_id value)
{
    const dfqi_node *n = maker(g, value);
    return n && n->op == DFQI_OP_MEAN_POOL;
}
