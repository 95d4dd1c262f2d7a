/* Swin transformers at another image size. Windows keep their share of the map, and the tables of
 * biases are interpolated as timm does it (resize_rel_pos_bias_table): the old relative positions
 * lie on the new ones at distances that grow geometrically, so that near tokens keep what they had,
 * and between them values are bilinear. */
#include <math.h>
#include <string.h>

#include "nn/swin.h"

void dfqi_swin_resize(dfqi_arch *a, dfqi_size image)
{
    dfqi_swin_arch *w = &a->of.swin;
    for (int32_t s = 0; s < w->stages; s++) {
        int64_t side = w->window[s] * (image.height / w->patch) / (a->image.height / w->patch);
        w->window[s] = (int32_t)(side > 1 ? side : 1);
    }
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

/* x[(2 from + 1)^2,heads] -> y[(2 to + 1)^2,heads]; at: scratch for 2 from + 1 places. */
static void resample(const float *x, int64_t from, int64_t to, int64_t heads, double *at, float *y)
{
    const int64_t n = 2 * from + 1;
    place(from, to, at);
    for (int64_t i = -to; i <= to; i++)
        for (int64_t j = -to; j <= to; j++) {
            int64_t r, c;
            double down = share(at, n, (double)i, &r), across = share(at, n, (double)j, &c);
            const float *low = x + ((r - 1) * n + c) * heads, *high = x + (r * n + c) * heads;
            for (int64_t h = 0; h < heads; h++)
                *y++ = (float)((1 - down) * ((1 - across) * low[h - heads] + across * low[h]) +
                               down * ((1 - across) * high[h - heads] + across * high[h]));
        }
}

/* One table for windows of `window`; it stays if it is of these already. */
static dfq_status fit_table(dfqi_st_entry *e, int64_t window)
{
    dfq_tensor *t = e->tensor, *in = NULL, *out = NULL;
    dfq_context *ctx = t->ctx;
    const int64_t rows = (2 * window - 1) * (2 * window - 1);
    if (t->rank != 2 || t->dims[0] == rows) return DFQ_OK;
    const int64_t from = ((int64_t)sqrt((double)t->dims[0]) - 1) / 2;
    if (from < 1 || (2 * from + 1) * (2 * from + 1) != t->dims[0]) return DFQ_OK;
    double *at = dfqi_alloc(ctx, (size_t)(2 * from + 1) * sizeof *at);
    if (!at) return DFQ_E_NOMEM;
    dfq_status status = dfqi_tensor_to_f32(t, &in);
    if (status == DFQ_OK)
        status = dfqi_tensor_new(ctx, DFQI_F32, 2, (int64_t[]){rows, t->dims[1]}, &out);
    if (status == DFQ_OK) {
        resample(dfqi_tensor_f32(in), from, window - 1, t->dims[1], at, dfqi_tensor_f32(out));
        dfqi_tensor_release(t);
        e->tensor = out;
    }
    dfqi_tensor_release(in);
    dfqi_free(ctx, at);
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
            DFQI_TRY(fit_table(&view->entries[i], a->of.swin.window[stage]));
    }
    return DFQ_OK;
}
