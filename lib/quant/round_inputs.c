/* Inputs of a layer as rows for its moments: tokens of a linear layer, patches of a convolution. */
#include <string.h>

#include "base/parallel.h"
#include "graph/ops.h"
#include "quant/rounding_priv.h"

enum { PIECE = 512, PER_BODY = 16 }; /* patches of a piece, and of a body of a parallel loop */

int32_t dfqi_round_node(const dfqi_graph *g, const char *name)
{
    for (int32_t i = 0; i < g->n_nodes; i++)
        if ((g->nodes[i].op == DFQI_OP_LINEAR || g->nodes[i].op == DFQI_OP_CONV) &&
            strcmp(g->nodes[i].name, name) == 0)
            return i;
    return DFQI_NONE;
}

dfqi_inputs_shape dfqi_round_inputs(const dfqi_graph *g, int32_t node, int64_t n, int64_t limit)
{
    const dfqi_node *at = &g->nodes[node];
    const dfqi_value *x = dfqi_graph_value(g, at->in[0]);
    dfqi_inputs_shape s = {.image = dfqi_value_stride(x), .every = 1, .groups = 1};
    s.rows = s.image / dfqi_value_last(x);
    if (at->op == DFQI_OP_CONV) {
        dfqi_conv_node(g, at, &s.conv, &s.groups);
        s.rows = s.conv.out_y * s.conv.out_x;
        s.every = (s.rows * n + limit - 1) / limit;
    }
    return s;
}

/* -- patches ----------------------------------------------------------------------------------- */

/* Rows of patches: one for each position that is taken. */
typedef struct gather {
    const dfqi_round_layer *l;
    const float *from[2]; /* one image, of student and teacher */
    float *to[2];         /* [rows][cols] */
    int64_t first, rows;  /* of the positions that are taken */
    int64_t offset;       /* the first position of the image that is taken */
    int64_t group;
    dfqi_input_moments *moments; /* depthwise: [channels] */
    float *scratch;              /* depthwise: [threads][2][PIECE][taps] */
} gather;

static const float *place(const dfqi_conv_shape *s, const float *x, int64_t position, int64_t tap)
{
    int64_t y = position / s->out_x * s->stride + tap / s->kernel_x * s->dilation - s->pad;
    int64_t c = position % s->out_x * s->stride + tap % s->kernel_x * s->dilation - s->pad;
    if (y < 0 || y >= s->in_y || c < 0 || c >= s->in_x) return NULL;
    return x + (y * s->in_x + c) * s->c;
}

static void fill_patches(void *arg, int64_t i, int32_t thread)
{
    const gather *p = arg;
    const dfqi_conv_shape *s = &p->l->in.conv;
    int64_t channels = s->c / p->l->in.groups, taps = s->kernel_y * s->kernel_x;
    int64_t n = channels * taps, end = (i + 1) * PER_BODY;
    (void)thread;
    for (int64_t r = i * PER_BODY; r < end && r < p->rows; r++)
        for (int side = 0; side < 2; side++)
            for (int64_t t = 0; t < taps; t++) {
                int64_t at = p->offset + (p->first + r) * p->l->in.every;
                const float *from = place(s, p->from[side], at, t);
                float *to = p->to[side] + r * n + t;
                if (from) from += p->group * channels;
                for (int64_t c = 0; c < channels; c++) to[c * taps] = from ? from[c] : 0.0f;
            }
}

/* One channel: its patches of both sides, then their moments. */
static void add_channel(void *arg, int64_t c, int32_t thread)
{
    const gather *p = arg;
    const dfqi_conv_shape *s = &p->l->in.conv;
    int64_t taps = s->kernel_y * s->kernel_x;
    float *q = p->scratch + thread * 2 * PIECE * taps, *x = q + PIECE * taps;
    dfqi_input_moments *m = &p->moments[c];
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t t = 0; t < taps; t++) {
            int64_t at = p->offset + (p->first + r) * p->l->in.every;
            const float *student = place(s, p->from[0], at, t);
            const float *teacher = place(s, p->from[1], at, t);
            q[r * taps + t] = student ? student[c] : 0.0f;
            x[r * taps + t] = teacher ? teacher[c] : 0.0f;
        }
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t a = 0; a < taps; a++) {
            double v = (double)q[r * taps + a];
            m->student[a] += v;
            m->teacher[a] += (double)x[r * taps + a];
            for (int64_t b = 0; b <= a; b++) m->self[a * taps + b] += v * (double)q[r * taps + b];
            for (int64_t b = 0; b < taps; b++)
                m->cross[a * taps + b] += v * (double)x[r * taps + b];
        }
    m->rows += (double)p->rows;
}

/* One image. Which positions are taken changes from image to image. */
static void add_patches(dfqi_round_layer *l, int64_t image, gather *p, float *scratch)
{
    p->offset = image % l->in.every;
    int64_t all = (l->in.rows - p->offset + l->in.every - 1) / l->in.every;
    for (p->first = 0; p->first < all; p->first += PIECE) {
        p->rows = all - p->first < PIECE ? all - p->first : PIECE;
        if (dfqi_conv_is_depthwise(&l->in.conv, l->in.groups)) {
            p->moments = l->moments;
            p->scratch = scratch;
            dfqi_parallel_for(l->ctx, l->systems, add_channel, p);
            continue;
        }
        p->to[0] = scratch;
        p->to[1] = scratch + PIECE * l->n;
        for (p->group = 0; p->group < l->in.groups; p->group++) {
            dfqi_parallel_for(l->ctx, (p->rows + PER_BODY - 1) / PER_BODY, fill_patches, p);
            dfqi_input_moments_add(l->ctx, &l->moments[p->group], p->rows, p->to[0], p->to[1],
                                   p->to[1] + PIECE * l->n);
        }
    }
}

/* -- both -------------------------------------------------------------------------------------- */

size_t dfqi_round_scratch(const dfqi_round_layer *l)
{
    if (dfqi_conv_is_depthwise(&l->in.conv, l->in.groups))
        return (size_t)(l->ctx->threads * 2 * PIECE * l->n);
    return dfqi_input_moments_scratch(l->ctx, l->n) +
           (l->in.conv.kernel_y ? 2 * PIECE * (size_t)l->n : 0);
}

void dfqi_round_add(dfqi_round_layer *l, int64_t first, int64_t n, const float *student,
                    const float *teacher, float *scratch)
{
    if (!l->in.conv.kernel_y) {
        dfqi_input_moments_add(l->ctx, l->moments, n * l->in.rows, student, teacher, scratch);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        gather p = {.l = l, .from = {student + i * l->in.image, teacher + i * l->in.image}};
        add_patches(l, first + i, &p, scratch);
    }
}
