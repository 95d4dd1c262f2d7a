/* Straight-through gradients against their definitions, written out once more in double
 * (docs/METHODS.md, Quantizers), and the forward values of every grid. */
#include <math.h>
#include <string.h>

#include "graph/cases.h"
#include "graph/scenes.h"

static void near(const char *what, const float *have, const double *want, int64_t n)
{
    double scale = 1e-3;
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg(fabs((double)have[i] - want[i]) < 1e-5 * scale, "%s[%d] is %g, expected %g",
                      what, (int)i, (double)have[i], want[i]);
}

/* Which scale an element of x uses. */
static int64_t scale_index(const dfqi_value *x, int64_t scales, int64_t i)
{
    int64_t last = dfqi_value_last(x), heads = x->rank == 4 ? x->dims[1] : 1;
    int64_t head = x->rank == 4 ? i / (x->dims[2] * last) % heads : 0;
    if (scales == 1) return 0;
    return scales == heads ? head : head * last + i % last;
}

typedef struct sums {
    double y[64 * SCENE_BATCH], dx[64 * SCENE_BATCH], dscale[16], dzero_point[16];
} sums;

/* One element, float where the library must round in float. */
static void fq_one(float x, float dy, float scale, float zero_point, double *y, double *dx,
                   double *dscale, double *dzero_point)
{
    float v = x / scale + rintf(zero_point);
    double z = rint((double)zero_point), dq = (double)dy;
    double q = fmin(fmax((double)rintf(x / scale) + z, -4), 3);
    int inside = v >= -4 && v <= 3;
    *y = (q - z) * (double)scale;
    *dx = inside ? dq : 0;
    *dscale += 0.3 * dq * (inside ? (q - z) - (double)x / (double)scale : q - z);
    *dzero_point += inside ? 0 : 0.6 * -(double)scale * dq;
}

static void check_fq(const scene *s, const rig *r, const dfqi_value *x, const float *seed,
                     dfqi_id out)
{
    sums want;
    int64_t scales = dfqt_count(r, r->input[1]), n = dfqi_value_count(x), clipped = 0;
    memset(&want, 0, sizeof want);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = scale_index(x, scales, i);
        fq_one(r->data[0][i], seed[i], r->data[1][k], r->n_wrt > 2 ? r->data[2][k] : 0, &want.y[i],
               &want.dx[i], &want.dscale[k], &want.dzero_point[k]);
        clipped += want.dx[i] == 0;
    }
    ck_assert_msg(clipped > n / 10 && clipped < n, "%s: the scene clips %d of %d", s->name,
                  (int)clipped, (int)n);
    near("y", dfqi_exec_data(r->e, out), want.y, n);
    near("dx", dfqi_exec_data(r->e, r->dwrt[0]), want.dx, n);
    near("dscale", dfqi_exec_data(r->e, r->dwrt[1]), want.dscale, scales);
    if (r->n_wrt > 2)
        near("dzero_point", dfqi_exec_data(r->e, r->dwrt[2]), want.dzero_point, scales);
}

/* Straight through: the gradient comes out as it came in. */
static void check_identity(const rig *r, const float *seed)
{
    size_t bytes = (size_t)dfqt_count(r, r->input[0]) * sizeof *seed;
    if (r->dwrt[0] != r->input[r->n - 1])
        ck_assert_mem_eq(dfqi_exec_data(r->e, r->dwrt[0]), seed, bytes);
}

/* No mask: the gradient passes where values are clipped, too. */
static void check_straight(const rig *r, dfqi_id out, const float *seed)
{
    sums want;
    int64_t n = dfqt_count(r, out), clipped = 0;
    memset(&want, 0, sizeof want);
    for (int64_t i = 0; i < n; i++) {
        fq_one(r->data[0][i], seed[i], r->data[1][0], r->data[2][0], &want.y[i], &want.dx[i],
               &want.dscale[0], &want.dzero_point[0]);
        clipped += want.dx[i] == 0;
    }
    ck_assert_int_gt(clipped, n / 10);
    near("y", dfqi_exec_data(r->e, out), want.y, n);
    check_identity(r, seed);
}

