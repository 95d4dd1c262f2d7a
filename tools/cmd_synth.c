/* dfq synth: makes a set of synthetic images from a model alone. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "temp_file.h"
#include "commands.h"
#include "files.h"
#include "json.h"
#include "recipe.h"
#include "synthesis.h"
#include "text.h"

/* Moves the files of a finished set into the folder that is there (--force). 0, or -1 with
 * errno. */
static int move_files(const char *from, const char *to)
{
    struct dirent *e;
    DIR *d = opendir(from);
    int failed = !d;
    while (!failed && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char *a = text_format("%s/%s", from, e->d_name), *b = text_format("%s/%s", to, e->d_name);
        failed = !a || !b || rename(a, b) != 0;
        free(a);
        free(b);
    }
    if (d) closedir(d);
    return failed ? -1 : rmdir(from);
}

/* The whole set is made under another name, so that a failure leaves no half of one. */
static int save(struct session *s, const dfq_synthesizer *g)
{
    char *out = path_final(s->o->out), *temp = out ? path_with_ending(out, ".dfq-part") : NULL;
    int code = temp ? places_appeared(s, OPT_OUT) : session_fail(s, DFQ_E_NOMEM, PHASE_WORK);
    if (!code && mkdir(temp, 0777) != 0)
        code = session_error(s, CODE_OUTPUT, "cannot write %s: %s; choose another place", temp,
                             strerror(errno));
    if (code) goto out;
    progress_begin(&s->progress, NULL, 0, 0);
    dfq_status status = dfq_synthesizer_save(g, temp, 1);
    progress_end(&s->progress);
    code = status == DFQ_OK            ? CODE_DONE
           : status == DFQ_E_CANCELLED ? CODE_INTERRUPTED
                                       : session_fail(s, status, PHASE_WRITE);
    int there = file_kind(out) == FILE_FOLDER;
    if (!code && (there ? move_files(temp, out) : rename(temp, out)) != 0)
        code = session_error(s, CODE_OUTPUT, "cannot write %s: %s; choose another name", out,
                             strerror(errno));
    if (code) folder_remove(temp);
out:
    free(temp);
    free(out);
    return code;
}

static double mean_of(const dfq_tensor *t)
{
    const float *v = dfq_tensor_get_data(t);
    size_t n = dfq_tensor_get_bytes(t) / sizeof *v;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)v[i];
    return n > 0 ? sum / (double)n : 0;
}

/* What the images are judged by: similarity of attention heads, or the distance of BatchNorm
 * statistics, which kinds and networks without it do not know (NaN). */
struct judged {
    const char *name, *words;
    double before, after;
};

static dfq_status judge_heads(const dfq_synthesizer *g, struct judged *out)
{
    dfq_tensor *before, *after;
    dfq_status status = dfq_synthesizer_get_similarity(g, SYNTHESIS_SHOWN, &before, &after);
    if (status != DFQ_OK) return status;
    *out = (struct judged){"similarity", "inter-head similarity", mean_of(before), mean_of(after)};
    dfq_tensor_release(before);
    dfq_tensor_release(after);
    return DFQ_OK;
}

static dfq_status judge_norms(const dfq_synthesizer *g, int32_t norms, struct judged *out)
{
    dfq_tensor *losses;
    *out =
        (struct judged){"distance", "distance of BatchNorm statistics", (double)NAN, (double)NAN};
    if (norms == 0) return DFQ_OK;
    dfq_status status = dfq_synthesizer_get_losses(g, &losses);
    if (status != DFQ_OK) return status;
    const float *v = dfq_tensor_get_data(losses);
    int64_t last = dfq_tensor_get_dims(losses)[0] - 1;
    out->before = (double)v[DFQ_LOSS_ATTENTION];
    out->after = (double)v[last * DFQ_LOSS_COUNT + DFQ_LOSS_ATTENTION];
    dfq_tensor_release(losses);
    return DFQ_OK;
}

static void print_json(const struct session *s, const struct options *full, const struct judged *v,
                       double seconds)
{
    struct json j = {stdout, 0};
    char name[TEXT_SHORT];
    json_open(&j, NULL, '{');
    json_text(&j, "folder", s->o->out);
    json_int(&j, "images", full->images);
    json_text(&j, "kind", option_kind_name(full->kind));
    json_text(&j, "mode", option_mode_name(full->mode));
    json_int(&j, "iterations", full->iters);
    snprintf(name, sizeof name, "%s_before", v->name);
    json_fraction(&j, name, v->before);
    snprintf(name, sizeof name, "%s_after", v->name);
    json_fraction(&j, name, v->after);
    json_fraction(&j, "seconds", seconds);
    json_int(&j, "peak_bytes", (int64_t)session_peak());
    json_close(&j, '}');
    putchar('\n');
}

static int print_result(struct session *s, const struct options *full, const dfq_graph_info *info,
                        const dfq_synthesizer *g)
{
    double seconds = text_now() - s->start;
    char a[TEXT_SHORT], b[TEXT_SHORT], what[96] = "";
    struct judged v;
    dfq_status status =
        model_has_heads(info) ? judge_heads(g, &v) : judge_norms(g, info->batchnorms, &v);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
    if (s->o->json) {
        print_json(s, full, &v, seconds);
        return CODE_DONE;
    }
    if (isfinite(v.after))
        snprintf(what, sizeof what, ", %s %.3f (was %.3f)", v.words, v.after, v.before);
    text_put(stdout, s->o->out);
    printf(": %lld images%s; %s, peak memory %s\n", (long long)full->images, what,
           text_seconds(seconds, a), text_bytes(session_peak(), b));
    return CODE_DONE;
}

static int run(struct session *s, const struct options *full, const dfq_graph *net,
               const dfq_graph_info *info, struct job *job)
{
    dfq_synthesizer *g;
    double seconds, bytes;
    char a[TEXT_SHORT], b[TEXT_SHORT];
    int code = synthesis_open(s, full, net, job, &g);
    if (code) return code;
    const double base = session_peak(); /* of the network, and of the job's graphs */
    code = synthesis_measure(s, g, &seconds, &bytes);
    if (!code) {
        bytes = base + bytes > session_peak() ? base + bytes : session_peak();
        session_say(s, "%lld images of kind %s, about %s and %s of memory with %s",
                    (long long)full->images, option_kind_name(full->kind), text_seconds(seconds, a),
                    text_bytes(bytes, b),
                    text_threads((int)dfq_context_get_threads(s->ctx), (char[TEXT_SHORT]){0}));
        code = synthesis_run(s, g, job, 0);
    }
    if (!code) code = save(s, g);
    if (code == CODE_OUTPUT || code == CODE_INTERRUPTED)
        synthesis_keep(s, g, job); /* what is made is not lost */
    if (!code) code = print_result(s, full, info, g);
    dfq_synthesizer_release(g);
    return code;
}

int cmd_synth(struct session *s)
{
    struct job job;
    dfq_graph *net;
    dfq_graph_info info;
    int code = model_load(s, DFQ_DECIDES_LOGITS | DFQ_DECIDES_INPUTS, &net, &info);
    if (code) return code;
    struct options full = recipe_fill(s->o, net, &info);
    double set = (double)full.images * 3 * (double)info.image_height * (double)info.image_width;
    /* values, pictures, and values once more while they are made */
    code = job_open(s, &full, 9.2 * set, &job);
    if (!code) code = run(s, &full, net, &info, &job);
    job_close(s, code, &job);
    dfq_graph_release(net);
    return code;
}
