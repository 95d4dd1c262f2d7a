/* The passes that measure curvature, in order: gradients; pairs of gradients at shifted weights;
 * points of the plane. */
#include "tune/loss_curvature.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

enum { PROBES = 10, START, DIRECTION_U, DIRECTION_V }; /* random streams */

static const double relative_step = 1e-4, change = 0.01;

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

static dfqi_rng stream(const dfqi_loss_curvature *s, int purpose, int64_t index)
{
    return dfqi_rng_make(s->o.seed, (uint64_t)purpose << 60 | (uint64_t)index);
}

static float *row_of(const dfqi_loss_curvature *s, int32_t weight)
{
    return s->table + (int64_t)weight * DFQI_LOSS_CURVATURE_COLUMNS;
}

/* -- life -------------------------------------------------------------------------------------- */

static size_t plane_floats(const dfqi_loss_curvature_options *o)
{
    return (size_t)DFQI_SLOPES * (size_t)o->grid * (size_t)o->grid;
}

int64_t dfqi_loss_curvature_passes(const dfqi_loss_curvature_options *o, int stage)
{
    const int64_t passes[DFQI_LOSS_CURVATURE_DONE] = {
        [DFQI_LOSS_CURVATURE_GRADIENTS] = 1,
        [DFQI_LOSS_CURVATURE_HESSIAN] = 2 * (int64_t)o->probes,
        [DFQI_LOSS_CURVATURE_POWER] = 2 * DFQI_SLOPES * (int64_t)o->power,
        [DFQI_LOSS_CURVATURE_PLANE] = (int64_t)o->grid * o->grid};
    return passes[stage];
}

int64_t dfqi_loss_curvature_floats(const dfqi_loss_curvature_options *o, int64_t n_weights,
                                   int64_t floats)
{
    return (2 + DFQI_SLOPES) * floats + n_weights * DFQI_LOSS_CURVATURE_COLUMNS +
           (int64_t)plane_floats(o);
}

dfq_status dfqi_loss_curvature_init(dfqi_loss_curvature *s, dfqi_loss_surface *l,
                                    const dfqi_loss_curvature_options *o)
{
    size_t table = (size_t)l->n_weights * DFQI_LOSS_CURVATURE_COLUMNS;
    dfqi_loss_curvature own = {.l = l, .o = *o, .cosine = NAN};
    own.memory =
        dfqi_calloc(l->ctx, (2 + DFQI_SLOPES) * (size_t)l->floats + table + plane_floats(o),
                    sizeof *own.memory);
    if (!own.memory) return DFQ_E_NOMEM;
    own.base = own.memory;
    own.dir = own.base + l->floats;
    own.sums = own.dir + l->floats;
    own.table = own.sums + DFQI_SLOPES * l->floats;
    own.surface = own.table + table;
    for (size_t i = 0; i < table + plane_floats(o); i++) own.table[i] = NAN;
    for (int32_t i = 0; i < l->n_weights; i++)
        memcpy(own.base + l->weights[i].at, l->weights[i].tensor->data,
               (size_t)l->weights[i].count * sizeof(float));
    own.size = sqrt(dot(own.base, own.base, l->floats));
    if (!(own.size > 0)) own.size = 1;
    for (int k = 0; k < DFQI_SLOPES; k++)
        own.loss[k] = (dfqi_loss_curvature_loss){NAN, NAN, NAN, NAN, NAN, 0, 0};
    for (int k = 0; k < DFQI_LOSS_CURVATURE_DONE; k++)
        own.total += dfqi_loss_surface_batches(l) * dfqi_loss_curvature_passes(o, k);
    *s = own;
    return DFQ_OK;
}

void dfqi_loss_curvature_fini(dfqi_loss_curvature *s)
{
    if (s->l) {
        dfqi_loss_surface_close(s->l);
        dfqi_free(s->l->ctx, s->memory);
    }
    *s = (dfqi_loss_curvature){0};
}

