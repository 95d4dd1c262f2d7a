/* What the inter-head term does to synthetic images (studies/inter_head.py): makes a set with a
 * given weight of the term, and prints one line of JSON: similarity of heads as drawn and as made,
 * the mean distance 1 - S^2, the class loss of the images as they are, and which share of the
 * gradient each term has, in the coordinates that the optimiser moves, at the beginning, at each
 * quarter and at the end of the first batch. Shares are norms, weights included.
 * Usage: study_inter_head MODEL FOLDER pixels|scales square|absolute WEIGHT SEED IMAGES ITERATIONS
 * THREADS */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "synth/imageset.h"
#include "synth/similarity.h"
#include "synth/synth_priv.h"

enum { MODEL = 1, FOLDER, MOVED, DISTANCE, WEIGHT, SEED, IMAGES, ITERATIONS, THREADS, ARGS };
enum { QUARTERS = 5, TERMS = 3 };

static const char *const term_names[TERMS] = {"inter_head", "class", "tv"};

typedef struct study {
    dfq_context *ctx;
    dfqi_model *m;
    dfqi_synth_options o;
    dfqi_synth *main, *one[TERMS]; /* the job, and for each term a job of it alone */
    double norms[QUARTERS][TERMS], cosine[QUARTERS]; /* of the inter-head and the class gradient */
} study;

static void must(const study *s, dfq_status status)
{
    if (status == DFQ_OK) return;
    fprintf(stderr, "study_inter_head: %s\n", s->ctx ? s->ctx->error : "no memory");
    exit(1);
}

static float weight_of(const dfqi_synth_options *o, int term)
{
    return term == 0 ? o->attention_weight : term == 1 ? o->class_weight : o->tv_weight;
}

/* Jobs with the labels and sizes of the first batch, one term each, with weight 1. */
static void make_terms(study *s)
{
    for (int t = 0; t < TERMS; t++) {
        dfqi_synth_options o = s->o;
        o.images = o.batch;
        o.attention_weight = t == 0;
        o.class_weight = t == 1;
        o.tv_weight = t == 2;
        must(s, dfqi_synth_new(s->m, &o, &s->one[t]));
        must(s, dfqi_synth_start(s->one[t]));
    }
}

