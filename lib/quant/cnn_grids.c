/* The error search for the grids of a convolutional network.
 *
 * Activations are those of the float network. With those of the quantized one, site after site, the
 * steps shrink from layer to layer with the values that clipping takes away, and rounding cannot
 * make up for it. (ResNet-20, W3A3, rounded by GPTQ with ridge correction, 256 synthetic images of
 * one seed: 891 of 1000 right with float values, 851 with those of the student.) */
#include "quant/cnn_grids.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/rng.h"
#include "graph/exec.h"
#include "quant/fold_batchnorm.h"
#include "quant/scheme_priv.h"

enum { STREAM = 4, FRACTIONS = 60, TILE = 1024 };
static const float least_fraction = 0.15f;

/* What is known of the values of one activation site. */
typedef struct sample {
    const dfqi_site *site;
    float *x;       /* [n] some of the values, at random places */
    int64_t n;      /* so far */
    int64_t each;   /* values that one image gives */
    float largest;  /* magnitude of all values, also of those that x lacks */
    double squares; /* sum over all values, so that none that is not finite is missed */
    double power;   /* sum of squares over x */
} sample;

typedef struct job {
    dfqi_scheme *s;
    const dfqi_kernels *k;
    const dfqi_quant_pass *pass;
    const dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id input;
    sample *samples;      /* [n_sites]; of weights x is NULL */
    int64_t first, fresh; /* the batch in work: its first image, and those before it left out */
} job;

/* -- samples ----------------------------------------------------------------------------------- */

/* All values where there is room, else some at random places, because channels repeat with a
 * period. */
static void add_image(const job *j, sample *s, int64_t image, const float *x, int64_t count)
{
    dfqi_rng rng = dfqi_rng_make(0, (uint64_t)image);
    float ends[2];
    j->k->extremes((size_t)count, x, ends);
    s->largest = fmaxf(s->largest, fmaxf(-ends[0], ends[1]));
    for (int64_t i = 0; i < count; i++) s->squares += (double)x[i] * x[i];
    for (int64_t i = 0; i < s->each; i++) {
        float v = x[s->each < count ? dfqi_rng_below(&rng, (uint32_t)count) : i];
        s->x[s->n++] = v;
        s->power += (double)v * v;
    }
}

static void add_site(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    dfqi_id id = j->pass->operand[i];
    (void)thread;
    if (!j->samples[i].x) return;
    int64_t count = dfqi_value_stride(dfqi_graph_value(j->g, id));
    for (int64_t k = j->fresh; k < j->g->batch; k++)
        add_image(j, &j->samples[i], j->first + k, dfqi_exec_data(j->e, id) + k * count, count);
}

/* The last batch starts earlier so that it is full; images that were seen do not count again. */
static dfq_status collect(job *j, const dfqi_images *images, const dfqi_stage *stage)
{
    int64_t batch = j->g->batch;
    const float *x;
    for (int64_t i = 0; i < images->n; i += batch) {
        j->first = i + batch <= images->n ? i : images->n - batch;
        j->fresh = i - j->first;
        DFQI_TRY(dfqi_images_at(images, j->first, batch, &x));
        dfqi_exec_bind(j->e, j->input, x);
        DFQI_TRY(dfqi_exec_run(j->e));
        dfqi_parallel_for(j->s->ctx, j->s->n_sites, add_site, j);
        DFQI_TRY(dfqi_stage_report(stage, (uint64_t)(j->first + batch), NAN));
    }
    return DFQ_OK;
}

/* -- search ------------------------------------------------------------------------------------ */

static double error_of(const job *j, const sample *s, float scale)
{
    float y[TILE];
    dfqi_grid grid = {&scale, NULL, 1, s->site->qmin, s->site->qmax};
    double sum = 0;
    for (int64_t at = 0; at < s->n; at += TILE) {
        int64_t n = s->n - at < TILE ? s->n - at : TILE;
        j->k->fq(1, n, &grid, s->x + at, y);
        for (int64_t i = 0; i < n; i++) {
            double d = (double)s->x[at + i] - y[i];
            sum += d * d;
        }
    }
    return sum;
}

