/* Loading the model, judging it on labelled images. */
#include "model.h"

#include "text.h"

int model_load(struct session *s, dfq_graph **out_graph, dfq_graph_info *out_info)
{
    dfq_graph *g;
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_status status = dfq_graph_load(s->ctx, s->o->input, s->o->arch, &g);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    status = dfq_graph_get_info(g, &info);
    if (status != DFQ_OK) {
        dfq_graph_release(g);
        return session_fail(s, status, PHASE_READ);
    }
    *out_graph = g;
    *out_info = info;
    return CODE_DONE;
}

const char *model_quantizer_kind(const dfq_quantizer_info *q)
{
    static const char *const names[4][2] = {
        {"weight, per tensor", "weight, per channel"},
        {"activation, per tensor", "activation, per channel"},
        {"activation, logarithmic", "activation, logarithmic, per row"},
        {"weight, per channel, live range", "weight, per channel, live range"}};
    if (q->kind < 0 || q->kind > 3) return "unknown";
    return names[q->kind][q->steps > 1];
}

int tally_holds(const struct tally *t)
{
    return t->correct >= 0 && t->correct <= t->correct5 && t->not_finite >= 0 &&
           t->not_finite <= t->n && t->correct5 <= t->n - t->not_finite;
}

int model_measure(struct session *s, const dfq_graph *g, const dfq_dataset *d, double *out_seconds)
{
    enum { FEW = 8 };
    int64_t n = dfq_dataset_get_count(d);
    dfq_accuracy a = {.struct_size = sizeof a};
    if (n > FEW) n = FEW;
    dfq_status status = dfq_evaluate(g, d, 0, n, &a); /* packs weights, fills caches */
    double start = text_now();
    if (status == DFQ_OK) status = dfq_evaluate(g, d, 0, n, &a);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    *out_seconds = (text_now() - start) / (double)n;
    return CODE_DONE;
}

void model_say_not_finite(struct session *s, const char *network, int64_t n, int64_t not_finite)
{
    if (not_finite > 0)
        session_error(s, 0,
                      "warning: %s: %lld of %lld images have logits that are NaN or infinite; they "
                      "count as wrong",
                      network, (long long)not_finite, (long long)n);
}

int model_judge(struct session *s, const dfq_graph *g, const dfq_dataset *d, int64_t count,
                const char *label, double later, struct tally *t)
{
    enum { FIRST_CHUNK = 64 };
    int64_t chunk = FIRST_CHUNK;
    int code = CODE_DONE;
    progress_begin(&s->progress, label, (uint64_t)count, later);
    while (t->n < count && code == CODE_DONE) {
        dfq_accuracy a = {.struct_size = sizeof a};
        double start = text_now();
        s->progress.base = (uint64_t)t->n;
        if (chunk > count - t->n) chunk = count - t->n;
        dfq_status status =
            session_interrupted() ? DFQ_E_CANCELLED : dfq_evaluate(g, d, t->n, chunk, &a);
        if (status == DFQ_E_CANCELLED) {
            code = CODE_INTERRUPTED;
        } else if (status != DFQ_OK) {
            code = session_fail(s, status, PHASE_READ);
        } else {
            t->n += a.n;
            t->correct += a.correct;
            t->correct5 += a.correct5;
            t->not_finite += a.not_finite;
            /* What an interruption loses is at most a chunk of a second or two. */
            if (text_now() - start < 1 && chunk < 4096) chunk *= 2;
        }
    }
    progress_end(&s->progress);
    if (!code) model_say_not_finite(s, dfq_graph_get_name(g), t->n, t->not_finite);
    return code;
}
