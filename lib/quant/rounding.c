/* Rounding of all weights: a walk over teacher and student (graph/walk.h) that stops in front of
 * each layer in network order. There the moments of its inputs are known, as the student computes
 * them: the layers before are rounded, and the layer's own quantizer is applied. So its weights get
 * corrected (ridge.c), their scales (weights.c) and codes (gptq.c), and its bias takes up the mean
 * error, before the walk goes on through the layer. All of it costs about a forward pass of teacher
 * and student, and the moments.
 *
 * What the walk keeps between two layers grows with the images. Beyond DFQI_ROUND_LIVE_BYTES some
 * images are left out, spread over the set. */
#include <math.h>
#include <string.h>

#include "base/progress.h"
#include "graph/walk.h"
#include "quant/fold_batchnorm.h"
#include "quant/rounding_priv.h"

enum { BATCH = 8, MOST_ROWS = 1 << 16 }; /* rows of a convolution's inputs */

/* The penalty of the ridge correction and the damping of GPTQ, in units of the inputs' mean power.
 *
 * (ViT-Tiny, W4A4 with static grids, 64 pictures, of 650: no correction 324 right, 1: 330, 3: 364,
 * 10: 387, 30: 368. The squared error of single layers on held-out images is least at 0.03 to 0.3,
 * with which the network has 270: least squares takes the errors of the inputs for noise in the
 * regressors and shrinks the outputs, and what it shrinks no later layer restores, whereas noise
 * averages out over tokens. So layers cannot choose the penalty by their own error. With scales of
 * rows, 128 images of dead leaves and dampings of 0.01 and 0.1: 30: 465 and 470, 100: 462 and
 * 472, means of two sets.) */
typedef struct strengths {
    double penalty, damping;
} strengths;

static const strengths of_vit = {10, 0.01}, of_rows = {100, 0.1}, of_cnn = {0.1, 0.01};

/* One side, teacher or student. */
typedef struct side {
    dfqi_quant_pass pass;
    dfqi_graph *g;
    dfqi_id x;
    dfqi_id *stops; /* [layers] */
    dfqi_walk *walk;
    dfqi_workspace work;
} side;

typedef struct job {
    dfqi_scheme *s;
    dfq_context *ctx;
    const dfqi_network *teacher;
    dfqi_network *student;
    const dfqi_images *images;
    strengths strengths;
    int64_t batch, batches, used; /* images of a batch, batches, images in all */
    int32_t n_layers, *sites;     /* [n_layers] */
    int32_t *nodes;               /* [n_layers] in the student's graph */
    side of_teacher, of_student;
} job;

/* Weights without a scale of their own follow a min-max rule. */
static bool is_rounded(const dfqi_site *site)
{
    return site->kind == DFQI_SITE_WEIGHT && site->scale && !site->follows;
}

static void layer_name(const dfqi_site *site, char out[80])
{
    memcpy(out, site->name, sizeof site->name);
    out[strlen(out) - strlen(".weight")] = '\0';
}

/* -- the walk ---------------------------------------------------------------------------------- */

static void side_fini(dfq_context *ctx, side *s)
{
    dfqi_walk_free(s->walk);
    dfqi_workspace_fini(ctx, &s->work);
    dfqi_graph_free(s->g);
    dfqi_free(ctx, s->stops);
    dfqi_quant_pass_fini(&s->pass, ctx);
}

static dfq_status side_init(job *j, const dfqi_network *net, int dry, side *out)
{
    char name[80];
    DFQI_TRY(dfqi_pass_graph(j->s, net, j->batch, dry, -1, &out->pass, &out->g, &out->x));
    out->stops = dfqi_calloc(j->ctx, (size_t)j->n_layers, sizeof *out->stops);
    if (!out->stops) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < j->n_layers; i++) {
        layer_name(&j->s->sites[j->sites[i]], name);
        int32_t node = dfqi_round_node(out->g, name);
        if (node < 0) return dfqi_fail(j->ctx, DFQ_E_INTERNAL, "no layer %s", name);
        j->nodes[i] = node;
        out->stops[i] = out->g->nodes[node].in[0];
    }
    return dfqi_walk_new(out->g, j->n_layers, out->stops, &out->work, &out->walk);
}

