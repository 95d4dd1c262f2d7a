/* Calibration: the scales and zero points of the activation quantizers, from images
 * (docs/METHODS.md, Quantizers).
 *
 * Parity mode follows MimiQ: a quantizer is initialised from the first batch of its operand, which
 * has passed the quantizers before it. So the quantizers are initialised one after the other. The
 * minmax kind tracks the min-max range over batches (track.c).
 *
 * Improved mode reads all images three times: for ranges, for the best scale of each channel, and
 * for the share of the spread between channels that the weights take over (fold.c). Then the
 * weights get their scales and are rounded (weights.c, rounding.c).
 *
 * Where activations have scales of rows, these are found at run time, and weights alone are
 * calibrated.
 *
 * Convolutional networks track the min-max range over batches (track.c), or in improved mode have
 * static grids (cnn_grids.c). */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"
#include "graph/ops.h"
#include "quant/cnn_grids.h"
#include "quant/search.h"
#include "quant/track.h"

enum { STREAM = 4, PARITY_BATCH = 16, RANGE_BATCH = 32, SWEEPS = 3 };

typedef enum phase { PHASE_RANGES, PHASE_SCALES, PHASE_FOLD } phase;

typedef struct job {
    dfqi_scheme *s;
    const dfqi_quant_pass *pass;
    dfqi_exec *e;
    const dfqi_graph *g;
    const dfqi_kernels *k;
    dfqi_id x;
    dfqi_stats *stats; /* one for each site */
    phase phase;
    dfqi_stage stage;
    uint64_t done;
} job;

static dfqi_view view_of(const job *j, int32_t i)
{
    dfqi_id id = j->pass->operand[i];
    const dfqi_value *v = dfqi_graph_value(j->g, id);
    dfqi_view w = {.x = dfqi_exec_data(j->e, id), .cols = dfqi_value_last(v)};
    w.heads = v->rank == 4 ? dfqi_heads_of(j->g, v) : 1;
    w.parts = v->rank == 4 ? v->dims[0] * v->dims[1] : v->dims[0];
    w.rows = dfqi_value_count(v) / w.cols / w.parts;
    w.scales = j->stats[i].n == 1 ? 1 : j->stats[i].n / w.heads;
    if (dfqi_site_is_map(&j->s->sites[i])) { /* the values are the next site's operand */
        dfqi_id values = j->pass->operand[i + 1];
        w.values = dfqi_exec_data(j->e, values);
        w.depth = dfqi_value_last(dfqi_graph_value(j->g, values));
    }
    return w;
}

/* A linear layer's input with a scale for each channel. */
static bool folds(const job *j, int32_t i)
{
    return j->stats[i].n > 1 && dfqi_graph_value(j->g, j->pass->operand[i])->rank < 4;
}

static void site_body(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    const dfqi_site *site = &j->s->sites[i];
    (void)thread;
    if (site->kind == DFQI_SITE_WEIGHT || (j->phase == PHASE_FOLD && !folds(j, (int32_t)i))) return;
    dfqi_view v = view_of(j, (int32_t)i);
    if (j->phase == PHASE_RANGES)
        dfqi_stats_add(&j->stats[i], &v);
    else
        dfqi_stats_errors(&j->stats[i], site, &v, j->k);
}

/* One pass over the images for all sites. The last batch starts earlier so that it is full: an
 * image may be read twice, none is left out. */
static dfq_status sweep(job *j, phase what, const dfqi_images *images)
{
    int64_t batch = j->g->batch, n = images->n;
    const float *x;
    j->phase = what;
    for (int64_t i = 0; i < n; i += batch) {
        int64_t first = i + batch <= n ? i : n - batch;
        DFQI_TRY(dfqi_images_at(images, first, batch, &x));
        dfqi_exec_bind(j->e, j->x, x);
        DFQI_TRY(dfqi_exec_run(j->e));
        dfqi_parallel_for(j->s->ctx, j->s->n_sites, site_body, j);
        j->done += (uint64_t)(i + batch <= n ? batch : n - i);
        DFQI_TRY(dfqi_stage_report(&j->stage, j->done, NAN));
    }
    return DFQ_OK;
}

/* -- improved mode ----------------------------------------------------------------------------- */

