/* report_sample OUT.html [poor]: writes a report with plausible invented numbers, to be looked at
 * in a browser; `poor` writes one with almost nothing in it. */
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"
#include "report/report.h"

#define STEPS  2000
#define BLOCKS 12
#define SITES  6
#define STREAM 192

static uint64_t state = 1;

static double uniform(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(state >> 40) / 16777216.0;
}

/* A PNG file in memory; exits on failure, as this is a program to look at. */
static struct report_image encode(const char *title, const char *caption, const uint8_t *rgb, int w,
                                  int h)
{
    png_image im;
    png_alloc_size_t size = 0;
    memset(&im, 0, sizeof im);
    im.version = PNG_IMAGE_VERSION;
    im.width = (png_uint_32)w;
    im.height = (png_uint_32)h;
    im.format = PNG_FORMAT_RGB;
    void *png = NULL;
    if (png_image_write_to_memory(&im, NULL, &size, 0, rgb, 0, NULL)) png = malloc(size);
    if (!png || !png_image_write_to_memory(&im, png, &size, 0, rgb, 0, NULL)) exit(1);
    struct report_image out = {title, caption, png, size};
    return out;
}

static struct report_image contact_sheet(const char *title, int columns, int rows, uint64_t seed)
{
    int cell = FIGURES_SIDE + 2, w = columns * cell + 2, h = rows * cell + 2;
    uint8_t *rgb = malloc((size_t)(w * h * 3)), one[FIGURES_BYTES];
    if (!rgb) exit(1);
    memset(rgb, 255, (size_t)(w * h * 3));
    for (int i = 0; i < columns * rows; i++) {
        int32_t label;
        figures_draw(seed, (uint64_t)i, one, &label);
        for (int y = 0; y < FIGURES_SIDE; y++)
            memcpy(rgb + ((2 + i / columns * cell + y) * w + 2 + i % columns * cell) * 3,
                   one + y * FIGURES_SIDE * 3, FIGURES_SIDE * 3);
    }
    struct report_image out = encode(title, "First images of the set, in order.", rgb, w, h);
    free(rgb);
    return out;
}

static struct report_image attention_maps(const char *title)
{
    enum { heads = 6, side = 8, pad = 1, w = heads * (side + pad) + pad, h = side + 2 * pad };
    static uint8_t rgb[w * h * 3];
    memset(rgb, 255, sizeof rgb);
    for (int k = 0; k < heads; k++) {
        double cx = 8 * uniform(), cy = 8 * uniform(), s = 1.5 + 2 * uniform();
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++) {
                double v = exp(-((x - cx) * (x - cx) + (y - cy) * (y - cy)) / (s * s));
                uint8_t *p = rgb + ((y + pad) * w + pad + k * (side + pad) + x) * 3;
                p[0] = (uint8_t)(30 + 225 * sqrt(v));
                p[1] = (uint8_t)(20 + 190 * v * v);
                p[2] = (uint8_t)(70 + 120 * v * (1 - v) * 2);
            }
    }
    return encode(title, "Class token to patches, heads 0 to 5.", rgb, w, h);
}

static void fill_curves(struct report_chart charts[4])
{
    static double step[STEPS], total[STEPS], ala[STEPS], tv[STEPS], sad[STEPS], rate[STEPS];
    static double at[20], top1[20], noisy[20];
    for (int i = 0; i < STEPS; i++) {
        step[i] = i;
        ala[i] = 0.9 * exp(-i / 300.0) + 0.08 + 0.03 * uniform();
        tv[i] = 40 * exp(-i / 120.0) + 0.6 + 0.1 * uniform();
        total[i] = ala[i] * 3 + tv[i] + 2.2 * exp(-i / 500.0);
        sad[i] = 2.1 * exp(-i / 150.0) + 0.12 + 0.09 * uniform() * (1 + exp(-i / 300.0));
        rate[i] = 1e-3 * 0.5 * (1 + cos(3.14159265 * i / STEPS));
    }
    for (int i = 0; i < 20; i++) {
        at[i] = 100 * i + 99;
        top1[i] = 93.4 - 40 * exp(-(i + 1) / 3.0) + 0.4 * uniform();
        noisy[i] = i == 7 ? NAN : 91.2 - 35 * exp(-(i + 1) / 4.0) + 0.4 * uniform();
    }
    static struct report_series synth[3] = {{"total", step, total, STEPS},
                                            {"attention alignment", step, ala, STEPS},
                                            {"total variation", step, tv, STEPS}};
    static struct report_series tune[1] = {{"distillation loss", step, sad, STEPS}};
    static struct report_series acc[2] = {{"synthetic, tuned", at, top1, 20},
                                          {"noise, tuned", at, noisy, 20}};
    static struct report_series lr[1] = {{"learning rate", step, rate, STEPS}};
    const struct report_chart all[4] = {
        {"Synthesis losses", "step", synth, 3, 1},
        {"Structural attention distillation", "step", tune, 1, 1},
        {"Accuracy on the evaluation set, percent", "step", acc, 2, 0},
        {"Learning rate", "step", lr, 1, 0}};
    memcpy(charts, all, sizeof all);
}

