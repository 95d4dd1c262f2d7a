/* Does the sum of the damages of single widths rank tables of widths? Measures the damages of a
 * vision transformer on drawn shapes, around the float network and around all layers at MEAN bits,
 * then the divergence of random tables and of pairs of layers, and prints Kendall's tau of
 * predictions and measurements. Everything measured goes to the file CSV, a line each.
 * Usage: study_bits MODEL MEAN IMAGES TABLES CSV [FOLDER of damages from an earlier run] [BAND]
 * BAND: tables of this band alone, around float alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dfq/dfq.h>

#include "base/rng.h"

enum { PAIRS = 30, W = DFQ_SENSITIVITY_WIDTHS, BANDS = 4 };

/* Each table draws its widths from one of these; "spread" draws a middle of 3..7 bits first. */
static const struct band {
    const char *name;
    int32_t below, above; /* MEAN, or the middle */
} bands[BANDS] = {{"spread", 1, 1}, {"wide", 2, 4}, {"middle", 1, 2}, {"narrow", 1, 1}};

static dfq_context *ctx;
static FILE *csv;
static const char *only; /* a band; NULL: all */

static const struct band *band_of(int32_t table)
{
    for (int b = 0; only && b < BANDS; b++)
        if (strcmp(only, bands[b].name) == 0) return &bands[b];
    return &bands[table % BANDS];
}

static void must(dfq_status status)
{
    if (status == DFQ_OK) return;
    fprintf(stderr, "study_bits: %s\n", ctx ? dfq_context_get_error(ctx) : "");
    exit(1);
}

static double tau(const double *x, const double *y, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < i; k++) {
            double s = (x[i] - x[k]) * (y[i] - y[k]);
            sum += s > 0 ? 1 : s < 0 ? -1 : 0;
        }
    return sum / (0.5 * n * (n - 1));
}

static int32_t draw(dfqi_rng *rng, int32_t lo, int32_t hi)
{
    if (lo < DFQ_SENSITIVITY_MIN) lo = DFQ_SENSITIVITY_MIN;
    if (hi > DFQ_SENSITIVITY_MIN + W - 1) hi = DFQ_SENSITIVITY_MIN + W - 1;
    return lo + (int32_t)dfqi_rng_below(rng, (uint32_t)(hi - lo + 1));
}

static void fill_uniform(dfq_bits *b, int32_t bits)
{
    dfq_bits_layer l = {.struct_size = sizeof l};
    for (int32_t i = 0; i < dfq_bits_get_count(b); i++) {
        must(dfq_bits_get_layer(b, i, &l));
        must(dfq_bits_set_layer(b, l.name, l.weight_bits ? bits : 0, l.act_bits ? bits : 0));
    }
}

static void fill_random(dfq_bits *b, dfqi_rng *rng, int32_t lo, int32_t hi)
{
    dfq_bits_layer l = {.struct_size = sizeof l};
    for (int32_t i = 0; i < dfq_bits_get_count(b); i++) {
        must(dfq_bits_get_layer(b, i, &l));
        int32_t w = draw(rng, lo, hi), a = draw(rng, lo, hi);
        must(dfq_bits_set_layer(b, l.name, l.weight_bits ? w : 0, l.act_bits ? a : 0));
    }
}

static void note_table(const char *kind, const dfq_bits *b, double predicted, double measured)
{
    const dfq_layer_config *c = dfq_bits_get_configs(b);
    fprintf(csv, "%s,%.9g,%.9g", kind, predicted, measured);
    for (int32_t i = 0; i < dfq_bits_get_count(b); i++)
        fprintf(csv, ",%d,%d", (int)c[i].weight_bits, (int)c[i].act_bits);
    fputc('\n', csv);
    fflush(csv);
}

/* Damages of layers by width, and what a network has without any. */
typedef struct damages {
    double base;
    dfq_tensor *t; /* [layers][2][W] */
} damages;

static float *damage_at(const damages *d, int32_t layer, int32_t side)
{
    return (float *)dfq_tensor_get_data(d->t) + (2 * layer + side) * W;
}