/* The gradient of a term at x, as the optimiser sees it. */
static float *gradient(study *s, int term, const float *x, const dfqi_draws *d, float *loss)
{
    dfqi_synth *one = s->one[term];
    float losses[DFQI_SYNTH_LOSSES];
    const float *grad;
    memcpy(one->x, x, (size_t)(one->o.batch * one->pixels) * sizeof *x);
    must(s, dfqi_objective_run(one, d, losses, &grad));
    dfqi_pyramid_split(s->ctx, &one->by_pixels.pyramid, one->o.batch, grad, one->by_pixels.scales);
    *loss = losses[DFQI_SYNTH_TOTAL];
    return one->by_pixels.scales;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void measure_shares(study *s, int quarter)
{
    float *g[TERMS], loss;
    int64_t n = dfqi_pixels_scale_floats(s->main);
    dfqi_draw_augment(s->main, &s->main->by_pixels.draws);
    for (int t = 0; t < TERMS; t++) {
        g[t] = gradient(s, t, s->main->x, &s->main->by_pixels.draws, &loss);
        s->norms[quarter][t] = (double)weight_of(&s->o, t) * sqrt(dot(g[t], g[t], n));
    }
    s->cosine[quarter] = dot(g[0], g[1], n) / sqrt(dot(g[0], g[0], n) * dot(g[1], g[1], n));
}

static void make_images(study *s)
{
    int32_t finished = 0;
    must(s, dfqi_synth_new(s->m, &s->o, &s->main));
    must(s, dfqi_synth_start(s->main));
    make_terms(s);
    for (int64_t i = 0, quarter = 0; !finished; i++) {
        int64_t at = quarter * (s->o.iterations - 1) / (QUARTERS - 1);
        if (s->main->at == 0 && quarter < QUARTERS && i == at) measure_shares(s, (int)quarter++);
        must(s, dfqi_synth_step(s->main, &finished));
    }
}

/* A term's mean over whole batches of images, not augmented. */
static double clean(study *s, int term, const float *images)
{
    dfqi_synth *one = s->one[term];
    dfqi_draws d = one->by_pixels.draws;
    int64_t batches = s->o.images / s->o.batch;
    double sum = 0;
    for (int64_t i = 0; i < 3 * s->o.batch; i++) {
        d.offset[i] = d.mean[i] = 0;
        d.dev[i] = 1;
    }
    for (int64_t b = 0; b < batches; b++) {
        float loss;
        dfqi_draw_labels(one, b, 0, one->labels_f);
        (void)gradient(s, term, images + b * s->o.batch * one->pixels, &d, &loss);
        sum += (double)loss / (double)batches;
    }
    return sum;
}

static double mean_of(const dfq_tensor *t)
{
    double sum = 0;
    int64_t n = dfqi_tensor_count(t);
    for (int64_t i = 0; i < n; i++) sum += (double)dfqi_tensor_f32(t)[i] / (double)n;
    return sum;
}

static void print_shares(const study *s)
{
    for (int t = 0; t < TERMS; t++) {
        printf(", \"%s\": [", term_names[t]);
        for (int q = 0; q < QUARTERS; q++) {
            const double *n = s->norms[q];
            printf("%s%.4f", q ? ", " : "", n[t] / (n[0] + n[1] + n[2]));
        }
        printf("]");
    }
    printf(", \"cosine\": [");
    for (int q = 0; q < QUARTERS; q++) printf("%s%.3f", q ? ", " : "", s->cosine[q]);
    printf("]");
}

static void report(study *s, char **argv)
{
    dfq_tensor *images, *labels, *before, *after;
    must(s, dfqi_synth_images(s->main, &images, &labels));
    must(s, dfqi_synth_similarity(s->main, 0, &before, &after));
    must(s, dfqi_imageset_save(s->m, images, labels, argv[FOLDER], 1));
    printf("{\"moved\": \"%s\", \"distance_kind\": \"%s\", \"weight\": %g, \"seed\": %lld, "
           "\"similarity_before\": %.4f, \"similarity\": %.4f, \"distance\": %.4f, "
           "\"class_loss\": %.4f",
           argv[MOVED], argv[DISTANCE], (double)s->o.attention_weight, (long long)s->o.seed,
           mean_of(before), mean_of(after), clean(s, 0, dfqi_tensor_f32(images)),
           clean(s, 1, dfqi_tensor_f32(images)));
    print_shares(s);
    printf("}\n");
    dfqi_tensor_release(before);
    dfqi_tensor_release(after);
    dfqi_tensor_release(images);
    dfqi_tensor_release(labels);
}

int main(int argc, char **argv)
{
    study s = {0};
    dfq_context_options c;
    if (argc != ARGS) {
        fprintf(stderr, "usage: study_inter_head MODEL FOLDER pixels|scales square|absolute WEIGHT "
                        "SEED IMAGES ITERATIONS THREADS\n");
        return 2;
    }
    dfq_context_options_init(&c, sizeof c);
    c.threads = atoi(argv[THREADS]);
    if (dfq_context_create(&c, &s.ctx) != DFQ_OK) return 1;
    must(&s, dfqi_model_load(s.ctx, argv[MODEL], NULL, &s.m));
    dfqi_synth_defaults(&s.o);
    s.o.kind = DFQI_SYNTH_ATTENTION;
    s.o.multi_scale = strcmp(argv[MOVED], "scales") == 0;
    s.o.distance =
        strcmp(argv[DISTANCE], "absolute") == 0 ? DFQI_DISTANCE_ABSOLUTE : DFQI_DISTANCE_SQUARE;
    s.o.attention_weight = (float)atof(argv[WEIGHT]);
    s.o.seed = strtoull(argv[SEED], NULL, 10);
    s.o.images = atoll(argv[IMAGES]);
    s.o.iterations = atoll(argv[ITERATIONS]);
    make_images(&s);
    report(&s, argv);
    for (int t = 0; t < TERMS; t++) dfqi_synth_release(s.one[t]);
    dfqi_synth_release(s.main);
    dfqi_model_release(s.m);
    dfq_context_release(s.ctx);
    return 0;
}
