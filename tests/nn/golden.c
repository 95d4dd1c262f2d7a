/* The vision transformer against PyTorch (tests/golden): logits, loss, attention, every gradient;
 * and the real ViT-Tiny, where its weights are at hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "graph/ops.h"
#include "io/dataset.h"
#include "nn/cases.h"
#include "nn/support.h"
#include "support/suite.h"

static dfqi_safetensors read_file(dfq_context *ctx, const char *variable, const char *name)
{
    char path[512];
    dfqi_safetensors st = {0};
    ck_assert_ptr_nonnull(dfqt_path(variable, name, path, sizeof path));
    ck_assert_msg(dfqi_st_read(ctx, path, &st) == DFQ_OK, "%s", ctx->error);
    return st;
}

static const dfq_tensor *find(const dfqi_safetensors *st, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    ck_assert_msg(t != NULL, "no %s", name);
    return t;
}

/* Largest difference, relative to the largest magnitude of `want`. */
static void compare(const char *name, const float *have, const dfq_tensor *want, double limit)
{
    const float *w = dfqi_tensor_f32(want);
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(want); i++) {
        scale = fmax(scale, fabs((double)w[i]));
        worst = fmax(worst, fabs((double)have[i] - (double)w[i]));
        if (have[i] != have[i]) worst = INFINITY;
    }
    ck_assert_msg(worst <= limit * scale, "%s is off by %g of %g", name, worst, scale);
}

/* The weights of tiny_vit: the file without the batch and its results. */
static void tiny_network(const dfqi_safetensors *st, dfqi_network *out)
{
    static const char *const others[] = {"x", "labels", "logits"};
    file f = {.st = {.ctx = st->ctx}};
    dfqi_arch a;
    f.st.entries = f.entries;
    f.st.meta = f.meta;
    for (int64_t i = 0; i < st->n_entries; i++) {
        int other = 0;
        for (int k = 0; k < 3; k++) other |= strcmp(st->entries[i].name, others[k]) == 0;
        if (!other) f.entries[f.st.n_entries++] = st->entries[i];
    }
    dfqt_file_meta(&f, "heads", "4");
    ck_assert_msg(dfqt_take(&f.st, "tiny", NULL, &a, out) == DFQ_OK, "%s", st->ctx->error);
}

typedef struct tiny {
    dfq_context *ctx;
    dfqi_safetensors st, want;
    dfqi_network net;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id ids[64], dids[65], x, labels, logits, loss;
    dfqi_id raw[2], attn[2], head[2];
    float y[4];
} tiny;

/* With a rewrite, even one that changes nothing, all tokens are computed to the end. */
static dfqi_id leave_operand(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                             dfqi_id value, void *user)
{
    (void)g, (void)op, (void)name, (void)slot, (void)user;
    return value;
}

/* Mean cross-entropy with the gradients of all weights and of the images. */
static void build(tiny *t, dfqi_rewrite rewrite)
{
    dfqi_taps taps = {.raw = t->raw, .attn = t->attn, .head = t->head};
    dfqi_id wrt[65];
    ck_assert_int_eq(dfqi_graph_new(t->ctx, 4, &t->g), DFQ_OK);
    dfqi_graph *g = t->g;
    g->rewrite = rewrite;
    t->x = dfqi_graph_input(g, "x", 1, 3, (int64_t[]){3, 32, 32});
    t->labels = dfqi_graph_input(g, "labels", 1, 0, NULL);
    dfqi_network_params(&t->net, g, 0, t->ids);
    dfqi_network_forward(&t->net, g, t->ids, t->x, &taps);
    t->logits = taps.logits;
    dfqi_id ce = dfqi_cross_entropy(g, taps.logits, t->labels);
    t->loss = dfqi_total(g, 1, &ce, (float[]){1});
    memcpy(wrt, t->ids, sizeof t->ids);
    wrt[t->net.n_params] = t->x;
    dfqi_id one = dfqi_fill(g, t->loss, 1);
    ck_assert_int_eq(dfqi_graph_grad(g, 1, &t->loss, &one, t->net.n_params + 1, wrt, t->dids),
                     DFQ_OK);
    for (int32_t i = 0; i <= t->net.n_params; i++) dfqi_graph_keep(g, t->dids[i]);
    for (int i = 0; i < 2; i++) {
        dfqi_graph_keep(g, t->raw[i]);
        dfqi_graph_keep(g, t->attn[i]);
        dfqi_graph_keep(g, t->head[i]);
    }
    dfqi_graph_keep(g, t->logits);
    dfqi_graph_keep(g, t->loss);
    ck_assert_msg(dfqi_graph_status(g) == DFQ_OK, "%s", t->ctx->error);
}