/* Rows from their smallest to their largest; more rows than a block has. */
static void check_range(const rig *r, dfqi_id out, const float *seed)
{
    const float *w = r->data[0];
    double want[6];
    for (int64_t o = 0; o < 67; o++, w += 6) {
        float a = w[0], b = w[0];
        for (int c = 0; c < 6; c++) {
            a = fminf(a, w[c]);
            b = fmaxf(b, w[c]);
        }
        float scale = (b - a) / 7, z = rintf(a / scale) + 4;
        for (int c = 0; c < 6; c++) {
            float q = fminf(fmaxf(rintf(w[c] / scale - z), -4), 3);
            want[c] = ((double)q + (double)z) * (double)scale;
        }
        near("y", dfqi_exec_data(r->e, out) + o * 6, want, 6);
    }
    check_identity(r, seed);
}

/* The range that the batch gives to scene fq_tracked, 3 bits. */
static void check_tracked(const rig *r, dfqi_id out)
{
    double want[1024];
    const float *x = r->data[0];
    int64_t n = dfqt_count(r, out);
    float a = x[0], b = x[0];
    for (int64_t i = 0; i < n; i++) {
        a = fminf(a, x[i]);
        b = fmaxf(b, x[i]);
    }
    a = 0.1f * a - 0.9f;
    b = 0.1f * b + 1.8f;
    float scale = (b - a) / 7, z = rintf(a / scale) + 4;
    ck_assert_int_le(n, 1024);
    for (int64_t i = 0; i < n; i++)
        want[i] = (fmin(fmax(rint((double)(x[i] / scale - z)), -4), 3) + (double)z) * (double)scale;
    near("y", dfqi_exec_data(r->e, out), want, n);
}

/* One row or column of n values, `step` floats apart, in double: y, and the surrogate that the
 * gradient is exact for. In it the errors of rounding, e = q - z - x / scale, are constants:
 * sum of seed (x + scale(x) e). */
typedef struct line {
    const float *x, *seed;
    int64_t n, step;
    int is_signed;
} line;

static double line_scale(const line *l, double moved, int64_t at)
{
    double lo = 0, hi = 0;
    for (int64_t i = 0; i < l->n; i++) {
        double v = (double)l->x[i * l->step] + (i == at ? moved : 0);
        lo = fmin(lo, v);
        hi = fmax(hi, v);
    }
    return l->is_signed ? fmax(-lo, hi) / 3 : (hi - lo) / 7;
}

static double line_value(const line *l, int64_t i)
{
    double lo = 0, scale = line_scale(l, 0, 0);
    for (int64_t k = 0; k < l->n; k++) lo = fmin(lo, (double)l->x[k * l->step]);
    double z = l->is_signed ? 0 : rint(-lo / scale), q = rint((double)l->x[i * l->step] / scale);
    return fmin(fmax(q + z, l->is_signed ? -3 : 0), l->is_signed ? 3 : 7) - z;
}

static double line_surrogate(const line *l, double moved, int64_t at)
{
    double sum = 0, scale = line_scale(l, 0, 0);
    for (int64_t i = 0; i < l->n; i++) {
        double e = line_value(l, i) - (double)l->x[i * l->step] / scale;
        sum += (double)l->seed[i * l->step] *
               ((double)l->x[i * l->step] + (i == at ? moved : 0) + line_scale(l, moved, at) * e);
    }
    return sum;
}

/* Forward against the formula, backward against differences of the surrogate. */
static void check_row(const rig *r, dfqi_id out, const float *seed, const dfqi_attr *a)
{
    const dfqi_value *v = dfqi_graph_value(r->g, out);
    int64_t cols = a->i[4] > 0 ? a->i[4] : dfqi_value_last(v); /* a group of a row is a row */
    int64_t rows = v->dims[v->rank - 2], count = dfqi_value_count(v);
    const float *y = dfqi_exec_data(r->e, out), *dx = dfqi_exec_data(r->e, r->dwrt[0]);
    int64_t n = a->i[2] ? rows : cols, step = a->i[2] ? cols : 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = a->i[2] ? i / cols % rows : i % cols, from = i - at * step;
        line l = {r->data[0] + from, seed + from, n, step, (int)a->i[1]};
        double want = line_value(&l, at) * line_scale(&l, 0, 0);
        double slope = (line_surrogate(&l, 1e-5, at) - line_surrogate(&l, -1e-5, at)) / 2e-5;
        near("y", y + i, &want, 1);
        ck_assert_double_eq_tol((double)dx[i], slope, 1e-5);
    }
}