/* -- directions -------------------------------------------------------------------------------- */

static void draw_signs(dfqi_loss_curvature *s, int64_t probe)
{
    dfqi_rng r = stream(s, PROBES, probe);
    uint32_t word = 0;
    for (int64_t i = 0; i < s->l->floats; i++) {
        if (i % 32 == 0) word = dfqi_rng_u32(&r);
        s->dir[i] = word >> (i % 32) & 1 ? 1.0f : -1.0f;
    }
    s->step = relative_step * s->size / sqrt((double)s->l->floats);
}

/* dir = v / |v| */
static void take_direction(dfqi_loss_curvature *s, const float *v)
{
    double norm = sqrt(dot(v, v, s->l->floats));
    for (int64_t i = 0; i < s->l->floats; i++) s->dir[i] = (float)(v[i] / norm);
    s->step = relative_step * s->size;
}

/* Gaussian, each output channel scaled to the norm of its weights: filter normalisation (Li et al.,
 * NeurIPS 2018). */
static void draw_filters(const dfqi_loss_curvature *s, int purpose, float *to)
{
    dfqi_rng r = stream(s, purpose, 0);
    dfqi_rng_fill_normal(&r, to, (size_t)s->l->floats);
    for (int32_t i = 0; i < s->l->n_weights; i++) {
        const dfqi_free_weight *w = &s->l->weights[i];
        int64_t cols = w->count / w->rows;
        for (int64_t row = 0; row < w->rows; row++) {
            const float *base = s->base + w->at + row * cols;
            float *d = to + w->at + row * cols;
            double norm = sqrt(dot(d, d, cols));
            double scale = norm > 0 ? sqrt(dot(base, base, cols)) / norm : 0;
            for (int64_t c = 0; c < cols; c++) d[c] = (float)(d[c] * scale);
        }
    }
}

/* -- a pass begins ----------------------------------------------------------------------------- */

/* Odd passes of a pair are the far end, whose gradients are subtracted. */
static float sign_of(const dfqi_loss_curvature *s)
{
    return s->stage != DFQI_LOSS_CURVATURE_GRADIENTS && s->pass % 2 == 1 ? -1.0f : 1.0f;
}

static float coordinate(const dfqi_loss_curvature *s, int64_t i)
{
    return -1.0f + 2.0f * (float)i / (float)(s->o.grid - 1);
}

/* The graph that the stage's passes run. */
static dfq_status open_stage(dfqi_loss_curvature *s)
{
    dfqi_loss_surface *l = s->l;
    l->smooth = s->stage == DFQI_LOSS_CURVATURE_HESSIAN || s->stage == DFQI_LOSS_CURVATURE_POWER;
    if (s->stage == DFQI_LOSS_CURVATURE_POWER) return dfqi_loss_surface_open(l, 1u << s->slope, 1);
    return dfqi_loss_surface_open(l, DFQI_SLOPE_ALL, s->stage != DFQI_LOSS_CURVATURE_PLANE);
}

static dfq_status prepare(dfqi_loss_curvature *s)
{
    if (s->stage == DFQI_LOSS_CURVATURE_HESSIAN && s->pass % 2 == 0) draw_signs(s, s->pass / 2);
    if (s->pass > 0) return DFQ_OK;
    DFQI_TRY(open_stage(s));
    if (s->stage == DFQI_LOSS_CURVATURE_POWER) {
        dfqi_rng r = stream(s, START, s->slope);
        dfqi_rng_fill_normal(&r, s->sums, (size_t)s->l->floats);
        take_direction(s, s->sums);
    } else if (s->stage == DFQI_LOSS_CURVATURE_PLANE) {
        draw_filters(s, DIRECTION_U, s->dir);
        draw_filters(s, DIRECTION_V, s->sums);
    }
    return DFQ_OK;
}