static double predict(const damages *d, const dfq_bits *b)
{
    const dfq_layer_config *c = dfq_bits_get_configs(b);
    double sum = d->base;
    for (int32_t i = 0; i < dfq_bits_get_count(b); i++) {
        if (c[i].weight_bits)
            sum += (double)damage_at(d, i, 0)[c[i].weight_bits - DFQ_SENSITIVITY_MIN];
        if (c[i].act_bits) sum += (double)damage_at(d, i, 1)[c[i].act_bits - DFQ_SENSITIVITY_MIN];
    }
    return sum;
}

static void note_damages(const damages *d, const char *kind)
{
    for (int32_t i = 0; i < dfq_tensor_get_dims(d->t)[0]; i++) {
        fprintf(csv, "%s,%d", kind, (int)i);
        for (int k = 0; k < 2 * W; k++) fprintf(csv, ",%.9g", (double)damage_at(d, i, 0)[k]);
        fputc('\n', csv);
    }
    fflush(csv);
}

/* What each width of one layer adds to a network with the widths of a table in all others. */
static damages measure_around(dfq_sensitivity *s, dfq_bits *b)
{
    const int32_t n = dfq_bits_get_count(b);
    damages d;
    must(dfq_tensor_create(ctx, DFQ_DTYPE_F32, 3, (int64_t[]){n, 2, W}, &d.t));
    must(dfq_sensitivity_evaluate(s, b, NULL, &d.base));
    for (int32_t i = 0; i < n; i++) {
        dfq_bits_layer l = {.struct_size = sizeof l};
        must(dfq_bits_get_layer(b, i, &l));
        for (int32_t k = 0; k < 2 * W; k++) {
            const int32_t side = k / W, bits = DFQ_SENSITIVITY_MIN + k % W;
            double kl = (double)NAN;
            if (side ? l.act_bits : l.weight_bits) {
                must(dfq_bits_set_layer(b, l.name, side ? l.weight_bits : bits,
                                        side ? bits : l.act_bits));
                must(dfq_sensitivity_evaluate(s, b, NULL, &kl));
            }
            damage_at(&d, i, side)[k % W] = (float)(kl - d.base);
        }
        must(dfq_bits_set_layer(b, l.name, l.weight_bits, l.act_bits));
    }
    return d;
}

/* Damages of an earlier run, or measures and keeps them. */
static void measure(dfq_sensitivity *s, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/float.safetensors", folder ? folder : ".");
    if (folder && dfq_sensitivity_load_checkpoint(s, path) == DFQ_OK) return;
    must(dfq_sensitivity_run(s));
    if (folder) must(dfq_sensitivity_save_checkpoint(s, path));
}

typedef struct tables {
    int32_t n;
    dfq_bits **of;
    double *measured;
} tables;

static void measure_tables(dfq_sensitivity *s, const dfq_graph *net, int32_t mean, tables *t)
{
    for (int32_t i = 0; i < t->n; i++) {
        const struct band *band = band_of(i);
        dfqi_rng rng = dfqi_rng_make(7, (uint64_t)i);
        int32_t middle = band == bands ? draw(&rng, 3, 7) : mean;
        must(dfq_bits_create(net, NULL, &t->of[i]));
        fill_random(t->of[i], &rng, middle - band->below, middle + band->above);
        must(dfq_sensitivity_evaluate(s, t->of[i], NULL, &t->measured[i]));
        note_table(band->name, t->of[i], (double)NAN, t->measured[i]);
        fprintf(stderr, "table %d: %.4g\n", (int)i, t->measured[i]);
    }
}

