/* dfq bench: speed of the forward pass, of an iteration of synthesis and of a step of tuning. A CNN
 * has no separate synthesis: its step of tuning trains the generator network as well (GDFQ +
 * AIT). */
#include <math.h>

#include "bench_runtime.h"
#include "commands.h"
#include "json.h"
#include "model.h"
#include "recipe.h"
#include "text.h"

enum { FORWARD, SYNTHESIS, TUNING, KINDS };

struct bench {
    struct session *s;
    struct options full;
    dfq_graph *net;
    dfq_graph_info info;
    dfq_tensor *images;                               /* noise, one batch */
    double seconds[KINDS], macs[KINDS], bytes[KINDS]; /* of a batch; NaN: not measured */
};

/* Runs `once` until two seconds and three runs are over; the fastest counts. */
static dfq_status best_of(struct bench *b, dfq_status (*once)(struct bench *, void *), void *arg,
                          double *seconds)
{
    double best = INFINITY, begin;
    dfq_status status = once(b, arg); /* packs weights, fills caches */
    int runs = 0;
    for (begin = text_now(); status == DFQ_OK && (runs < 3 || text_now() - begin < 2); runs++) {
        double start = text_now();
        if (session_interrupted()) return DFQ_E_CANCELLED;
        status = once(b, arg);
        if (text_now() - start < best) best = text_now() - start;
    }
    *seconds = best;
    return status;
}

static dfq_status forward_once(struct bench *b, void *arg)
{
    dfq_tensor *logits;
    (void)arg;
    dfq_status status = dfq_graph_forward(b->net, b->images, &logits);
    if (status == DFQ_OK) dfq_tensor_release(logits);
    return status;
}

static dfq_status synth_once(struct bench *b, void *arg)
{
    int32_t finished;
    (void)b;
    return dfq_synthesizer_step(arg, &finished);
}

static dfq_status tune_once(struct bench *b, void *arg)
{
    int32_t finished;
    (void)b;
    return dfq_tuner_step(arg, &finished);
}

static dfq_status bench_synthesis(struct bench *b)
{
    dfq_synthesizer_options o = recipe_synthesizer(&b->full);
    dfq_synthesizer_cost c = {.struct_size = sizeof c};
    dfq_synthesizer *g;
    o.images = o.batch;
    o.iterations = 1000000;
    dfq_status status = dfq_synthesizer_create(b->net, &o, &g);
    if (status != DFQ_OK) return status;
    status = best_of(b, synth_once, g, &b->seconds[SYNTHESIS]);
    if (status == DFQ_OK) status = dfq_synthesizer_estimate(g, 0, &c);
    b->macs[SYNTHESIS] = (double)c.macs;
    b->bytes[SYNTHESIS] = (double)c.bytes;
    dfq_synthesizer_release(g);
    return status;
}

/* Parity's quantizers set by one image: quick to make. */
static dfq_status make_student(struct bench *b, dfq_graph **out)
{
    dfq_quantize_options q = recipe_quantize(&b->full);
    dfq_tensor *one;
    dfq_status status = recipe_noise(b->s->ctx, &b->info, 1, &one);
    if (status != DFQ_OK) return status;
    q.mode = DFQ_MODE_PARITY;
    status = dfq_graph_quantize(b->net, one, &q, out);
    dfq_tensor_release(one);
    return status;
}

/* The student of a generator has no ranges before its first step. */
static dfq_status open_with_generator(struct bench *b, dfq_graph **student, dfq_tuner **t)
{
    enum { STEPS = 20000 }; /* more than two seconds have */
    dfq_quantize_options q = recipe_quantize(&b->full);
    dfq_generator_options l = recipe_generator_options(&b->full, b->net);
    dfq_tuner_options o = recipe_tuner(&b->full, b->net);
    int32_t finished;
    o.steps = STEPS;
    o.warmup_steps = o.range_steps = o.kappa_capped_steps = 1;
    dfq_status status = dfq_graph_quantize(b->net, NULL, &q, student);
    if (status == DFQ_OK) status = dfq_tuner_create_with_generator(b->net, *student, &l, &o, t);
    return status == DFQ_OK ? dfq_tuner_step(*t, &finished) : status;
}

static dfq_status open_tuner(struct bench *b, dfq_graph **student, dfq_tuner **t)
{
    dfq_tuner_options o = recipe_tuner(&b->full, b->net);
    o.steps = 1000000;
    o.eval_every = 0;
    dfq_status status = make_student(b, student);
    return status == DFQ_OK ? dfq_tuner_create(b->net, *student, b->images, &o, t) : status;
}