static void tiny_end(tiny *t)
{
    dfqi_exec_free(t->e);
    dfqi_graph_free(t->g);
    dfqi_network_fini(&t->net);
    dfqi_st_fini(&t->st);
    if (t->want.ctx) dfqi_st_fini(&t->want);
    dfq_context_release(t->ctx);
}

START_TEST(test_tiny)
{
    tiny t = {.ctx = dfqt_context(2)};
    char name[96];
    t.st = read_file(t.ctx, "DFQ_TEST_GOLDEN", "tiny_vit.safetensors");
    t.want = read_file(t.ctx, "DFQ_TEST_GOLDEN", "tiny_vit_grad.safetensors");
    ck_assert(t.st.n_entries > 0 && t.want.n_entries > 0); /* committed: never absent */
    tiny_network(&t.st, &t.net);
    build(&t, _i ? leave_operand : NULL);
    ck_assert_int_eq(dfqi_exec_new(t.g, &t.e), DFQ_OK);
    for (int b = 0; b < 4; b++) t.y[b] = (float)((int32_t *)find(&t.st, "labels")->data)[b];
    dfqi_exec_bind(t.e, t.x, dfqi_tensor_f32(find(&t.st, "x")));
    dfqi_exec_bind(t.e, t.labels, t.y);
    ck_assert_int_eq(dfqi_exec_run(t.e), DFQ_OK);
    compare("logits", dfqi_exec_data(t.e, t.logits), find(&t.st, "logits"), 2e-6);
    compare("loss", dfqi_exec_data(t.e, t.loss), find(&t.want, "loss"), 1e-6);
    for (int i = 0; i < 2; i++) {
        static const char *const what[] = {"qk", "softmax", "av"};
        const dfqi_id id[] = {t.raw[i], t.attn[i], t.head[i]};
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "%s.%d", what[k], i);
            compare(name, dfqi_exec_data(t.e, id[k]), find(&t.want, name), 4e-6);
        }
    }
    for (int32_t i = 0; i <= t.net.n_params; i++) {
        snprintf(name, sizeof name, "grad.%s", i < t.net.n_params ? t.net.params[i].name : "x");
        compare(name, dfqi_exec_data(t.e, t.dids[i]), find(&t.want, name), 1.6e-5);
    }
    tiny_end(&t);
}
END_TEST

/* The short cut of the last block changes no bit of the logits. */
START_TEST(test_last_block)
{
    float logits[2][40];
    for (int k = 0; k < 2; k++) {
        tiny t = {.ctx = dfqt_context(2)};
        t.st = read_file(t.ctx, "DFQ_TEST_GOLDEN", "tiny_vit.safetensors");
        tiny_network(&t.st, &t.net);
        build(&t, k ? leave_operand : NULL);
        ck_assert_int_eq(dfqi_exec_new(t.g, &t.e), DFQ_OK);
        dfqi_exec_bind(t.e, t.x, dfqi_tensor_f32(find(&t.st, "x")));
        dfqi_exec_bind(t.e, t.labels, t.y);
        ck_assert_int_eq(dfqi_exec_run(t.e), DFQ_OK);
        memcpy(logits[k], dfqi_exec_data(t.e, t.logits), sizeof logits[k]);
        tiny_end(&t);
    }
    ck_assert_mem_eq(logits[0], logits[1], sizeof logits[0]);
}
END_TEST

/* -- the real network -------------------------------------------------------------------------- */

typedef struct real {
    dfq_context *ctx;
    dfqi_safetensors want;
    dfqi_network net;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, logits;
    float *images;
} real;

enum { SIDE = 224, PIXELS = 3 * SIDE * SIDE, CLASSES = 1000 };