static void fill_sites(struct report_layer *layers, struct report_quantizer *q)
{
    static const char *const site[SITES] = {"attn.qkv", "attn.scores", "attn.proj",
                                            "norm2",    "mlp.fc1",     "mlp.fc2"};
    static char names[BLOCKS * SITES][48];
    for (int i = 0; i < BLOCKS * SITES; i++) {
        snprintf(names[i], sizeof names[i], "blocks.%d.%s", i / SITES, site[i % SITES]);
        layers[i].name = names[i];
        layers[i].sqnr_db = 26 - i * 0.12 + 5 * uniform() - (i % SITES == 5 ? 7 : 0);
        q[2 * i].site = q[2 * i + 1].site = names[i];
        q[2 * i].kind = "weight, per channel";
        q[2 * i + 1].kind = i % SITES == 1 ? "activation, log2" : "activation, per tensor";
        q[2 * i].bits = 4;
        q[2 * i + 1].bits = 8;
        q[2 * i].scale_min = 0.004 + 0.003 * uniform();
        q[2 * i].scale_max = q[2 * i].scale_min * (2 + 6 * uniform());
        q[2 * i + 1].scale_min = q[2 * i + 1].scale_max = 0.01 + 0.05 * uniform();
        q[2 * i].zero_point_min = q[2 * i].zero_point_max = NAN;
        q[2 * i + 1].zero_point_min = q[2 * i + 1].zero_point_max = floor(120 + 16 * uniform());
    }
    layers[17].sqnr_db = 9.3;
    layers[40].sqnr_db = NAN;
}

static struct report_diagnostics invent_diagnostics(const struct report_layer *layers)
{
    enum { SIDE = 21, STEPS_SEEN = 200 };
    static float maps[2][SIDE * SIDE];
    static struct report_surface surfaces[2] = {{"Divergence", maps[0], SIDE},
                                                {"Cross-entropy", maps[1], SIDE}};
    static struct report_weight weights[BLOCKS * SITES];
    static double step[STEPS_SEEN], share[STEPS_SEEN], kappa[STEPS_SEEN];
    static struct report_series series[2] = {{"a step, all weights", step, share, STEPS_SEEN},
                                             {"geometric mean", step, kappa, STEPS_SEEN}};
    static struct report_chart codes[2] = {{"Share of codes that change, %", "step", series, 1, 1},
                                           {"Kappa", "step", series + 1, 1, 1}};
    static struct report_loss losses[3] = {{"KL, T = 20", 0.0021, 0.113, 41.7, 3.2, 8.31, 1},
                                           {"KL, T = 1", 0.052, 1.91, 603, 44, 112.4, 1},
                                           {"cross-entropy", 0.348, 5.2, 1207, 131, 240.9, 0}};
    static struct report_view views[1] = {
        {"64 synthetic images", 64, 61, 64, 60, 1, -0.081, losses, 3}};
    for (int i = 0; i < SIDE * SIDE; i++) {
        double x = i % SIDE / 10.0 - 1, y = i / SIDE / 10.0 - 1, d = x * x + y * y;
        maps[0][i] = (float)(0.02 + 5 * d * d + 0.4 * d);
        maps[1][i] = (float)(0.35 + 2 * d + 0.2 * x * y);
    }
    maps[1][SIDE - 1] = NAN;
    for (int i = 0; i < STEPS_SEEN; i++) {
        step[i] = i;
        share[i] = i < 4 ? 0 : 0.1 * (0.8 + 0.4 * uniform());
        kappa[i] = 2 + 120 * exp(-i / 60.0) * uniform();
    }
    for (int i = 0; i < BLOCKS * SITES; i++) {
        const struct report_weight one = {
            layers[i].name,     49152,
            1 - 2 * uniform(),  1e-3 * uniform(),
            0.2 * uniform(),    0.2 + 0.1 * uniform(),
            1 + 50 * uniform(), {900 * uniform(), 900 * uniform() - 200}};
        weights[i] = one;
    }
    const struct report_diagnostics d = {.views = views,
                                         .n_views = 1,
                                         .values = 5300000,
                                         .surfaces = surfaces,
                                         .n_surfaces = 2,
                                         .codes = codes,
                                         .n_codes = 2,
                                         .weights = weights,
                                         .n_weights = BLOCKS * SITES};
    return d;
}