static dfq_status make_stats(job *j)
{
    for (int32_t i = 0; i < j->s->n_sites; i++) {
        const dfqi_site *site = &j->s->sites[i];
        if (site->kind == DFQI_SITE_WEIGHT) continue;
        int64_t cols = dfqi_value_last(dfqi_graph_value(j->g, j->pass->operand[i])), depth = 0;
        if (dfqi_site_is_map(site))
            depth = dfqi_value_last(dfqi_graph_value(j->g, j->pass->operand[i + 1]));
        DFQI_TRY(dfqi_stats_new(j->s->ctx, dfqi_tensor_count(site->scale),
                                dfqi_stats_tile(cols, depth), &j->stats[i]));
    }
    return DFQ_OK;
}

/* NaN fails every comparison, so the extremes do not show it; the sum of squares does. */
static dfq_status need_finite(const job *j)
{
    for (int32_t i = 0; i < j->s->n_sites; i++)
        for (int64_t c = 0; c < j->stats[i].n; c++)
            if (!isfinite(j->stats[i].square[c]))
                return dfqi_fail(
                    j->s->ctx, DFQ_E_NUMERIC,
                    "%s is not finite on these images; check the images and the weights",
                    j->s->sites[i].name);
    return DFQ_OK;
}

/* There is no grid if no candidate had a finite error. */
static dfq_status check_grids(const dfqi_scheme *s)
{
    for (int32_t i = 0; i < s->n_sites; i++) {
        const dfqi_site *site = &s->sites[i];
        for (int64_t c = 0, n = dfqi_tensor_count(site->scale); c < n; c++) {
            float scale = dfqi_tensor_f32(site->scale)[c];
            float zero_point = site->zero_point ? dfqi_tensor_f32(site->zero_point)[c] : 0;
            if (!(scale > 0 && isfinite(scale) && isfinite(zero_point)))
                return dfqi_fail(s->ctx, DFQ_E_NUMERIC,
                                 "%s: no scale has a finite error; check the images and the "
                                 "weights, the values are too large",
                                 site->name);
        }
    }
    return DFQ_OK;
}

/* The weight that reads site i: it names the site as its input. */
static const dfqi_site *reader_of(const dfqi_scheme *s, int32_t i)
{
    for (int32_t k = 0; k < s->n_sites; k++)
        if (s->sites[k].kind == DFQI_SITE_WEIGHT && s->sites[k].input == i) return &s->sites[k];
    return NULL;
}

static dfq_status choose_folds(job *j, const dfqi_network *net, double **moments)
{
    for (int32_t i = 0; i < j->s->n_sites; i++) {
        dfqi_stats *st = &j->stats[i];
        const dfqi_site *reader = reader_of(j->s, i);
        if (!st->n || !reader) continue;
        const dfq_tensor *w = dfqi_network_find(net, reader->name);
        DFQI_TRY(dfqi_fold_choose(j->s, st, &j->s->sites[i], w, reader->bits));
        for (int64_t c = 0; c < st->n; c++)
            if (st->count[c] > 0) st->square[c] /= st->count[c];
        moments[i] = st->square;
    }
    return DFQ_OK;
}

/* Widens the ranges, because activations are smaller on synthetic images than on real ones, and in
 * some channels close to 0. The factor is max(2^((bits - 4) / 4), 1.1). No scale stays below half
 * of the mean scale of its operand. (ViT-Tiny, W8A8, 64 synthetic images, 650 real test images: 527
 * right without this minimum, 532 with it.) */
static void widen(dfqi_site *site)
{
    if (site->kind != DFQI_SITE_UNIFORM) return;
    float factor = fmaxf(1.1f, exp2f(0.25f * (float)(site->bits - 4))), mean = 0;
    float mid_code = 0.5f * (site->qmin + site->qmax);
    float *scale = dfqi_tensor_f32(site->scale), *zero_point = dfqi_tensor_f32(site->zero_point);
    int64_t n = dfqi_tensor_count(site->scale);
    for (int64_t i = 0; i < n; i++) mean += scale[i] / (float)n;
    for (int64_t i = 0; i < n; i++) {
        float mid = (mid_code - zero_point[i]) * scale[i]; /* the middle code keeps its value */
        scale[i] = factor * fmaxf(scale[i], 0.5f * mean);
        zero_point[i] = mid_code - mid / scale[i];
    }
}