/* The first image of batch b; all are full. If some are left out, whole batches are. */
static int64_t first_image(const job *j, int64_t b)
{
    int64_t all = (j->images->n + j->batch - 1) / j->batch;
    int64_t first = b * all / j->batches * j->batch;
    return first + j->batch <= j->images->n ? first : j->images->n - j->batch;
}

static void choose_images(job *j)
{
    int64_t all = (j->images->n + j->batch - 1) / j->batch;
    double floats =
        (double)(dfqi_walk_floats(j->of_teacher.walk) + dfqi_walk_floats(j->of_student.walk));
    double most = DFQI_ROUND_LIVE_BYTES / (floats * sizeof(float) * (double)j->batch);
    j->batches = most >= (double)all ? all : most > 1 ? (int64_t)most : 1;
    j->used = j->batches < all ? j->batches * j->batch : j->images->n;
    if (j->used < j->images->n)
        dfqi_log(j->ctx, DFQ_LOG_INFO,
                 "rounding takes %lld of %lld images: more of them would need over 1 GiB",
                 (long long)j->used, (long long)j->images->n);
}

/* Runs all images up to the layer. */
static dfq_status collect(job *j, dfqi_round_layer *l, float *scratch)
{
    const float *x;
    DFQI_TRY(dfqi_walk_next(j->of_teacher.walk, j->used));
    DFQI_TRY(dfqi_walk_next(j->of_student.walk, j->used));
    for (int64_t b = 0; b < j->batches; b++) {
        int64_t at = b * j->batch, skip = 0; /* where the last batch starts earlier to be full */
        if (at + j->batch > j->used) {
            skip = at + j->batch - j->used;
            at -= skip;
        }
        DFQI_TRY(dfqi_images_at(j->images, first_image(j, b), j->batch, &x));
        DFQI_TRY(dfqi_walk_run(j->of_teacher.walk, at, x));
        DFQI_TRY(dfqi_walk_run(j->of_student.walk, at, x));
        dfqi_round_add(l, at + skip, j->batch - skip,
                       dfqi_walk_data(j->of_student.walk) + skip * l->in.image,
                       dfqi_walk_data(j->of_teacher.walk) + skip * l->in.image, scratch);
    }
    return DFQ_OK;
}

/* -- one layer --------------------------------------------------------------------------------- */

static void moments_fini(dfqi_round_layer *l)
{
    for (int64_t i = 0; l->moments && i < l->systems; i++)
        dfqi_input_moments_fini(l->ctx, &l->moments[i]);
    dfqi_free(l->ctx, l->moments);
}

static dfq_status moments_init(dfqi_round_layer *l)
{
    l->moments = dfqi_calloc(l->ctx, (size_t)l->systems, sizeof *l->moments);
    if (!l->moments) return DFQ_E_NOMEM;
    for (int64_t i = 0; i < l->systems; i++)
        DFQI_TRY(dfqi_input_moments_new(l->ctx, l->n, &l->moments[i]));
    return DFQ_OK;
}

static dfq_status layer_init(job *j, int32_t i, const char *name, dfqi_round_layer *l)
{
    dfqi_site *site = &j->s->sites[j->sites[i]];
    const dfq_tensor *t = dfqi_network_find(j->teacher, site->name);
    const dfq_tensor *w = dfqi_network_find(j->student, site->name);
    if (!t || !w) return dfqi_fail(j->ctx, DFQ_E_INTERNAL, "no parameter %s", site->name);
    *l = (dfqi_round_layer){.ctx = j->ctx, .site = site, .name = name};
    l->teacher = dfqi_tensor_f32(t);
    l->w = dfqi_tensor_f32(w);
    l->rows = w->dims[0];
    l->n = dfqi_tensor_count(w) / l->rows;
    t = dfqi_bias_of(j->teacher, site->name);
    w = dfqi_bias_of(j->student, site->name);
    l->teacher_bias = t ? dfqi_tensor_f32(t) : NULL;
    l->bias = w && (j->s->rounding & DFQI_ROUND_BIAS) ? dfqi_tensor_f32(w) : NULL;
    if (site->input >= 0) l->col = dfqi_tensor_f32(j->s->sites[site->input].scale);
    l->in = dfqi_round_inputs(j->of_student.g, j->nodes[i], j->used, MOST_ROWS);
    l->systems = l->in.groups;
    return moments_init(l);
}