static dfq_status bench_tuning(struct bench *b)
{
    dfq_tuner_cost c = {.struct_size = sizeof c};
    dfq_graph *student = NULL;
    dfq_tuner *t = NULL;
    dfq_status status = recipe_with_generator(&b->full) ? open_with_generator(b, &student, &t)
                                                        : open_tuner(b, &student, &t);
    if (status == DFQ_OK) status = best_of(b, tune_once, t, &b->seconds[TUNING]);
    if (status == DFQ_OK) status = dfq_tuner_estimate(t, &c);
    b->macs[TUNING] = (double)c.macs;
    b->bytes[TUNING] = (double)c.bytes;
    dfq_tuner_release(t);
    dfq_graph_release(student);
    return status;
}

static dfq_status measure(struct bench *b)
{
    dfq_status status = recipe_noise(b->s->ctx, &b->info, b->full.batch, &b->images);
    if (status != DFQ_OK) return status;
    status = best_of(b, forward_once, NULL, &b->seconds[FORWARD]);
    b->macs[FORWARD] = (double)b->info.macs * (double)b->full.batch;
    /* a network that is low-bit already or cannot be quantized has the forward pass alone */
    int whole = !b->info.quantized && b->info.family != DFQ_FAMILY_STAGES;
    if (status == DFQ_OK && whole && !recipe_with_generator(&b->full)) status = bench_synthesis(b);
    if (status == DFQ_OK && whole) status = bench_tuning(b);
    return status;
}

static void print_result(const struct bench *b)
{
    static const char *const names[KINDS] = {"forward", "synthesis", "tuning"};
    struct json j = {stdout, 0};
    int json = b->s->o->json;
    double batch = (double)b->full.batch;
    if (json) {
        json_open(&j, NULL, '{');
        json_text(&j, "name", dfq_graph_get_name(b->net));
        json_text(&j, "kernels", dfq_context_get_kernels(b->s->ctx));
        json_int(&j, "threads", dfq_context_get_threads(b->s->ctx));
        json_int(&j, "batch", b->full.batch);
    } else {
        printf("%s, batch %lld, %d threads, kernels %s\n", dfq_graph_get_name(b->net),
               (long long)b->full.batch, (int)dfq_context_get_threads(b->s->ctx),
               dfq_context_get_kernels(b->s->ctx));
    }
    for (int k = 0; k < KINDS; k++) {
        char bytes[TEXT_SHORT];
        double t = b->seconds[k], gflops = 2e-9 * b->macs[k] / t;
        if (isnan(t)) continue;
        if (json) {
            json_open(&j, names[k], '{');
            json_fraction(&j, "images_per_second", batch / t);
            json_fraction(&j, "seconds", t);
            json_fraction(&j, "gflops", gflops);
            if (b->bytes[k] > 0) json_int(&j, "bytes", (int64_t)b->bytes[k]);
            json_close(&j, '}');
        } else {
            printf("%-10s %8.1f img/s %9.1f ms a batch %8.1f GFLOPS  %s\n", names[k], batch / t,
                   1e3 * t, gflops, b->bytes[k] > 0 ? text_bytes(b->bytes[k], bytes) : "");
        }
    }
    if (json) {
        json_close(&j, '}');
        putchar('\n');
    }
}

int cmd_bench(struct session *s)
{
    struct bench b = {.s = s, .seconds = {NAN, NAN, NAN}};
    if (s->o->integer && !s->o->runtime)
        return session_error(s, CODE_USAGE, "--integer is for the runtime; add --runtime");
    int code = model_load(s, DFQ_DECIDES_COST, &b.net, &b.info);
    if (code) return code;
    if (s->o->runtime) {
        code = bench_runtime(s, b.net);
        dfq_graph_release(b.net);
        return code;
    }
    if (b.info.quantized && (option_given(s->o, OPT_BITS) || option_given(s->o, OPT_MODE) ||
                             option_given(s->o, OPT_ROUNDING))) {
        dfq_graph_release(b.net);
        return session_error(s, CODE_USAGE,
                             "%s is quantized, and --bits, --mode and --rounding are for a step of "
                             "tuning of a float network; leave them out",
                             s->o->input);
    }
    b.full = recipe_fill(s->o, b.net, &b.info);
    session_say(s, "each kind is measured for about 10 s or three runs; stop other programs");
    dfq_status status = measure(&b);
    if (status == DFQ_OK)
        print_result(&b);
    else
        code = session_fail(s, status, PHASE_WORK);
    dfq_tensor_release(b.images);
    dfq_graph_release(b.net);
    return code;
}