/* Skips the test where the weights are not at hand. */
static void real_begin(real *r, int64_t batch)
{
    char path[512];
    dfqi_id ids[160];
    dfqi_taps taps = {0};
    dfqi_arch a;
    dfqt_asset("models/vit_tiny_patch16_224.safetensors", path, sizeof path);
    *r = (real){.ctx = dfqt_context(2)};
    dfqi_safetensors st =
        read_file(r->ctx, "DFQ_TEST_ASSETS", "models/vit_tiny_patch16_224.safetensors");
    r->want = read_file(r->ctx, "DFQ_TEST_GOLDEN", "real_vit.safetensors");
    ck_assert_msg(dfqt_take(&st, "real", NULL, &a, &r->net) == DFQ_OK, "%s", r->ctx->error);
    dfqi_st_fini(&st);
    ck_assert_int_eq(dfqi_network_values(&r->net), 5717416);
    ck_assert_int_eq(dfqi_graph_new(r->ctx, batch, &r->g), DFQ_OK);
    r->x = dfqi_graph_input(r->g, "x", 1, 3, (int64_t[]){3, SIDE, SIDE});
    dfqi_network_params(&r->net, r->g, 1, ids);
    dfqi_network_forward(&r->net, r->g, ids, r->x, &taps);
    r->logits = taps.logits;
    dfqi_graph_keep(r->g, r->logits);
    ck_assert_msg(dfqi_exec_new(r->g, &r->e) == DFQ_OK, "%s", r->ctx->error);
    r->images = calloc((size_t)batch * PIXELS, sizeof *r->images);
    dfqi_exec_bind(r->e, r->x, r->images);
}

static void real_end(real *r)
{
    free(r->images);
    dfqi_exec_free(r->e);
    dfqi_graph_free(r->g);
    dfqi_network_fini(&r->net);
    if (r->want.ctx) dfqi_st_fini(&r->want);
    dfq_context_release(r->ctx);
}

/* The four images are a formula of integers (tests/golden/README.md). */
START_TEST(test_real_logits)
{
    real r;
    real_begin(&r, 4);
    for (int i = 0; i < 4 * PIXELS; i++) {
        int b = i / PIXELS, c = i / (SIDE * SIDE) % 3, y = i / SIDE % SIDE, x = i % SIDE;
        int byte = (x * (3 + b) + y * (5 + 2 * c) + ((x * y) >> (4 + b)) + 64 * c) & 255;
        r.images[i] = ((float)byte / 255.0f - 0.5f) / 0.5f;
    }
    ck_assert_int_eq(dfqi_exec_run(r.e), DFQ_OK);
    compare("logits", dfqi_exec_data(r.e, r.logits), find(&r.want, "logits"), 5e-6);
    real_end(&r);
}
END_TEST

/* Predicted classes of 650 validation images; those that PyTorch was unsure of may differ. */
START_TEST(test_real_classes)
{
    enum { BATCH = 26, BATCHES = 25 };
    char path[512];
    real r;
    dfqi_dataset *d = NULL;
    dfqt_asset("data/imagenet_val_650/labels.csv", path, sizeof path);
    real_begin(&r, BATCH);
    const dfqi_arch *a = &r.net.arch;
    dfqi_preprocess p = {.size = {SIDE, SIDE}};
    memcpy(p.mean, a->mean, sizeof p.mean);
    memcpy(p.std, a->std, sizeof p.std);
    *strrchr(path, '/') = '\0';
    ck_assert_msg(dfqi_dataset_open(r.ctx, path, CLASSES, &d) == DFQ_OK, "%s", r.ctx->error);
    const int32_t *label = find(&r.want, "val.labels")->data;
    const int32_t *class = find(&r.want, "val.prediction")->data;
    const float *margin = dfqi_tensor_f32(find(&r.want, "val.margin"));
    for (int k = 0; k < BATCH * BATCHES; k++) {
        if (k % BATCH == 0) {
            ck_assert_int_eq(dfqi_dataset_batch(d, k, BATCH, &p, r.images), DFQ_OK);
            ck_assert_int_eq(dfqi_exec_run(r.e), DFQ_OK);
        }
        const float *z = dfqi_exec_data(r.e, r.logits) + k % BATCH * CLASSES;
        int best = 0;
        for (int c = 1; c < CLASSES; c++) best = z[c] > z[best] ? c : best;
        ck_assert_int_eq(dfqi_dataset_label(d, k), label[k]);
        ck_assert_msg(best == class[k] || margin[k] < 0.01f, "image %d: class %d, expected %d", k,
                      best, class[k]);
    }
    dfqi_dataset_release(d);
    real_end(&r);
}
END_TEST

TCase *dfqt_golden_case(void)
{
    TCase *c = tcase_create("golden");
    tcase_set_timeout(c, 240);
    tcase_add_loop_test(c, test_tiny, 0, 2);
    tcase_add_test(c, test_last_block);
    tcase_add_test(c, test_real_logits);
    tcase_add_test(c, test_real_classes);
    return c;
}