/* A layer that never fires has zeros alone, which any step expresses. */
static void search_site(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    const sample *s = &j->samples[i];
    dfqi_site *site = &j->s->sites[i];
    float best = 1.0f, step = (1.0f - least_fraction) / (float)(FRACTIONS - 1);
    double least = INFINITY;
    (void)thread;
    if (!s->x) return;
    for (int f = 0; f < FRACTIONS && s->largest > 0; f++) {
        float scale = fmaxf(s->largest * (least_fraction + step * (float)f) / site->qmax, 1e-8f);
        double error = error_of(j, s, scale);
        if (error >= least) continue;
        least = error;
        best = scale;
    }
    *dfqi_tensor_f32(site->scale) = best;
    site->error = s->power > 0 ? least / s->power : 0;
}

static dfq_status search_activations(job *j)
{
    for (int32_t i = 0; i < j->s->n_sites; i++)
        if (!isfinite(j->samples[i].squares))
            return dfqi_fail(j->s->ctx, DFQ_E_NUMERIC,
                             "%s is not finite on these images; check the images and the weights",
                             j->s->sites[i].name);
    dfqi_parallel_for(j->s->ctx, j->s->n_sites, search_site, j);
    return DFQ_OK;
}

/* -- both -------------------------------------------------------------------------------------- */

static dfq_status new_samples(job *j, int64_t images)
{
    dfq_context *ctx = j->s->ctx;
    int64_t most = images < DFQI_GRID_SAMPLE ? DFQI_GRID_SAMPLE / images : 1;
    j->samples = dfqi_calloc(ctx, (size_t)j->s->n_sites, sizeof *j->samples);
    if (!j->samples) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < j->s->n_sites; i++) {
        sample *s = &j->samples[i];
        s->site = &j->s->sites[i];
        if (dfqi_site_is_weight(s->site)) continue;
        int64_t all = dfqi_value_stride(dfqi_graph_value(j->g, j->pass->operand[i]));
        s->each = all < most ? all : most;
        s->x = dfqi_calloc(ctx, (size_t)(images * s->each), sizeof *s->x);
        if (!s->x) return DFQ_E_NOMEM;
    }
    return DFQ_OK;
}

dfq_status dfqi_calibrate_cnn(dfqi_scheme *s, dfqi_network *student, const dfqi_images *images)
{
    dfq_context *ctx = s->ctx;
    dfqi_quant_pass pass = {0};
    dfqi_graph *g = NULL;
    dfqi_network folded = {0};
    dfq_status status;
    int64_t batch = images->n < STREAM ? images->n : STREAM;
    job j = {.s = s, .k = dfqi_kernels_get(ctx), .pass = &pass};
    dfqi_stage stage = dfqi_stage_begin(ctx, "calibrate", 0, (uint64_t)images->n);
    dfqi_fold_batchnorm(student);
    DFQI_GOTO(dfqi_pass_graph(s, student, batch, 1, -1, &pass, &g, &j.input), out);
    j.g = g;
    DFQI_GOTO(new_samples(&j, images->n), out);
    DFQI_GOTO(dfqi_exec_new(g, &j.e), out);
    DFQI_GOTO(collect(&j, images, &stage), out);
    DFQI_GOTO(search_activations(&j), out);
    DFQI_GOTO(dfqi_calibrate_weights(s, student, NULL), out);
    DFQI_GOTO(dfqi_network_clone(student, &folded), out);
    status = dfqi_round_weights(s, &folded, student, images);
out:
    dfqi_exec_free(j.e);
    dfqi_graph_free(g);
    dfqi_quant_pass_fini(&pass, ctx);
    dfqi_network_fini(&folded);
    for (int32_t i = 0; j.samples && i < s->n_sites; i++) dfqi_free(ctx, j.samples[i].x);
    dfqi_free(ctx, j.samples);
    return status;
}
