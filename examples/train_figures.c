/* train_figures OUT.safetensors [option=value ...]: trains a small vision transformer on drawn
 * figures (figures.h) from nothing, with libdfq alone. Every image of every step is drawn anew, so
 * none is seen twice; the test images come from a seed of their own.
 *
 * Options and their defaults are in the table below. The network is saved as F16 at the end and
 * every `save` steps. Prints one line a hundred steps: loss, share of right answers, time left. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "figures.h"

enum { TEST_SEED = 1000003, TEST_BATCH = 100, SIDE = FIGURES_SIDE, REPORT = 100 };

typedef struct settings {
    double width, depth, heads, hidden, patch;    /* the network */
    double batch, steps, warm, rate, decay, seed; /* the training */
    double threads, tests, save;                  /* 0 threads: one per core */
} settings;

typedef struct option {
    const char *name;
    size_t offset;
    double value;
} option;

static const option options[] = {
    {"width", offsetof(settings, width), 128},   {"depth", offsetof(settings, depth), 6},
    {"heads", offsetof(settings, heads), 4},     {"hidden", offsetof(settings, hidden), 512},
    {"patch", offsetof(settings, patch), 4},     {"batch", offsetof(settings, batch), 64},
    {"steps", offsetof(settings, steps), 12000}, {"warm", offsetof(settings, warm), 500},
    {"rate", offsetof(settings, rate), 1e-3},    {"decay", offsetof(settings, decay), 0.05},
    {"seed", offsetof(settings, seed), 1},       {"threads", offsetof(settings, threads), 0},
    {"tests", offsetof(settings, tests), 10000}, {"save", offsetof(settings, save), 1000},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static int read_options(int argc, char **argv, settings *out)
{
    for (int k = 0; k < N_OPTIONS; k++)
        memcpy((char *)out + options[k].offset, &options[k].value, sizeof(double));
    for (int i = 2; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t length = equals ? (size_t)(equals - argv[i]) : 0;
        int k = 0;
        while (k < N_OPTIONS && !(strlen(options[k].name) == length &&
                                  memcmp(argv[i], options[k].name, length) == 0))
            k++;
        char *end = NULL;
        double value = equals ? strtod(equals + 1, &end) : 0;
        if (k == N_OPTIONS || !equals || end == equals + 1 || *end || !(value >= 0)) {
            fprintf(stderr, "train_figures: what is \"%s\"?\n", argv[i]);
            return 1;
        }
        memcpy((char *)out + options[k].offset, &value, sizeof value);
    }
    return 0;
}

static double now(void)
{
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Images first .. first + n - 1 of a set, normalised by mean and deviation 0.5. */
static dfq_status draw(dfq_context *ctx, uint64_t seed, uint64_t first, int64_t n,
                       dfq_tensor **out_images, dfq_tensor **out_labels)
{
    dfq_tensor *images, *labels;
    dfq_status status =
        dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, (int64_t[]){n, 3, SIDE, SIDE}, &images);
    if (status != DFQ_OK) return status;
    status = dfq_tensor_create(ctx, DFQ_DTYPE_I32, 1, &n, &labels);
    if (status != DFQ_OK) {
        dfq_tensor_release(images);
        return status;
    }
    float *x = dfq_tensor_get_data(images);
    int32_t *y = dfq_tensor_get_data(labels);
    for (int64_t i = 0; i < n; i++, x += 3 * SIDE * SIDE) {
        uint8_t rgb[FIGURES_BYTES];
        figures_draw(seed, first + (uint64_t)i, rgb, &y[i]);
        for (int p = 0; p < SIDE * SIDE; p++)
            for (int c = 0; c < 3; c++)
                x[c * SIDE * SIDE + p] = (float)rgb[3 * p + c] / 127.5f - 1.0f;
    }
    *out_images = images;
    *out_labels = labels;
    return DFQ_OK;
}

/* Share of right answers on `n` test images. */
static dfq_status test(dfq_context *ctx, const dfq_graph *graph, int64_t n, double *out)
{
    int64_t correct = 0;
    for (int64_t first = 0; first < n; first += TEST_BATCH) {
        dfq_tensor *x, *y, *z;
        dfq_status status = draw(ctx, TEST_SEED, (uint64_t)first, TEST_BATCH, &x, &y);
        if (status != DFQ_OK) return status;
        status = dfq_graph_forward(graph, x, &z);
        dfq_tensor_release(x);
        if (status == DFQ_OK) {
            const float *logits = dfq_tensor_get_data(z);
            const int32_t *labels = dfq_tensor_get_data(y);
            for (int64_t i = 0; i < TEST_BATCH; i++, logits += FIGURES_CLASSES) {
                int best = 0;
                for (int c = 1; c < FIGURES_CLASSES; c++)
                    if (logits[c] > logits[best]) best = c;
                correct += best == labels[i];
            }
            dfq_tensor_release(z);
        }
        dfq_tensor_release(y);
        if (status != DFQ_OK) return status;
    }
    *out = (double)correct / (double)((n + TEST_BATCH - 1) / TEST_BATCH * TEST_BATCH);
    return DFQ_OK;
}

static dfq_status make(dfq_context *ctx, const settings *s, dfq_graph **out_graph,
                       dfq_trainer **out_trainer)
{
    dfq_vit_options v;
    dfq_vit_options_init(&v, sizeof v);
    v.image = SIDE;
    v.patch = (int64_t)s->patch;
    v.width = (int64_t)s->width;
    v.depth = (int64_t)s->depth;
    v.heads = (int64_t)s->heads;
    v.hidden = (int64_t)s->hidden;
    v.classes = FIGURES_CLASSES;
    v.seed = (uint64_t)s->seed;
    v.name = "vit_figures";
    dfq_status status = dfq_graph_create(ctx, &v, out_graph);
    if (status != DFQ_OK) return status;

    dfq_trainer_options t;
    dfq_trainer_options_init(&t, sizeof t);
    t.batch = (int64_t)s->batch;
    t.steps = (int64_t)s->steps;
    t.warmup_steps = (int64_t)s->warm;
    t.learning_rate = (float)s->rate;
    t.weight_decay = (float)s->decay;
    return dfq_trainer_create(*out_graph, &t, out_trainer);
}

/* All steps; image k of the run is image k of set `seed`. */
static dfq_status train(dfq_context *ctx, const settings *s, const char *path, dfq_graph *graph,
                        dfq_trainer *trainer)
{
    int64_t steps = (int64_t)s->steps, batch = (int64_t)s->batch, save = (int64_t)s->save;
    double start = now(), losses = 0;
    int64_t correct = 0, lines = 0;
    for (int64_t k = 0; k < steps; k++) {
        dfq_tensor *x, *y;
        float loss = 0;
        int32_t right = 0;
        dfq_status status = draw(ctx, (uint64_t)s->seed, (uint64_t)(k * batch), batch, &x, &y);
        if (status != DFQ_OK) return status;
        status = dfq_trainer_step(trainer, x, y, &loss, &right);
        dfq_tensor_release(x);
        dfq_tensor_release(y);
        if (status != DFQ_OK) return status;
        losses += (double)loss;
        correct += right;
        lines++;
        if ((k + 1) % REPORT == 0 || k + 1 == steps) {
            double t = now() - start;
            printf("step %6lld  loss %.4f  right %5.1f %%  %6.1f images/s  %5.0f s left\n",
                   (long long)(k + 1), losses / (double)lines,
                   100.0 * (double)correct / (double)(lines * batch), (double)((k + 1) * batch) / t,
                   t / (double)(k + 1) * (double)(steps - k - 1));
            fflush(stdout);
            losses = 0;
            correct = lines = 0;
        }
        if (save > 0 && (k + 1) % save == 0 && k + 1 < steps) {
            status = dfq_graph_save(graph, path, 1);
            if (status != DFQ_OK) return status;
        }
    }
    return DFQ_OK;
}

int main(int argc, char **argv)
{
    settings s;
    dfq_context *ctx = NULL;
    dfq_graph *graph = NULL, *stored = NULL;
    dfq_trainer *trainer = NULL;
    double accuracy = 0;
    if (argc < 2 || strchr(argv[1], '=') || read_options(argc, argv, &s)) {
        fprintf(stderr, "usage: train_figures OUT.safetensors [option=value ...]\noptions:");
        for (int k = 0; k < N_OPTIONS; k++)
            fprintf(stderr, " %s=%g", options[k].name, options[k].value);
        fprintf(stderr, "\n");
        return 2;
    }
    dfq_context_options o;
    dfq_context_options_init(&o, sizeof o);
    o.threads = (int32_t)s.threads;
    dfq_status status = dfq_context_create(&o, &ctx);
    if (status != DFQ_OK) {
        fprintf(stderr, "train_figures: no context: %s\n", dfq_status_name(status));
        return 1;
    }
    status = make(ctx, &s, &graph, &trainer);
    if (status == DFQ_OK) status = train(ctx, &s, argv[1], graph, trainer);
    if (status == DFQ_OK) status = dfq_graph_save(graph, argv[1], 1);
    if (status == DFQ_OK) status = dfq_graph_load(ctx, argv[1], NULL, &stored);
    if (status == DFQ_OK) status = test(ctx, stored, (int64_t)s.tests, &accuracy);
    if (status == DFQ_OK)
        printf("%s: %.2f %% of %lld test images are right\n", argv[1], 100.0 * accuracy,
               (long long)s.tests);
    else
        fprintf(stderr, "train_figures: %s\n", dfq_context_get_error(ctx));
    dfq_graph_release(stored);
    dfq_trainer_release(trainer);
    dfq_graph_release(graph);
    dfq_context_release(ctx);
    return status == DFQ_OK ? 0 : 1;
}
