/* Swin transformers at another image size. Windows keep their share of the map, and the tables of
 * biases are interpolated as timm does it (resize_rel_pos_bias_table): the old relative positions
 * lie on the new ones at distances that grow geometrically, so that near tokens keep what they had,
 * and between them values are bilinear. */
#include <math.h>
#include <string.h>

#include "nn/swin.h"

/* `window` of a map along an axis, on another map. */
static int64_t in_share(int64_t window, int64_t from, int64_t to)
{
    const int64_t n = window * to / from;
    return n > 1 ? n : 1;
}

void dfqi_swin_resize(dfqi_arch *a, dfqi_size image)
{
    dfqi_swin_arch *w = &a->of.swin;
    const dfqi_size from = dfqi_size_over(a->image, w->patch), to = dfqi_size_over(image, w->patch);
    for (int32_t s = 0; s < w->stages; s++)
        if (w->table[s].height > 0) /* known */
            w->window[s] = (dfqi_size){in_share(w->table[s].height, from.height, to.height),
                                       in_share(w->table[s].width, from.width, to.width)};
    a->image = image;
}

/* 1 + q + .. + q^(n-1) */
static double geometric_sum(double q, int64_t n)
{
    return (1 - pow(q, (double)n)) / (1 - q);
}

/* at[2 from + 1]: where old relative positions -from .. from lie, so that the last one is near
 * `to`. */
static void place(int64_t from, int64_t to, double *at)
{
    double lo = 1.01, hi = 1.5;
    while (hi - lo > 1e-6) {
        double q = (lo + hi) / 2;
        if (geometric_sum(q, from) > (double)to)
            hi = q;
        else
            lo = q;
    }
    double q = (lo + hi) / 2, sum = 0;
    at[from] = 0;
    for (int64_t i = 1; i <= from; i++) {
        sum += pow(q, (double)(i - 1));
        at[from + i] = sum;
        at[from - i] = -sum;
    }
}

/* The share of value `right` at position x, between it and the value in front; the ends go on as
 * they are. */
static double share(const double *at, int64_t n, double x, int64_t *right)
{
    int64_t r = 1;
    while (r < n - 1 && at[r] < x) r++;
    *right = r;
    double t = (x - at[r - 1]) / (at[r] - at[r - 1]);
    return t < 0 ? 0 : t > 1 ? 1 : t;
}

/* The relative positions 1 - window .. window - 1 of a table along an axis: where those of the file
 * lie, and the new ones. */
typedef struct axis {
    int64_t from, to; /* the last positions */
    double *at;       /* [2 from + 1] */
} axis;

/* x[(2 Y + 1) (2 X + 1),heads] -> y, which has the new extents. */
static void resample(const float *x, axis down, axis across, int64_t heads, float *y)
{
    const int64_t rows = 2 * down.from + 1, columns = 2 * across.from + 1;
    for (int64_t i = -down.to; i <= down.to; i++)
        for (int64_t j = -across.to; j <= across.to; j++) {
            int64_t r, c;
            double v = share(down.at, rows, (double)i, &r);
            double u = share(across.at, columns, (double)j, &c);
            const float *low = x + ((r - 1) * columns + c) * heads, *high = low + columns * heads;
            for (int64_t h = 0; h < heads; h++)
                *y++ = (float)((1 - v) * ((1 - u) * low[h - heads] + u * low[h]) +
                               v * ((1 - u) * high[h - heads] + u * high[h]));
        }
}

static int64_t rows_of(dfqi_size window)
{
    return (2 * window.height - 1) * (2 * window.width - 1);
}

/* One table of windows `from` for windows of `to`; it stays if it is of these already. */
static dfq_status fit_table(dfqi_st_entry *e, dfqi_size from, dfqi_size to)
{
    dfq_tensor *t = e->tensor, *in = NULL, *out = NULL;
    dfq_context *ctx = t->ctx;
    axis down = {from.height - 1, to.height - 1, NULL},
         across = {from.width - 1, to.width - 1, NULL};
    if (t->rank != 2 || t->dims[0] != rows_of(from) || dfqi_same_size(from, to) ||
        dfqi_shorter(from) < 2)
        return DFQ_OK;
    down.at = dfqi_alloc(ctx, (size_t)(2 * (down.from + across.from) + 2) * sizeof *down.at);
    if (!down.at) return DFQ_E_NOMEM;
    across.at = down.at + 2 * down.from + 1;
    place(down.from, down.to, down.at);
    place(across.from, across.to, across.at);
    dfq_status status = dfqi_tensor_to_f32(t, &in);
    if (status == DFQ_OK)
        status = dfqi_tensor_new(ctx, DFQI_F32, 2, (int64_t[]){rows_of(to), t->dims[1]}, &out);
    if (status == DFQ_OK) {
        resample(dfqi_tensor_f32(in), down, across, t->dims[1], dfqi_tensor_f32(out));
        dfqi_tensor_release(t);
        e->tensor = out;
    }
    dfqi_tensor_release(in);
    dfqi_free(ctx, down.at);
    return status;
}

dfq_status dfqi_swin_fit(dfqi_safetensors *view, const dfqi_arch *a)
{
    for (int64_t i = 0; i < view->n_entries; i++) {
        static const char begin[] = "layers.", end[] = ".attn.relative_position_bias_table";
        const char *name = view->entries[i].name;
        const size_t n = strlen(name), m = sizeof end - 1;
        if (strncmp(name, begin, sizeof begin - 1) != 0 || n < m || strcmp(name + n - m, end) != 0)
            continue;
        const int stage = name[sizeof begin - 1] - '0'; /* there are at most 8 */
        if (stage >= 0 && stage < a->of.swin.stages)
            DFQI_TRY(
                fit_table(&view->entries[i], a->of.swin.table[stage], a->of.swin.window[stage]));
    }
    return DFQ_OK;
}