static void judge(const damages *d, const tables *t, const char *model)
{
    double *x = calloc((size_t)t->n, sizeof *x), *y = calloc((size_t)t->n, sizeof *y);
    if (!x || !y) exit(1);
    for (int32_t b = 0; b <= BANDS; b++) {
        int32_t n = 0;
        double ratio = 0;
        for (int32_t i = 0; i < t->n; i++) {
            if (b < BANDS && band_of(i) != &bands[b]) continue;
            x[n] = predict(d, t->of[i]);
            y[n] = t->measured[i];
            ratio += y[n] / x[n];
            n++;
        }
        if (n == 0) continue;
        printf("%s, %s tables: %d, tau %.3f, measured / predicted %.3f in the mean\n", model,
               b < BANDS ? bands[b].name : "all", (int)n, tau(x, y, n), ratio / n);
    }
    fflush(stdout);
    free(x);
    free(y);
}

/* Two layers at once, around all layers at MEAN bits. */
static void judge_pairs(dfq_sensitivity *s, const damages *d, dfq_bits *b, int32_t mean)
{
    double off = 0, size = 0;
    dfq_bits_layer l = {.struct_size = sizeof l};
    for (int32_t i = 0; i < PAIRS; i++) {
        dfqi_rng rng = dfqi_rng_make(8, (uint64_t)i);
        double measured;
        fill_uniform(b, mean);
        for (int k = 0; k < 2; k++) {
            uint32_t layers = (uint32_t)dfq_bits_get_count(b);
            must(dfq_bits_get_layer(b, (int32_t)dfqi_rng_below(&rng, layers), &l));
            int32_t w = draw(&rng, mean - 1, mean + 2), a = draw(&rng, mean - 1, mean + 2);
            must(dfq_bits_set_layer(b, l.name, l.weight_bits ? w : 0, l.act_bits ? a : 0));
        }
        must(dfq_sensitivity_evaluate(s, b, NULL, &measured));
        note_table("pair", b, predict(d, b), measured);
        off += fabs(predict(d, b) - measured);
        size += fabs(measured - d->base);
    }
    printf("pairs: the sum is off by %.3g in the mean, of changes of %.3g\n", off / PAIRS,
           size / PAIRS);
}

static void second_round(dfq_sensitivity *s, const dfq_graph *net, int32_t mean, const tables *t)
{
    dfq_bits *b;
    must(dfq_bits_create(net, NULL, &b));
    fill_uniform(b, mean);
    damages d = measure_around(s, b);
    note_damages(&d, "mean");
    judge(&d, t, "around the mean");
    judge_pairs(s, &d, b, mean);
    dfq_tensor_release(d.t);
    dfq_bits_release(b);
}

int main(int argc, char **argv)
{
    dfq_sensitivity_options o;
    dfq_quantize_options q;
    dfq_sensitivity *s;
    dfq_graph *net;
    if (argc < 6) return 2;
    const int32_t mean = atoi(argv[2]);
    const char *folder = argc > 6 ? argv[6] : NULL;
    only = argc > 7 ? argv[7] : NULL;
    csv = fopen(argv[5], "w");
    if (!csv) return 1;
    must(dfq_context_create(NULL, &ctx));
    must(dfq_graph_load(ctx, argv[1], NULL, &net));
    dfq_sensitivity_options_init(&o, sizeof o);
    dfq_quantize_options_init(&q, sizeof q);
    o.images = atoi(argv[3]);
    q.weight_bits = q.act_bits = mean;
    must(dfq_sensitivity_create(net, NULL, &q, &o, &s));
    tables t = {.n = atoi(argv[4])};
    t.of = calloc((size_t)t.n, sizeof(dfq_bits *));
    t.measured = calloc((size_t)t.n, sizeof *t.measured);
    if (!t.of || !t.measured) exit(1);
    measure(s, folder);
    damages d = {.base = 0};
    must(dfq_sensitivity_get_damages(s, &d.t));
    note_damages(&d, "float");
    measure_tables(s, net, mean, &t);
    judge(&d, &t, "around float");
    if (!only) second_round(s, net, mean, &t);
    dfq_tensor_release(d.t);
    for (int32_t i = 0; i < t.n; i++) dfq_bits_release(t.of[i]);
    free((void *)t.of);
    free(t.measured);
    dfq_sensitivity_release(s);
    dfq_graph_release(net);
    dfq_context_release(ctx);
    return fclose(csv) == 0 ? 0 : 1;
}