/* Sets the weights to the point at which the pass evaluates the losses. */
static void move(dfqi_loss_curvature *s)
{
    if (s->stage == DFQI_LOSS_CURVATURE_PLANE)
        dfqi_loss_surface_move(s->l, s->base, coordinate(s, s->pass % s->o.grid), s->dir,
                               coordinate(s, s->pass / s->o.grid), s->sums);
    else if (s->stage != DFQI_LOSS_CURVATURE_GRADIENTS)
        dfqi_loss_surface_move(s->l, s->base, sign_of(s) * (float)s->step, s->dir, 0, NULL);
}

static dfq_status begin(dfqi_loss_curvature *s)
{
    DFQI_TRY(prepare(s));
    memset(s->running, 0, sizeof s->running);
    if (s->stage != DFQI_LOSS_CURVATURE_PLANE && sign_of(s) > 0)
        memset(s->sums, 0, (size_t)(DFQI_SLOPES * s->l->floats) * sizeof *s->sums);
    move(s);
    return DFQ_OK;
}

/* After a checkpoint was read: graph and weights as they were then. */
static dfq_status resume(dfqi_loss_curvature *s)
{
    DFQI_TRY(open_stage(s));
    dfqi_loss_surface_move(s->l, s->base, 0, s->base, 0, NULL);
    if (s->batch > 0) move(s);
    s->resumed = 0;
    return DFQ_OK;
}

/* -- a pass ends ------------------------------------------------------------------------------- */

static double cosine(double product, double a, double b)
{
    return a > 0 && b > 0 ? product / sqrt(a * b) : (double)NAN;
}

static dfq_status end_gradients(dfqi_loss_curvature *s)
{
    static const char *const names[DFQI_SLOPES] = {"KL divergence", "KL divergence at T = 1",
                                                   "cross-entropy"};
    const dfqi_loss_surface *l = s->l;
    const float *kl = s->sums + DFQI_SLOPE_KL * l->floats,
                *ce = s->sums + DFQI_SLOPE_CE * l->floats;
    double all[DFQI_SLOPES] = {0}, product = 0;
    for (int32_t i = 0; i < l->n_weights; i++) {
        const dfqi_free_weight *w = &l->weights[i];
        double square[DFQI_SLOPES], both = dot(kl + w->at, ce + w->at, w->count);
        for (int k = 0; k < DFQI_SLOPES; k++) {
            const float *g = s->sums + k * l->floats + w->at;
            square[k] = dot(g, g, w->count);
            all[k] += square[k];
            row_of(s, i)[DFQI_LOSS_CURVATURE_NORM + k] = (float)sqrt(square[k]);
        }
        row_of(s, i)[DFQI_LOSS_CURVATURE_COSINE] =
            (float)cosine(both, square[DFQI_SLOPE_KL], square[DFQI_SLOPE_CE]);
        product += both;
    }
    for (int k = 0; k < DFQI_SLOPES; k++) {
        s->loss[k].loss = s->running[k];
        s->loss[k].norm = sqrt(all[k]);
        if (!isfinite(s->running[k]) || !isfinite(all[k]))
            return dfqi_fail(l->ctx, DFQ_E_NUMERIC,
                             "diagnosis: the %s is %g and the norm of its gradient %g, must be "
                             "finite; check the images and the weights",
                             names[k], s->running[k], s->loss[k].norm);
    }
    s->cosine = cosine(product, all[DFQI_SLOPE_KL], all[DFQI_SLOPE_CE]);
    return DFQ_OK;
}

/* v^T H v of the last probe goes into the means; a weight's part of it estimates the trace of the
 * weight's own block. */
