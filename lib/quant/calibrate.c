/* Ranges of the activation quantizers from images.
 *
 * Parity mode follows mimiq.md 2.3: each quantizer is initialised from the first batch it sees, and
 * what it sees has passed the quantizers before it; so they are set one after the other.
 * Improved mode searches: over all images, per step, the range is shrunk from both ends and the
 * candidate with the least squared error wins. Activations stream through in small batches; what is
 * kept is one error for each candidate and step, whatever the number of images. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"
#include "graph/exec.h"
#include "quant/scheme_priv.h"

enum { STREAM = 4, PARITY_BATCH = 16, TILE_ROWS = 16, LOWS = 3, HIGHS = 9, LOG_TOPS = 6,
       CANDIDATES = LOWS * HIGHS };
static const float low_factor[LOWS] = {1.0f, 0.8f, 0.6f};
static const float high_factor[HIGHS] = {1.0f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, 0.3f, 0.2f};
static const float log_factor[LOG_TOPS] = {1.0f, 0.85f, 0.7f, 0.55f, 0.4f, 0.3f};

/* Statistics of one site. n: number of steps. */
typedef struct stats {
    int64_t n;
    float *min, *max;    /* [n] */
    double *square;      /* [n] sum of x^2 */
    double *count;       /* [n] */
    float *step, *zero;  /* [CANDIDATES][n] */
    double *error;       /* [CANDIDATES][n] */
    double log_error[LOG_TOPS];
    float *tile;         /* [TILE_ROWS][cols] quantized values */
} stats;

typedef struct job {
    const dfqi_scheme *s;
    const dfqi_quant_pass *pass;
    const dfqi_exec *e;
    const dfqi_graph *g;
    const dfqi_kernels *k;
    stats *stats;
    int search; /* 0: ranges, 1: errors */
} job;

/* An operand as parts of rows: [parts][rows][cols], each part with its own steps (ops_quant.c). */
typedef struct view {
    const float *x;
    int64_t parts, heads, rows, cols, steps;
} view;

static view view_of(const job *j, int32_t site)
{
    const dfqi_value *v = dfqi_graph_value(j->g, j->pass->operand[site]);
    view w = {.x = dfqi_exec_data(j->e, j->pass->operand[site]), .cols = dfqi_value_last(v)};
    w.heads = v->rank == 4 ? v->dims[1] : 1;
    w.parts = v->dims[0] * w.heads;
    w.rows = dfqi_value_count(v) / w.cols / w.parts;
    w.steps = j->stats[site].n / w.heads;
    if (j->stats[site].n == 1) w.steps = 1;
    return w;
}

/* First step of part i: all parts share one step when there is only one. */
static int64_t first_step(const view *w, int64_t n, int64_t part)
{
    return n == 1 ? 0 : part % w->heads * w->steps;
}

/* -- ranges ---------------------------------------------------------------------------------------- */

static void add_ranges(const view *w, stats *s)
{
    for (int64_t p = 0; p < w->parts; p++) {
        int64_t at = first_step(w, s->n, p);
        for (int64_t r = 0; r < w->rows; r++) {
            const float *x = w->x + (p * w->rows + r) * w->cols;
            for (int64_t c = 0; c < w->cols; c++) {
                int64_t i = at + (w->steps > 1 ? c : 0);
                if (x[c] < s->min[i]) s->min[i] = x[c];
                if (x[c] > s->max[i]) s->max[i] = x[c];
                s->square[i] += (double)x[c] * x[c];
            }
        }
        for (int64_t i = 0; i < w->steps; i++)
            s->count[at + i] += (double)(w->rows * w->cols) / (double)w->steps;
    }
}

static void make_candidates(const dfqi_site *site, stats *s)
{
    for (int c = 0; c < CANDIDATES; c++)
        for (int64_t i = 0; i < s->n; i++) {
            float lo = s->min[i], hi = s->max[i];
            /* ends shrink towards zero, or towards the middle if zero is not in the range */
            float mid = lo > 0 || hi < 0 ? 0.5f * (lo + hi) : 0.0f;
            lo = mid + (lo - mid) * low_factor[c / HIGHS];
            hi = mid + (hi - mid) * high_factor[c % HIGHS];
            float step = (hi - lo) / (site->hi - site->lo);
            if (!(step > 1e-8f)) step = 1e-8f;
            s->step[c * s->n + i] = step;
            s->zero[c * s->n + i] = site->lo - lo / step;
        }
}

/* -- errors ------------------------------------------------------------------------------------------ */

/* |x|^1 for attention maps, whose rows sum to 1: a squared error would only see their peaks. */
static void add_error(const float *x, const float *y, int64_t rows, int64_t cols, int64_t steps,
                      int absolute, double *error)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            float d = x[r * cols + c] - y[r * cols + c];
            error[steps > 1 ? c : 0] += (double)(absolute ? fabsf(d) : d * d);
        }
}

