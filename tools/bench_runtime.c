/* dfq bench --runtime: speed of the network as it runs, its share of what the machine can do, its
 * memory, and where the time goes. */
#include <math.h>
#include <stdlib.h>

#include "bench_runtime.h"
#include "json.h"
#include "text.h"

struct bench {
    struct session *s;
    const char *name;
    dfq_runtime *rt;
    dfq_runtime_info info;
    int64_t batch;
    uint8_t *pixels;                 /* noise, one batch */
    double first, best, total;       /* seconds of the first run, the fastest and all together */
    double float_peak, integer_peak; /* operations a second */
    int64_t runs;
};

static dfq_status run(struct bench *b, double *seconds)
{
    dfq_runtime_input in;
    dfq_runtime_input_init(&in, sizeof in, b->rt);
    in.data = b->pixels;
    in.n = b->batch;
    double start = text_now();
    dfq_status status = dfq_runtime_run(b->rt, &in, NULL, 0);
    *seconds = text_now() - start;
    return status;
}

/* For two seconds and ten runs at least. */
static dfq_status measure(struct bench *b)
{
    const double begin = text_now();
    dfq_status status = run(b, &b->first);
    b->best = b->first;
    b->total = b->first;
    for (b->runs = 1; status == DFQ_OK && (b->runs < 10 || text_now() - begin < 2); b->runs++) {
        double seconds;
        if (session_interrupted()) return DFQ_E_CANCELLED;
        status = run(b, &seconds);
        b->total += seconds;
        if (seconds < b->best) b->best = seconds;
    }
    if (status != DFQ_OK) return status;
    return dfq_runtime_measure_peak(b->rt, &b->float_peak, &b->integer_peak);
}

/* The least seconds that the machine could need for products of so many multiply-accumulates; NaN
 * where its peak is not known. */
static double least(const struct bench *b, int integer, double macs)
{
    const double peak = integer ? b->integer_peak : b->float_peak;
    return macs <= 0 ? 0 : peak > 0 ? 2 * macs / peak : (double)NAN;
}

/* Seconds of a part of the fastest run, as its share of all runs says. */
static dfq_status read_part(const struct bench *b, int32_t i, double threads, dfq_runtime_part *p)
{
    *p = (dfq_runtime_part){.struct_size = sizeof *p};
    dfq_status status = dfq_runtime_get_part(b->rt, i, p);
    p->seconds *= b->best / (threads * b->total);
    return status;
}

static void print_head(const struct bench *b, double share)
{
    char shared[TEXT_SHORT], own[TEXT_SHORT], peak[TEXT_SHORT], threads[TEXT_SHORT];
    const double batch = (double)b->batch, macs = (double)b->info.macs * batch;
    printf("%s, batch %lld, %s, kernels %s and %s\n", b->name, (long long)b->batch,
           text_threads((int)dfq_context_get_threads(b->s->ctx), threads),
           dfq_context_get_kernels(b->s->ctx), b->info.kernels);
    printf("%.1f img/s, %.2f ms a batch, %.1f GOPS", batch / b->best, 1e3 * b->best,
           2e-9 * macs / b->best);
    if (!isnan(share)) printf(", %.1f %% of the machine's peak", 100 * share);
    printf("; %.0f %% of products on codes; first run %.2f ms\n",
           100.0 * (double)b->info.integer_macs / (double)b->info.macs, 1e3 * b->first);
    printf("memory: %s shared by clones, %s own; the process %s at most\n",
           text_bytes((double)b->info.shared_bytes, shared),
           text_bytes((double)b->info.private_bytes, own), text_bytes(session_peak(), peak));
}

static void print_part(const struct bench *b, const dfq_runtime_part *p)
{
    const double macs = (double)p->macs * (double)b->batch;
    printf("  %-14s %-8s %6.1f %%  %8.3f ms", p->name, p->integer ? "codes" : "floats",
           100 * p->seconds / b->best, 1e3 * p->seconds);
    const double threads = dfq_context_get_threads(b->s->ctx); /* which take so long each */
    if (p->macs > 0) printf("  %8.1f GOPS a thread", 2e-9 * macs / (threads * p->seconds));
    putchar('\n');
}

