/* dfq eval: accuracy on labelled images. An interrupted run leaves no file. It prints its counts as
 * a token, N-CORRECT-CORRECT5-NOTFINITE-FINGERPRINT, from which a later run resumes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "files.h"
#include "json.h"
#include "model.h"
#include "text.h"

/* Fingerprint of what the counts belong to: model bytes and name, data set, all labels. */
static int fingerprint(struct session *s, const dfq_dataset *d, uint64_t *out)
{
    uint64_t h;
    if (file_hash(s->o->input, &h) != 0)
        return session_error(s, CODE_INPUT,
                             "cannot read %s again: it is gone or was replaced by something else",
                             s->o->input);
    char *network = model_describe(s->o);
    if (!network) return session_fail(s, DFQ_E_NOMEM, PHASE_READ);
    h = text_hash(h, network, strlen(network) + 1);
    free(network);
    h = text_hash(h, s->o->data, strlen(s->o->data) + 1);
    h = text_hash(h, &s->o->simulate, sizeof s->o->simulate);
    h = text_hash(h, &s->o->integer, sizeof s->o->integer);
    for (int64_t i = 0; i < dfq_dataset_get_count(d); i++) {
        int32_t label = dfq_dataset_get_label(d, i);
        h = text_hash(h, &label, sizeof label);
    }
    *out = h;
    return CODE_DONE;
}

static int take_token(struct session *s, uint64_t print, int64_t count, struct tally *t)
{
    const char *text = s->o->resume_at;
    struct tally v;
    uint64_t belongs;
    char tail;
    if (!text) return CODE_DONE;
    if (sscanf(text, "%" SCNd64 "-%" SCNd64 "-%" SCNd64 "-%" SCNd64 "-%16" SCNx64 "%c", &v.n,
               &v.correct, &v.correct5, &v.not_finite, &belongs, &tail) != 5 ||
        !tally_holds(&v))
        return session_error(
            s, CODE_USAGE, "--resume-at is %s, must be the token that the interrupted run printed",
            text);
    if (belongs != print)
        return session_error(s, CODE_USAGE,
                             "--resume-at is %s, the token of another model, other --data or other "
                             "options of the network; leave it out to start anew",
                             text);
    if (v.n > count)
        return session_error(s, CODE_USAGE,
                             "--resume-at is %s, by which %lld images are done, and --images is "
                             "%lld; raise --images",
                             text, (long long)v.n, (long long)count);
    *t = v;
    return CODE_DONE;
}

/* Of several tokens the last one counts, so the new one is simply added. */
static void say_how_to_go_on(struct session *s, const struct tally *t, uint64_t print)
{
    char token[128];
    snprintf(token, sizeof token,
             "--resume-at %" PRId64 "-%" PRId64 "-%" PRId64 "-%" PRId64 "-%016" PRIx64, t->n,
             t->correct, t->correct5, t->not_finite, print);
    char *command = text_command(s->o->argc, s->o->argv, token);
    session_error(s, CODE_INTERRUPTED, "stopped after %lld images; go on with: %s", (long long)t->n,
                  command ? command : token);
    free(command);
}

static void print_result(struct session *s, const dfq_graph *g, const dfq_graph_info *info,
                         const struct tally *t)
{
    double top1 = (double)t->correct / (double)t->n, top5 = (double)t->correct5 / (double)t->n;
    double seconds = text_now() - s->start;
    char a[TEXT_SHORT], b[TEXT_SHORT];
    if (s->o->json) {
        struct json j = {stdout, 0};
        json_open(&j, NULL, '{');
        json_int(&j, "n", t->n);
        json_int(&j, "correct", t->correct);
        json_fraction(&j, "top1", top1);
        json_fraction(&j, "top5", top5);
        json_int(&j, "correct5", t->correct5);
        json_int(&j, "not_finite", t->not_finite);
        json_text(&j, "file", s->o->input);
        json_text(&j, "data", s->o->data);
        json_text(&j, "name", dfq_graph_get_name(g));
        json_int(&j, "weight_bits", info->weight_bits);
        json_int(&j, "act_bits", info->act_bits);
        json_int(&j, "simulated", info->quantized && s->o->simulate);
        json_fraction(&j, "seconds", seconds);
        json_int(&j, "peak_bytes", (int64_t)session_peak());
        json_close(&j, '}');
        putchar('\n');
        return;
    }
    printf("top-1 %.4f (%lld of %lld), top-5 %.4f; %s, peak memory %s\n", top1,
           (long long)t->correct, (long long)t->n, top5, text_seconds(seconds, a),
           text_bytes(session_peak(), b));
}

static int judge(struct session *s, struct evaluated net, const dfq_graph_info *info,
                 const dfq_dataset *d)
{
    int64_t count = dfq_dataset_get_count(d);
    struct tally t = {0, 0, 0, 0};
    uint64_t print = 0;
    double seconds = 0;
    char a[TEXT_SHORT], b[TEXT_SHORT];
    if (s->o->images > count)
        return session_error(s, CODE_USAGE, "--images is %lld, must be at most %lld, those of %s",
                             (long long)s->o->images, (long long)count, s->o->data);
    if (s->o->images > 0) count = s->o->images;
    int code = fingerprint(s, d, &print);
    if (!code) code = take_token(s, print, count, &t);
    if (!code) code = model_measure(s, net, d, &seconds);
    if (code) return code;
    session_say(s, "%lld images, about %s and %s of memory with %s", (long long)count,
                text_seconds(seconds * (double)(count - t.n), a), text_bytes(session_peak(), b),
                text_threads((int)dfq_context_get_threads(s->ctx), (char[TEXT_SHORT]){0}));
    code = model_judge(s, net, d, count, "eval", 0, &t);
    if (code == CODE_INTERRUPTED) say_how_to_go_on(s, &t, print);
    if (!code) print_result(s, net.graph, info, &t);
    return code;
}

/* A quantized network is judged as it runs, on its codes, unless --simulate says otherwise. */
static int make_runtime(struct session *s, const dfq_graph *g, dfq_runtime **out)
{
    enum { BATCH = 8 };
    dfq_runtime_options o;
    if (s->o->simulate && s->o->integer)
        return session_error(s, CODE_USAGE,
                             "--integer is for the runtime, which --simulate leaves out; give one "
                             "of them");
    if (s->o->simulate) return CODE_DONE;
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = BATCH;
    o.integer = s->o->integer;
    dfq_status status = dfq_runtime_create(g, &o, out);
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WORK);
}

int cmd_eval(struct session *s)
{
    dfq_graph *g;
    dfq_runtime *rt = NULL;
    dfq_graph_info info;
    dfq_dataset *d;
    int32_t all = DFQ_DECIDES_LOGITS | DFQ_DECIDES_INPUTS | DFQ_DECIDES_PICTURES;
    int code = model_load(s, all, &g, &info);
    if (code) return code;
    code = make_runtime(s, g, &rt);
    if (!code) code = model_open_data(s, g, info.classes, &d);
    if (!code) {
        code = judge(s, (struct evaluated){g, rt}, &info, d);
        model_say_pictures(s, d);
        dfq_dataset_release(d);
    }
    dfq_runtime_release(rt);
    dfq_graph_release(g);
    return code;
}