dfq_status dfqi_round_singular(const dfqi_round_layer *l)
{
    return dfqi_fail(l->ctx, DFQ_E_NUMERIC,
                     "%s: the second moments of its input cannot be inverted; the calibration "
                     "images drive it to infinity",
                     l->name);
}

static dfq_status round_layer(const job *j, dfqi_round_layer *l)
{
    int32_t parts = j->s->rounding;
    for (int64_t i = 0; i < l->systems; i++)
        if (!dfqi_input_moments_end(&l->moments[i])) return dfqi_round_singular(l);
    if (parts & DFQI_ROUND_RIDGE) DFQI_TRY(dfqi_ridge(l, j->strengths.penalty));
    if (parts & DFQI_ROUND_SEARCH) DFQI_TRY(dfqi_round_search(l));
    if (parts & DFQI_ROUND_GPTQ)
        DFQI_TRY(dfqi_gptq(l, j->strengths.damping));
    else
        dfqi_round_nearest(l);
    if (parts & DFQI_ROUND_BIAS) dfqi_round_bias(l);
    return DFQ_OK;
}

static dfq_status visit(job *j, int32_t i)
{
    char name[80];
    dfqi_round_layer l = {.ctx = j->ctx};
    float *scratch = NULL;
    layer_name(&j->s->sites[j->sites[i]], name);
    dfq_status status = layer_init(j, i, name, &l);
    if (status == DFQ_OK) {
        scratch = dfqi_calloc(j->ctx, dfqi_round_scratch(&l), sizeof *scratch);
        status = scratch ? collect(j, &l, scratch) : DFQ_E_NOMEM;
    }
    dfqi_free(j->ctx, scratch);
    if (status == DFQ_OK) status = round_layer(j, &l);
    moments_fini(&l);
    return status;
}

/* -- all of them ------------------------------------------------------------------------------- */

static dfq_status round_all(job *j)
{
    dfqi_stage stage = dfqi_stage_begin(j->ctx, "round", 0, (uint64_t)j->n_layers);
    j->batch = j->images->n < BATCH ? j->images->n : BATCH;
    DFQI_TRY(side_init(j, j->teacher, 1, &j->of_teacher));
    DFQI_TRY(side_init(j, j->student, 0, &j->of_student));
    choose_images(j);
    for (int32_t i = 0; i < j->n_layers; i++) {
        DFQI_TRY(visit(j, i));
        DFQI_TRY(dfqi_stage_report(&stage, (uint64_t)i + 1, NAN));
    }
    return DFQ_OK;
}

dfq_status dfqi_round_weights(dfqi_scheme *s, const dfqi_network *teacher, dfqi_network *student,
                              const dfqi_images *images)
{
    dfq_context *ctx = s->ctx;
    dfq_status status = DFQ_E_NOMEM;
    job j = {.s = s, .ctx = ctx, .teacher = teacher, .student = student, .images = images};
    int rows = s->grids.act_scale == DFQI_ACT_SCALE_ROW;
    j.strengths = dfqi_arch_is_cnn(&teacher->arch) ? of_cnn : rows ? of_rows : of_vit;
    if (!(s->rounding & (DFQI_ROUND_RIDGE | DFQI_ROUND_GPTQ | DFQI_ROUND_BIAS))) return DFQ_OK;
    j.sites = dfqi_calloc(ctx, 2 * (size_t)s->n_sites, sizeof *j.sites);
    if (!j.sites) goto out;
    j.nodes = j.sites + s->n_sites;
    for (int32_t i = 0; i < s->n_sites; i++)
        if (is_rounded(&s->sites[i])) j.sites[j.n_layers++] = i;
    status = j.n_layers ? round_all(&j) : DFQ_OK;
out:
    side_fini(ctx, &j.of_teacher);
    side_fini(ctx, &j.of_student);
    dfqi_free(ctx, j.sites);
    return status;
}