static void json_part(struct json *j, const dfq_runtime_part *p)
{
    json_open(j, NULL, '{');
    json_text(j, "name", p->name);
    json_int(j, "integer", p->integer);
    json_fraction(j, "seconds", p->seconds);
    json_int(j, "macs", p->macs);
    json_close(j, '}');
}

static void json_head(struct json *j, const struct bench *b, double share)
{
    json_open(j, NULL, '{');
    json_text(j, "name", b->name);
    json_text(j, "kernels", dfq_context_get_kernels(b->s->ctx));
    json_text(j, "integer_kernels", b->info.kernels);
    json_int(j, "threads", dfq_context_get_threads(b->s->ctx));
    json_int(j, "batch", b->batch);
    json_fraction(j, "images_per_second", (double)b->batch / b->best);
    json_fraction(j, "seconds", b->best);
    json_fraction(j, "first_seconds", b->first);
    json_fraction(j, "gops", 2e-9 * (double)b->info.macs * (double)b->batch / b->best);
    json_fraction(j, "peak_share", share);
    json_fraction(j, "float_peak_gops", 1e-9 * b->float_peak);
    json_fraction(j, "integer_peak_gops", 1e-9 * b->integer_peak);
    json_int(j, "macs", b->info.macs);
    json_int(j, "integer_macs", b->info.integer_macs);
    json_int(j, "shared_bytes", b->info.shared_bytes);
    json_int(j, "private_bytes", b->info.private_bytes);
    json_int(j, "peak_bytes", (int64_t)session_peak());
    json_open(j, "parts", '[');
}

static dfq_status print_result(const struct bench *b)
{
    struct json j = {stdout, 0};
    const double threads = dfq_context_get_threads(b->s->ctx), batch = (double)b->batch;
    const double on_codes = (double)b->info.integer_macs * batch;
    const double share =
        (least(b, 1, on_codes) + least(b, 0, (double)b->info.macs * batch - on_codes)) / b->best;
    dfq_status status = DFQ_OK;
    if (b->s->o->json)
        json_head(&j, b, share);
    else
        print_head(b, share);
    for (int32_t i = 0; i < dfq_runtime_get_part_count(b->rt) && status == DFQ_OK; i++) {
        dfq_runtime_part p;
        status = read_part(b, i, threads, &p);
        if (status == DFQ_OK && b->s->o->json)
            json_part(&j, &p);
        else if (status == DFQ_OK)
            print_part(b, &p);
    }
    if (b->s->o->json) {
        json_close(&j, ']');
        json_close(&j, '}');
        putchar('\n');
    }
    return status;
}

int bench_runtime(struct session *s, const dfq_graph *net)
{
    struct bench b = {
        .s = s, .name = dfq_graph_get_name(net), .info = {.struct_size = sizeof b.info}};
    dfq_runtime_options o;
    dfq_runtime_options_init(&o, sizeof o);
    o.profile = 1;
    o.integer = s->o->integer;
    o.batch = b.batch = s->o->batch > 0 ? s->o->batch : 1;
    dfq_status status = dfq_runtime_create(net, &o, &b.rt);
    if (status == DFQ_OK) status = dfq_runtime_get_info(b.rt, &b.info);
    if (status == DFQ_OK) {
        const int64_t bytes = b.batch * b.info.image_height * b.info.image_width * b.info.channels;
        b.pixels = (int64_t)(size_t)bytes == bytes ? malloc((size_t)bytes) : NULL;
        for (int64_t i = 0; b.pixels && i < bytes; i++)
            b.pixels[i] = (uint8_t)(i * 2654435761u >> 13);
        status = b.pixels ? measure(&b) : DFQ_E_NOMEM;
    }
    if (status == DFQ_OK) status = print_result(&b);
    free(b.pixels);
    dfq_runtime_release(b.rt);
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WORK);
}