static void add_errors(const job *j, int32_t site_index, const view *w, stats *s)
{
    const dfqi_site *site = &j->s->sites[site_index];
    int map = dfqi_site_is_map(site);
    for (int64_t p = 0; p < w->parts; p++) {
        int64_t at = first_step(w, s->n, p);
        for (int64_t r = 0; r < w->rows; r += TILE_ROWS) {
            const float *x = w->x + (p * w->rows + r) * w->cols;
            int64_t rows = w->rows - r < TILE_ROWS ? w->rows - r : TILE_ROWS;
            for (int c = 0; c < CANDIDATES; c++) {
                dfqi_grid grid = {s->step + c * s->n + at, s->zero + c * s->n + at, w->steps,
                                  site->lo, site->hi};
                j->k->fq(rows, w->cols, &grid, x, s->tile);
                add_error(x, s->tile, rows, w->cols, w->steps, map, s->error + c * s->n + at);
            }
            for (int c = 0; map && c < LOG_TOPS; c++) {
                j->k->fq_log((size_t)(rows * w->cols), s->max[0] * log_factor[c], site->hi, x,
                             s->tile);
                add_error(x, s->tile, rows, w->cols, 1, 1, &s->log_error[c]);
            }
        }
    }
}

static void site_body(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    (void)thread;
    if (j->s->sites[i].kind == DFQI_SITE_WEIGHT) return;
    view w = view_of(j, (int32_t)i);
    if (j->search)
        add_errors(j, (int32_t)i, &w, &j->stats[i]);
    else
        add_ranges(&w, &j->stats[i]);
}

/* -- choosing ------------------------------------------------------------------------------------------- */

static void choose(dfqi_site *site, const stats *s)
{
    float *step = dfqi_tensor_f32(site->step), *zero = dfqi_tensor_f32(site->zero);
    double total = 0, power = 0;
    for (int64_t i = 0; i < s->n; i++) {
        int best = 0;
        for (int c = 1; c < CANDIDATES; c++)
            if (s->error[c * s->n + i] < s->error[best * s->n + i]) best = c;
        step[i] = s->step[best * s->n + i];
        zero[i] = s->zero[best * s->n + i];
        total += s->error[best * s->n + i];
        power += s->square[i];
    }
    if (dfqi_site_is_map(site)) {
        int best = 0;
        for (int c = 1; c < LOG_TOPS; c++)
            if (s->log_error[c] < s->log_error[best]) best = c;
        if (s->log_error[best] < total) {
            total = s->log_error[best];
            site->kind = DFQI_SITE_LOG;
            site->lo = 0;
            step[0] = s->max[0] * log_factor[best];
            dfqi_tensor_release(site->zero);
            site->zero = NULL;
        }
        power = s->count[0] > 0 ? s->count[0] * s->max[0] : 1; /* relative to the full scale */
    }
    site->error = power > 0 ? total / power : 0;
}

/* -- the two modes ---------------------------------------------------------------------------------------- */

static void stats_fini(dfq_context *ctx, stats *s)
{
    dfqi_free(ctx, s->min);
    dfqi_free(ctx, s->square);
    dfqi_free(ctx, s->step);
    dfqi_free(ctx, s->error);
    dfqi_free(ctx, s->tile);
    *s = (stats){0};
}

static dfq_status stats_init(dfq_context *ctx, int64_t n, int64_t cols, stats *s)
{
    *s = (stats){.n = n};
    s->min = dfqi_calloc(ctx, 2 * (size_t)n, sizeof(float));
    s->square = dfqi_calloc(ctx, 2 * (size_t)n, sizeof(double));
    s->step = dfqi_calloc(ctx, 2 * (size_t)n * CANDIDATES, sizeof(float));
    s->error = dfqi_calloc(ctx, (size_t)n * CANDIDATES, sizeof(double));
    s->tile = dfqi_calloc(ctx, (size_t)cols * TILE_ROWS, sizeof(float));
    if (!s->min || !s->square || !s->step || !s->error || !s->tile) {
        stats_fini(ctx, s);
        return DFQ_E_NOMEM;
    }
    s->max = s->min + n;
    s->count = s->square + n;
    s->zero = s->step + n * CANDIDATES;
    for (int64_t i = 0; i < n; i++) {
        s->min[i] = FLT_MAX;
        s->max[i] = -FLT_MAX;
    }
    return DFQ_OK;
}

/* One pass over the images for all sites; the last batch repeats images to be full, so it is moved
 * back instead: an image may be seen twice, none is missed. */
static dfq_status sweep(job *j, dfqi_exec *e, dfqi_id x, const float *images, int64_t n,
                        int64_t batch, const dfqi_stage *stage, uint64_t *done)
{
    int64_t image = dfqi_value_stride(dfqi_graph_value(j->g, x));
    for (int64_t i = 0; i < n; i += batch) {
        int64_t first = i + batch <= n ? i : n - batch;
        dfqi_exec_bind(e, x, images + first * image);
        DFQI_TRY(dfqi_exec_run(e));
        dfqi_parallel_for(j->s->ctx, j->s->n_sites, site_body, j);
        *done += (uint64_t)(i + batch <= n ? batch : n - i);
        DFQI_TRY(dfqi_stage_report(stage, *done, NAN));
    }
    return DFQ_OK;
}