static void end_probe(dfqi_loss_curvature *s)
{
    const dfqi_loss_surface *l = s->l;
    int64_t probe = s->pass / 2;
    double n = (double)(probe + 1);
    for (int k = 0; k < DFQI_SLOPES; k++) {
        double whole = 0;
        for (int32_t i = 0; i < l->n_weights; i++) {
            const dfqi_free_weight *w = &l->weights[i];
            float *mean = row_of(s, i) + DFQI_LOSS_CURVATURE_TRACE + k;
            double part =
                dot(s->dir + w->at, s->sums + k * l->floats + w->at, w->count) / (2 * s->step);
            *mean = (float)(n > 1 ? *mean + (part - *mean) / n : part);
            whole += part;
        }
        /* Welford's mean and squares */
        double old = n > 1 ? s->loss[k].trace : 0, mean = old + (whole - old) / n;
        s->squares[k] = n > 1 ? s->squares[k] + (whole - old) * (whole - mean) : 0;
        s->loss[k].trace = mean;
        if (n > 1) s->loss[k].trace_error = sqrt(s->squares[k] / (n - 1) / n);
    }
}

/* One iteration; true when the eigenvalue is found or given up. */
static bool end_iteration(dfqi_loss_curvature *s)
{
    dfqi_loss_curvature_loss *loss = &s->loss[s->slope];
    double old = loss->eigenvalue, square = dot(s->sums, s->sums, s->l->floats);
    double value = dot(s->dir, s->sums, s->l->floats) / (2 * s->step);
    loss->eigenvalue = value;
    loss->iterations++;
    /* the first value has nothing to be compared with: `old` is NaN */
    loss->settled = square == 0 || fabs(value - old) <= change * fabs(value);
    if (loss->settled || !isfinite(square) || loss->iterations == s->o.power) return true;
    take_direction(s, s->sums);
    return false;
}

static void leave_stage(dfqi_loss_curvature *s)
{
    s->pass = 0;
    s->stage++;
    if (s->stage == DFQI_LOSS_CURVATURE_HESSIAN && s->o.probes == 0) s->stage++;
    if (s->stage == DFQI_LOSS_CURVATURE_POWER && s->o.power == 0) s->stage++;
    if (s->stage == DFQI_LOSS_CURVATURE_PLANE && s->o.grid == 0) s->stage++;
    if (s->stage != DFQI_LOSS_CURVATURE_DONE) return;
    s->done = s->total;
    dfqi_loss_surface_close(s->l);
}

static dfq_status end(dfqi_loss_curvature *s)
{
    int64_t grid = s->o.grid, far = s->pass % 2 == 1;
    switch (s->stage) {
    case DFQI_LOSS_CURVATURE_GRADIENTS:
        DFQI_TRY(end_gradients(s));
        leave_stage(s);
        return DFQ_OK;
    case DFQI_LOSS_CURVATURE_HESSIAN:
        if (far) end_probe(s);
        if (++s->pass == 2 * s->o.probes) leave_stage(s);
        return DFQ_OK;
    case DFQI_LOSS_CURVATURE_POWER:
        s->pass++;
        if (!far || !end_iteration(s)) return DFQ_OK;
        /* passes that were saved are done too */
        s->done += (2 * s->o.power - s->pass) * dfqi_loss_surface_batches(s->l);
        s->pass = 0;
        if (++s->slope == DFQI_SLOPES) leave_stage(s);
        return DFQ_OK;
    default:
        for (int k = 0; k < DFQI_SLOPES; k++)
            s->surface[k * grid * grid + s->pass] = (float)s->running[k];
        if (++s->pass == grid * grid) leave_stage(s);
        return DFQ_OK;
    }
}

dfq_status dfqi_loss_curvature_step(dfqi_loss_curvature *s)
{
    if (s->stage == DFQI_LOSS_CURVATURE_DONE) return DFQ_OK;
    if (s->resumed) DFQI_TRY(resume(s));
    if (s->batch == 0) DFQI_TRY(begin(s));
    DFQI_TRY(dfqi_loss_surface_run(s->l, s->batch, s->running, sign_of(s), s->sums));
    s->done++;
    if (++s->batch < dfqi_loss_surface_batches(s->l)) return DFQ_OK;
    s->batch = 0;
    return end(s);
}
