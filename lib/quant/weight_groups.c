/* The search of group grids. A row's scale follows from its widest group, whose multiplier is
 * tried from MULTIPLIER_MIN on. For each scale every group takes the multiplier and the zero point
 * with the least squared error: multipliers that cover shares of its range, and three zero points
 * for each of them. */
#include "quant/weight_groups.h"

#include <math.h>

#include "kernel/weight_groups.h"

enum { MULTIPLIER_MIN = 6, SHARES = 11, ZERO_POINTS = 3, GROUP_MAX = 4096 };

/* One group: values v and their weights in the error. */
typedef struct group {
    const float *v, *power;
    int64_t n;
    float lo, hi, top;
} group;

/* rintf for magnitudes below 2^22, which compilers turn into vectors. */
static inline float round_small(float x)
{
    const float shift = 12582912.0f;
    return (x + shift) - shift;
}

/* The squared error of the group's values on a grid of distance `step`. */
static float error_of(const group *g, float step, float zero_point)
{
    float sum = 0;
    for (int64_t i = 0; i < g->n; i++) {
        float u = round_small(g->v[i] / step) + zero_point;
        u = u < 0.0f ? 0.0f : u;
        u = u > g->top ? g->top : u;
        const float d = (u - zero_point) * step - g->v[i];
        sum += d * d * g->power[i];
    }
    return sum;
}

static float within(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* The best grid of the group with a row's scale; only the whole range if not `search`. */
static double best_grid(const group *g, float scale, bool search, dfqi_group_grid *out)
{
    float least = INFINITY;
    uint16_t tried[DFQI_GROUP_TOP + 1] = {0}; /* of a multiplier: a bit for each zero point */
    *out = (dfqi_group_grid){1.0f, rintf(g->top / 2)};
    if (!isfinite(g->hi - g->lo)) return INFINITY;
    for (int k = 0; k < (search ? SHARES : 1); k++) {
        const float share = search ? 1.05f - 0.05f * (float)k : 1.0f;
        const float m =
            within(rintf((g->hi - g->lo) / g->top * share / scale), 1.0f, DFQI_GROUP_TOP);
        const float middle = within(rintf(-g->lo * share / (scale * m)), 0.0f, g->top);
        for (int i = 0; i < (search ? ZERO_POINTS : 1); i++) {
            dfqi_group_grid grid = {m, within(middle + (float)((i + 1) % 3 - 1), 0.0f, g->top)};
            while (!dfqi_group_fits(grid, g->top)) grid.multiplier -= 1.0f;
            const uint16_t bit = (uint16_t)(1u << (int)grid.zero_point);
            if (tried[(int)grid.multiplier] & bit) continue;
            tried[(int)grid.multiplier] |= bit;
            const float error = error_of(g, scale * grid.multiplier, grid.zero_point);
            if (!(error < least)) continue;
            least = error;
            *out = grid;
        }
    }
    return least;
}

/* Values lo .. hi of the row's group i, 0 among them, on v[n] and power[n]. */
static group take_group(const dfqi_site *site, const dfqi_group_row *row, int64_t i, float *v,
                        float *power)
{
    group g = {.v = v, .power = power, .n = site->group, .top = site->qmax - site->qmin};
    for (int64_t k = 0; k < g.n; k++) {
        const int64_t c = i * g.n + k;
        const float s = row->col ? row->col[c] : 1.0f;
        v[k] = row->w[c] * s;
        power[k] = (float)((row->power ? row->power[c * row->stride] : 1.0) / ((double)s * s));
        g.lo = fminf(g.lo, v[k]);
        g.hi = fmaxf(g.hi, v[k]);
    }
    return g;
}

/* All groups of the row with a scale; bytes[groups] gets their grids, or NULL. */
static double fit_row(const dfqi_site *site, const dfqi_group_row *row, float scale, bool search,
                      float *bytes)
{
    float v[GROUP_MAX], power[GROUP_MAX];
    double error = 0;
    for (int64_t i = 0; i < row->cols / site->group; i++) {
        dfqi_group_grid grid;
        const group g = take_group(site, row, i, v, power);
        error += best_grid(&g, scale, search, &grid);
        if (bytes) bytes[i] = dfqi_group_byte(grid);
    }
    return error;
}

static float widest_range(const dfqi_site *site, const dfqi_group_row *row)
{
    float v[GROUP_MAX], power[GROUP_MAX], widest = 0;
    for (int64_t i = 0; i < row->cols / site->group; i++) {
        const group g = take_group(site, row, i, v, power);
        widest = fmaxf(widest, g.hi - g.lo);
    }
    return widest;
}

double dfqi_search_groups(const dfqi_site *site, int64_t r, const dfqi_group_row *row, bool search)
{
    enum { FITS_ALL = 8 }; /* the largest multiplier of any four bits and zero point */
    const float unit = fmaxf(widest_range(site, row), 1e-8f) / (site->qmax - site->qmin);
    float *bytes = dfqi_tensor_f32(site->groups) + r * (row->cols / site->group);
    float *scale = dfqi_tensor_f32(site->scale) + r;
    double least = INFINITY;
    *scale = unit / FITS_ALL;
    for (int m = MULTIPLIER_MIN; search && m <= DFQI_GROUP_TOP; m++) {
        const double error = fit_row(site, row, unit / (float)m, true, NULL);
        if (!(error < least)) continue;
        least = error;
        *scale = unit / (float)m;
    }
    return fit_row(site, row, *scale, search, bytes);
}

void dfqi_groups_apply(const dfqi_site *site, int64_t r, const dfqi_group_row *row, float *y)
{
    const float *bytes = dfqi_tensor_f32(site->groups) + r * (row->cols / site->group);
    const float scale = dfqi_tensor_f32(site->scale)[r], top = site->qmax - site->qmin;
    for (int64_t c = 0; c < row->cols; c++) {
        const dfqi_group_grid grid = dfqi_group_grid_of(bytes[c / site->group]);
        const float s = row->col ? row->col[c] : 1.0f;
        y[c] = dfqi_group_value(dfqi_group_code(row->w[c] * s, scale, grid, top), scale, grid) / s;
    }
}