int main(int argc, char **argv)
{
    static struct report_layer layers[BLOCKS * SITES];
    static struct report_quantizer quantizers[2 * BLOCKS * SITES];
    struct report_chart charts[4];
    double before[BLOCKS], after[BLOCKS];
    struct report r;
    char err[256];
    if (argc < 2) return 2;
    report_init(&r);
    r.model = "vit_figures_32.safetensors";
    if (argc == 2) {
        const struct report_image synthetic[2] = {contact_sheet("Start, step 0", 16, 6, 4),
                                                  contact_sheet("End, step 2000", 16, 6, 5)};
        const struct report_image attention[4] = {
            attention_maps("Block 0"), attention_maps("Block 3"), attention_maps("Block 7"),
            attention_maps("Block 11")};
        static const struct report_row rows[] = {{"seed", "42"},
                                                 {"dfq", "0.1.0"},
                                                 {"kernels", "avx512-vnni, libxsmm 1.17, blis 0.9"},
                                                 {"threads", "2"},
                                                 {"recipe", "mimiq-w4a8"}};
        static const struct report_file inputs[] = {{"vit_figures_32.safetensors", 4829204},
                                                    {"recipes/mimiq <draft>.json", 812}};
        for (int i = 0; i < BLOCKS; i++) {
            before[i] = 0.22 + 0.1 * uniform();
            after[i] = 0.55 + 0.02 * i + 0.08 * uniform();
        }
        fill_curves(charts);
        fill_sites(layers, quantizers);
        const struct report_diagnostics diagnostics = invent_diagnostics(layers);
        r.diagnostics = &diagnostics;
        r.mode = "MimiQ, tuned";
        r.weight_bits = 4, r.activation_bits = 8;
        r.float_bytes = 4829204, r.quantized_bytes = 672104;
        r.float_accuracy = 0.9412, r.quantized_accuracy = 0.9337, r.accuracy_images = 10000;
        r.seconds = 1287.4, r.peak_bytes = 812000000;
        r.synthetic = synthetic, r.n_synthetic = 2;
        r.attention = attention, r.n_attention = 4;
        r.similarity_before = before, r.similarity_after = after, r.n_similarity = BLOCKS;
        double stream[2][STREAM];
        for (int i = 0; i < STREAM; i++) {
            stream[0][i] = i ? 2 * exp(-3.0 * i / STREAM) : 47;
            stream[1][i] = 1.4 - 0.8 * i / STREAM + 0.6 * exp(-i);
        }
        r.stream_before = stream[0], r.stream_after = stream[1], r.n_stream = STREAM;
        r.stream_block = "blocks.7";
        r.charts = charts, r.n_charts = 4;
        r.layers = layers, r.n_layers = BLOCKS * SITES;
        static struct report_width widths[BLOCKS * SITES];
        for (int i = 0; i < BLOCKS * SITES; i++)
            widths[i] =
                (struct report_width){layers[i].name, i % SITES == 1 ? 0 : 3 + i % 4, 4 + i % 3};
        r.widths = widths, r.n_widths = BLOCKS * SITES;
        static const struct report_part parts[] = {{"rotation", 12.1, 4.2},
                                                   {"ridge correction", 12.1, 9.8},
                                                   {"search of scales", 12.1, 11.9},
                                                   {"GPTQ", 12.1, 8.4},
                                                   {"tuning", 14.6, 12.1}};
        r.parts = parts, r.n_parts = 5;
        r.quantizers = quantizers, r.n_quantizers = 2 * BLOCKS * SITES;
        r.command = "dfq quantize --weights 4 --activations 8 --seed 42 --report report.html -o "
                    "vit_figures_32.dfq vit_figures_32.safetensors";
        r.provenance = rows, r.n_provenance = sizeof rows / sizeof *rows;
        r.inputs = inputs, r.n_inputs = 2;
        int failed = report_write(argv[1], &r, err, sizeof err);
        for (int i = 0; i < 2; i++) free((void *)(uintptr_t)synthetic[i].png);
        for (int i = 0; i < 4; i++) free((void *)(uintptr_t)attention[i].png);
        if (failed) fprintf(stderr, "report_sample: %s\n", err);
        return failed != 0;
    }
    r.quantized_bytes = 672104;
    if (report_write(argv[1], &r, err, sizeof err)) {
        fprintf(stderr, "report_sample: %s\n", err);
        return 1;
    }
    return 0;
}