static dfq_status improved(dfqi_scheme *s, const dfqi_network *net, dfqi_graph *g, dfqi_exec *e,
                           dfqi_id x, const dfqi_quant_pass *pass, const float *images, int64_t n)
{
    dfq_context *ctx = s->ctx;
    dfq_status status = DFQ_E_NOMEM;
    uint64_t done = 0;
    dfqi_stage stage = dfqi_stage_begin(ctx, "calibrate", 0, 2 * (uint64_t)n);
    stats *st = dfqi_calloc(ctx, (size_t)s->n_sites, sizeof *st);
    double **moments = dfqi_calloc(ctx, (size_t)s->n_sites, sizeof *moments);
    job j = {.s = s, .pass = pass, .e = e, .g = g, .k = dfqi_kernels_get(ctx), .stats = st};
    if (!st || !moments) goto out;
    for (int32_t i = 0; i < s->n_sites; i++)
        if (s->sites[i].kind != DFQI_SITE_WEIGHT)
            DFQI_GOTO(stats_init(ctx, dfqi_tensor_count(s->sites[i].step),
                                 dfqi_value_last(dfqi_graph_value(g, pass->operand[i])), &st[i]),
                      out);
    DFQI_GOTO(sweep(&j, e, x, images, n, g->batch, &stage, &done), out);
    for (int32_t i = 0; i < s->n_sites; i++)
        if (st[i].n) make_candidates(&s->sites[i], &st[i]);
    j.search = 1;
    DFQI_GOTO(sweep(&j, e, x, images, n, g->batch, &stage, &done), out);
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (!st[i].n) continue;
        choose(&s->sites[i], &st[i]);
        for (int64_t c = 0; c < st[i].n; c++)
            if (st[i].count[c] > 0) st[i].square[c] /= st[i].count[c];
        moments[i] = st[i].square;
    }
    status = dfqi_calibrate_weights(s, net, moments);
out:
    for (int32_t i = 0; st && i < s->n_sites; i++) stats_fini(ctx, &st[i]);
    dfqi_free(ctx, st);
    dfqi_free(ctx, moments);
    return status;
}

/* mimiq.md 2.3: alpha = 2 mean|x| / sqrt(Qp), z = 0.1 (min x - alpha Qp); signed if min x < 1e-5 */
static void parity_site(dfqi_site *site, const float *x, int64_t n)
{
    double sum = 0;
    float low = x[0];
    for (int64_t i = 0; i < n; i++) {
        sum += fabsf(x[i]);
        if (x[i] < low) low = x[i];
    }
    int32_t half = 1 << (site->bits - 1);
    site->lo = low < 1e-5f ? (float)-half : 0.0f;
    site->hi = (float)(low < 1e-5f ? half - 1 : 2 * half - 1);
    float step = (float)(2.0 * sum / (double)n / sqrt(site->hi));
    if (!(step > 1e-8f)) step = 1e-8f;
    dfqi_tensor_f32(site->step)[0] = step;
    dfqi_tensor_f32(site->zero)[0] = 0.1f * (low - step * site->hi);
}

dfq_status dfqi_scheme_calibrate(dfqi_scheme *s, const dfqi_network *net, const float *images,
                                 int64_t n)
{
    dfqi_graph *g = NULL;
    dfqi_exec *e = NULL;
    dfqi_quant_pass pass = {0};
    dfq_status status;
    dfqi_id x;
    if (n < 1) return dfqi_fail(s->ctx, DFQ_E_INVALID, "calibration needs at least one image");
    int parity = s->mode == DFQI_MODE_PARITY;
    int64_t batch = parity ? PARITY_BATCH : STREAM;
    if (batch > n) batch = n;
    DFQI_GOTO(dfqi_pass_graph(s, net, batch, !parity, &pass, &g, &x), out);
    DFQI_GOTO(dfqi_exec_new(g, &e), out);
    if (!parity) {
        status = improved(s, net, g, e, x, &pass, images, n);
        goto out;
    }
    dfqi_stage stage = dfqi_stage_begin(s->ctx, "calibrate", 0, (uint64_t)s->n_sites);
    dfqi_exec_bind(e, x, images);
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (s->sites[i].kind == DFQI_SITE_WEIGHT) continue;
        DFQI_GOTO(dfqi_exec_run(e), out);
        const dfqi_value *v = dfqi_graph_value(g, pass.operand[i]);
        parity_site(&s->sites[i], dfqi_exec_data(e, pass.operand[i]), dfqi_value_count(v));
        DFQI_GOTO(dfqi_stage_report(&stage, (uint64_t)i + 1, NAN), out);
    }
    status = DFQ_OK;
out:
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_quant_pass_fini(&pass, s->ctx);
    return status;
}