static dfq_status improved(job *j, const dfqi_network *teacher, dfqi_network *student,
                           const dfqi_images *images)
{
    dfqi_scheme *s = j->s;
    dfq_status status = DFQ_E_NOMEM;
    j->stage = dfqi_stage_begin(s->ctx, "calibrate", 0, SWEEPS * (uint64_t)images->n);
    j->stats = dfqi_calloc(s->ctx, (size_t)s->n_sites, sizeof *j->stats);
    double **moments = dfqi_calloc(s->ctx, (size_t)s->n_sites, sizeof *moments);
    if (!j->stats || !moments) goto out;
    DFQI_GOTO(make_stats(j), out);
    DFQI_GOTO(sweep(j, PHASE_RANGES, images), out);
    DFQI_GOTO(need_finite(j), out);
    for (int32_t i = 0; i < s->n_sites; i++)
        if (j->stats[i].n) dfqi_stats_shrink(&j->stats[i], &s->sites[i]);
    DFQI_GOTO(sweep(j, PHASE_SCALES, images), out);
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (!j->stats[i].n) continue;
        dfqi_stats_choose(&j->stats[i], &s->sites[i]);
        if (folds(j, i)) dfqi_fold_candidates(&j->stats[i], &s->sites[i]);
    }
    DFQI_GOTO(sweep(j, PHASE_FOLD, images), out);
    DFQI_GOTO(choose_folds(j, teacher, moments), out);
    for (int32_t i = 0; i < s->n_sites; i++) widen(&s->sites[i]);
    DFQI_GOTO(dfqi_calibrate_weights(s, teacher, moments), out);
    DFQI_GOTO(check_grids(s), out);
    status = dfqi_round_weights(s, teacher, student, images);
out:
    for (int32_t i = 0; j->stats && i < s->n_sites; i++) dfqi_stats_fini(s->ctx, &j->stats[i]);
    dfqi_free(s->ctx, j->stats);
    dfqi_free(s->ctx, moments);
    return status;
}

/* -- parity mode ------------------------------------------------------------------------------- */

/* MimiQ: alpha = 2 mean|x| / sqrt(Qp), z = 0.1 (min x - alpha Qp). The published rule makes the
 * grid unsigned when min x >= 1e-5, which in practice never happens: signed always. */
static dfq_status parity_site(dfq_context *ctx, dfqi_site *site, const float *x, int64_t n)
{
    double sum = 0;
    float low = x[0];
    for (int64_t i = 0; i < n; i++) {
        sum += fabsf(x[i]);
        if (x[i] < low) low = x[i];
    }
    if (!isfinite(sum))
        return dfqi_fail(ctx, DFQ_E_NUMERIC,
                         "%s is not finite on these images; check the images and the weights",
                         site->name);
    float scale = (float)(2.0 * sum / (double)n / sqrt((double)site->qmax));
    if (!(scale > 1e-8f)) scale = 1e-8f;
    dfqi_tensor_f32(site->scale)[0] = scale;
    dfqi_tensor_f32(site->zero_point)[0] = 0.1f * (low - scale * site->qmax);
    return DFQ_OK;
}

/* LSQ's initial scales of a weight (MimiQ): from the mean magnitude of the whole weight. */
static dfq_status start_weights(dfqi_scheme *s, const dfqi_network *net)
{
    for (int32_t i = 0; i < s->n_sites; i++) {
        dfqi_site *site = &s->sites[i];
        if (!dfqi_site_is_weight(site) || site->follows) continue;
        const dfq_tensor *w = dfqi_network_find(net, site->name);
        if (!w) return dfqi_fail(s->ctx, DFQ_E_INTERNAL, "no parameter %s", site->name);
        int64_t n = dfqi_tensor_count(w);
        double sum = 0;
        for (int64_t k = 0; k < n; k++) sum += (double)fabsf(dfqi_tensor_f32(w)[k]);
        float scale = (float)(2.0 * sum / (double)n / sqrt((double)site->qmax));
        for (int64_t r = 0; r < w->dims[0]; r++)
            dfqi_tensor_f32(site->scale)[r] = scale > 1e-8f ? scale : 1e-8f;
    }
    return DFQ_OK;
}