static void check_log(const rig *r, dfqi_id out)
{
    double want[64];
    int64_t n = dfqt_count(r, out);
    double top = (double)r->data[1][0];
    for (int64_t i = 0; i < n; i++) {
        double q = fmax(rint(-2 * log2((double)r->data[0][i] / top)), 0);
        want[i] = q > 7 ? 0 : top * pow(2, -q / 2);
    }
    near("y", dfqi_exec_data(r->e, out), want, n);
}

static void check_weight(const rig *r, dfqi_id out, const float *seed, int lsq)
{
    sums want;
    int64_t clipped = 0;
    const dfqi_value *w = dfqi_graph_value(r->g, r->input[0]);
    int64_t rows = w->dims[0], cols = dfqi_value_count(w) / rows;
    const float *groups = r->n == 5 ? r->data[3] : NULL;
    const float *col = r->n >= 4 ? r->data[1] : NULL;
    const float *learned = r->n_wrt > 1 ? r->data[r->wrt[1]] : NULL;
    memset(&want, 0, sizeof want);
    for (int64_t o = 0; o < rows; o++) {
        float m = 0, scale;
        for (int64_t c = 0; c < cols; c++) {
            float v = r->data[0][o * cols + c] * (col ? col[c] : 1);
            m = fmaxf(m, fabsf(v));
        }
        scale = learned ? learned[o] : 2 * m / 7;
        for (int64_t c = 0; c < cols; c++) {
            double s = col ? (double)col[c] : 1;
            const int byte = groups ? (int)groups[(o * cols + c) / 2] : 1 + 16 * 4;
            const int low = -(byte / 16), high = 7 + low, times = byte % 16;
            float u = r->data[0][o * cols + c] * (float)s / (scale * (float)times);
            double q = u < (float)low ? low : u > (float)high ? high : (double)rintf(u);
            int inside = u >= (float)low && u <= (float)high;
            want.y[o * cols + c] = q * (double)scale * times / s;
            want.dx[o * cols + c] = inside ? (double)seed[o * cols + c] : 0;
            clipped += !inside;
            want.dscale[o] +=
                0.3 * (double)seed[o * cols + c] * (inside ? q - (double)u : q) * times / s;
        }
    }
    near("y", dfqi_exec_data(r->e, out), want.y, rows * cols);
    if (lsq) { /* LSQ: what is clipped has no gradient */
        ck_assert_msg(clipped > 2 && clipped < rows * cols / 2, "%d clipped", (int)clipped);
        near("dw", dfqi_exec_data(r->e, r->dwrt[0]), want.dx, rows * cols);
    }
    if (learned) near("dscale", dfqi_exec_data(r->e, r->dwrt[1]), want.dscale, rows);
}

START_TEST(test_surrogate)
{
    const scene *s = &dfqt_surrogate[_i];
    rig r = dfqt_rig(2, SCENE_BATCH, 11);
    dfqi_id out[DFQI_OUT_MAX];
    dfqt_scene(s, &r, out);
    const float *seed = r.data[r.n - 1];
    dfqt_start(&r);
    dfqt_run(&r);
    const dfqi_attr *a = &r.g->nodes[dfqi_graph_value(r.g, out[0])->node].attr;
    if (s->op == DFQI_OP_FQ && a->i[0])
        check_straight(&r, out[0], seed);
    else if (s->op == DFQI_OP_FQ)
        check_fq(s, &r, dfqi_graph_value(r.g, r.input[0]), seed, out[0]);
    else if (s->op == DFQI_OP_FQ_ROW)
        check_row(&r, out[0], seed, a);
    else if (!(s->op == DFQI_OP_FQ_WEIGHT && a->i[2]))
        check_identity(&r, seed);
    if (s->op == DFQI_OP_TRACK_RANGE) check_tracked(&r, out[0]);
    if (s->op == DFQI_OP_FQ_LOG) check_log(&r, out[0]);
    if (s->op == DFQI_OP_FQ_WEIGHT && a->i[1])
        check_range(&r, out[0], seed);
    else if (s->op == DFQI_OP_FQ_WEIGHT)
        check_weight(&r, out[0], seed, a->i[2] != 0);
    dfqt_rig_fini(&r);
}
END_TEST

TCase *dfqt_quant_case(void)
{
    TCase *c = tcase_create("quant");
    int n = 0;
    while (dfqt_surrogate[n].name) n++;
    tcase_add_loop_test(c, test_surrogate, 0, n);
    return c;
}