static dfq_status parity(job *j, const dfqi_images *images)
{
    const float *x;
    j->stage = dfqi_stage_begin(j->s->ctx, "calibrate", 0, (uint64_t)j->s->n_sites);
    DFQI_TRY(dfqi_images_at(images, 0, j->g->batch, &x));
    dfqi_exec_bind(j->e, j->x, x);
    for (int32_t i = 0; i < j->s->n_sites; i++) {
        if (dfqi_site_is_weight(&j->s->sites[i])) continue;
        DFQI_TRY(dfqi_exec_run(j->e));
        const dfqi_value *v = dfqi_graph_value(j->g, j->pass->operand[i]);
        DFQI_TRY(parity_site(j->s->ctx, &j->s->sites[i], dfqi_exec_data(j->e, j->pass->operand[i]),
                             dfqi_value_count(v)));
        DFQI_TRY(dfqi_stage_report(&j->stage, (uint64_t)i + 1, NAN));
    }
    return DFQ_OK;
}

/* -- ranges that are followed ------------------------------------------------------------------ */

static dfq_status follow_ranges(dfqi_scheme *s, const dfqi_network *net, const dfqi_images *images)
{
    int64_t n = images->n, most = dfqi_arch_is_cnn(&net->arch) ? RANGE_BATCH : PARITY_BATCH;
    int64_t batch = n < most ? n : most;
    const float *x;
    dfqi_stage stage = dfqi_stage_begin(s->ctx, "calibrate", 0, (uint64_t)n);
    dfqi_tracker *t;
    dfq_status status = DFQ_OK;
    DFQI_TRY(dfqi_tracker_new(s, net, batch, &t));
    for (int64_t i = 0; status == DFQ_OK && i < n; i += batch) {
        int64_t first = i + batch <= n ? i : n - batch; /* starts earlier so that it is full */
        status = dfqi_images_at(images, first, batch, &x);
        if (status == DFQ_OK) status = dfqi_tracker_add(t, x);
        if (status == DFQ_OK) status = dfqi_stage_report(&stage, (uint64_t)(first + batch), NAN);
    }
    dfqi_tracker_free(t);
    return status;
}

dfq_status dfqi_scheme_calibrate_from(dfqi_scheme *s, const dfqi_network *teacher,
                                      dfqi_network *student, const dfqi_images *images)
{
    int64_t n = images->n;
    dfqi_graph *g = NULL;
    dfqi_quant_pass pass = {0};
    dfq_status status;
    job j = {.s = s, .pass = &pass, .k = dfqi_kernels_get(s->ctx)};
    if (n < 1)
        return dfqi_fail(s->ctx, DFQ_E_INVALID,
                         "calibration: there are 0 images, must be 1 or more");
    if (dfqi_arch_is_cnn(&teacher->arch))
        return s->mode == DFQI_MODE_PARITY || s->grids.act_grid == DFQI_ACT_GRID_MINMAX
                   ? follow_ranges(s, teacher, images)
                   : dfqi_calibrate_cnn(s, student, images);
    if (s->grids.act_scale == DFQI_ACT_SCALE_ROW) {
        DFQI_TRY(dfqi_calibrate_weights(s, teacher, NULL));
        return dfqi_round_weights(s, teacher, student, images);
    }
    int is_parity = s->mode == DFQI_MODE_PARITY;
    if (is_parity) DFQI_TRY(start_weights(s, teacher));
    if (s->grids.act_grid == DFQI_ACT_GRID_MINMAX) return follow_ranges(s, teacher, images);
    int64_t batch = is_parity ? PARITY_BATCH : STREAM;
    DFQI_GOTO(dfqi_pass_graph(s, teacher, n < batch ? n : batch, !is_parity, -1, &pass, &g, &j.x),
              out);
    DFQI_GOTO(dfqi_exec_new(g, &j.e), out);
    j.g = g;
    status = is_parity ? parity(&j, images) : improved(&j, teacher, student, images);
out:
    dfqi_exec_free(j.e);
    dfqi_graph_free(g);
    dfqi_quant_pass_fini(&pass, s->ctx);
    return status;
}

dfq_status dfqi_scheme_calibrate(dfqi_scheme *s, const dfqi_network *teacher, dfqi_network *student,
                                 const float *images, int64_t n)
{
    const dfqi_arch *a = &teacher->arch;
    dfqi_images all = {.n = n, .pixels = dfqi_arch_pixels(a), .memory = images};
    return dfqi_scheme_calibrate_from(s, teacher, student, &all);
}
