/* Jobs that can be interrupted and resumed: the folder of checkpoints, and the run of a stage. */
#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "text.h"

static const char first_line[] = "dfq job 1\n", last_line[] = "end\n";

/* -- options that decide the result ------------------------------------------------------------ */

static const char *folder_or_none(const char *path)
{
    return path ? path : "none";
}

/* A number that may not have been given. */
static const char *number_or_none(double v, char out[TEXT_SHORT])
{
    snprintf(out, TEXT_SHORT, isnan(v) ? "none" : "%.9g", v);
    return out;
}

/* Images, accelerators and weights are compared by the library. */
static char *describe_explore(const struct options *o)
{
    char t[7][TEXT_SHORT];
    return text_format("verb explore\nSPACE %s\n--accel %s\n--fps %s\n--energy-mj %s\n"
                       "--area-mm2 %s\n--size-mb %s\n--power-mw %s\n--warmup-steps %lld\n--steps "
                       "%lld\n--train-steps %lld\n"
                       "--batch %lld\n--seed %" PRIu64 "\n--evaluator %s\n--rule %s\n"
                       "--penalty %s\n--cost-weight %s\n--cost-function %s\n--supernet %s\n"
                       "--evaluator-steps %lld\n--gradient %s\n",
                       o->input, o->accel, number_or_none(o->fps, t[0]),
                       number_or_none(o->energy, t[1]), number_or_none(o->area, t[2]),
                       number_or_none(o->size, t[5]), number_or_none(o->power, t[6]),
                       (long long)o->warmup_steps, (long long)o->steps, (long long)o->train_steps,
                       (long long)o->batch, o->seed, option_evaluator_name(o->evaluator),
                       option_rule_name(o->rule), number_or_none(o->penalty, t[3]),
                       number_or_none(o->cost_weight, t[4]), option_cost_name(o->cost_function),
                       folder_or_none(o->supernet), (long long)o->evaluator_steps,
                       option_gradient_name(o->gradient));
}

static char *describe(const struct options *o, uint64_t model)
{
    if (o->verb == VERB_EXPLORE) return describe_explore(o);
    char *network = model_describe(o), *synth = NULL, ends[8] = "auto", bits[24] = "none";
    char limits[192];
    uint64_t file;
    snprintf(limits, sizeof limits, "%.9g ms %.9g mJ %.9g mm2 %.9g MB %.9g mW on %.64s",
             o->limit_latency, o->limit_energy, o->limit_area, o->limit_size, o->limit_power,
             folder_or_none(o->accel));
    if (o->bits_file && file_hash(o->bits_file, &file) == 0)
        snprintf(bits, sizeof bits, "%016" PRIx64, file);
    if (o->first_last_bits) snprintf(ends, sizeof ends, "%d", (int)o->first_last_bits);
    if (network)
        synth = text_format("%s--kind %s\n--images %lld\n--iters %lld\n--batch %lld\n"
                            "--seed %" PRIu64 "\n",
                            network, option_kind_name(o->kind), (long long)o->images,
                            (long long)o->iters, (long long)o->batch, o->seed);
    free(network);
    char *all = NULL;
    if (synth && o->verb == VERB_SYNTH)
        all = text_format("verb synth\nmodel %016" PRIx64 "\n%s--mode %s\n", model, synth,
                          option_mode_name(o->mode));
    else if (synth)
        all = text_format(
            "verb %s\nmodel %016" PRIx64 "\n%s--bits w%da%d\n--mode %s\n"
            "--synth %s\n--real %s\n--no-tune %s\n--method %s\n--generator %s\n"
            "--loss %s\n--steps %lld\n--lr %.9g\n--gamma %.9g\n--first-last-bits %s\n"
            "--weight-grid %s\n--act-grid %s\n--act-scale %s\n--act-group %lld\n"
            "--weight-group %lld\n--crossing-target %.9g\n"
            "--bits-file %s\n--mean-bits %.9g\n--limits %s\n--layer-bits %s\n--skip %s\n"
            "--rotate %s\n--rounding %s\n--no-images "
            "%s\n"
            "--reconstruct %lld\n--refine %lld\n",
            o->verb == VERB_JOINT ? "explore" : "quantize", model, synth, (int)o->weight_bits,
            (int)o->act_bits, option_mode_name(o->mode), folder_or_none(o->synth),
            folder_or_none(o->real), o->no_tune ? "yes" : "no", option_method_name(o->method),
            option_generator_name(o->generator), option_loss_name(o->loss), (long long)o->steps,
            o->lr, o->gamma, ends, option_weight_grid_name(o->weight_grid),
            option_act_grid_name(o->act_grid), option_act_scale_name(o->act_scale),
            (long long)o->act_group, (long long)o->weight_group, o->crossing_target, bits,
            o->mean_bits, limits, folder_or_none(o->layer_bits), folder_or_none(o->skip),
            option_rotate_name(o->rotate), option_rounding_name(o->rounding),
            o->no_images ? "yes" : "no", (long long)o->reconstruct, (long long)o->refine);
    free(synth);
    return all;
}

/* The first line in which two descriptions differ. */
static int compare(struct session *s, const struct job *job, const char *old)
{
    const char *a = job->options, *b = old;
    while (*a && *b) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n"), name = strcspn(a, " ");
        if (n != m || memcmp(a, b, n) != 0) {
            if (strncmp(a, "model", name) == 0)
                return session_error(s, CODE_USAGE,
                                     "%s is not the model that %s was started with; give that one, "
                                     "or --force without --resume to start anew",
                                     s->o->input, job->folder);
            if (m < name || memcmp(a, b, name) != 0) break;
            return session_error(s, CODE_USAGE,
                                 "%.*s is%.*s, and %s was started with%.*s; give that, or --force "
                                 "without --resume to start anew",
                                 (int)name, a, (int)(n - name), a + name, job->folder,
                                 (int)(m - name), b + name);
        }
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
    if (!*a) return CODE_DONE;
    return session_error(
        s, CODE_INPUT,
        "%s: the file is damaged, or of another version; start anew with --force without --resume",
        job->text);
}

/* -- job.txt ----------------------------------------------------------------------------------- */

/* Lines after the options: "saved 1" and "judged K N CORRECT CORRECT5 NOTFINITE DATA". */
static void read_state(const struct options *o, struct job *job, const char *text)
{
    for (; *text; text += strcspn(text, "\n") + (text[strcspn(text, "\n")] == '\n')) {
        struct tally t;
        int k, at = 0;
        if (strncmp(text, "saved 1\n", 8) == 0) job->saved = 1;
        if (sscanf(text, "judged %d %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %n", &k, &t.n,
                   &t.correct, &t.correct5, &t.not_finite, &at) != 5 ||
            at == 0 || !o->data || k < 0 || k > 1)
            continue;
        size_t n = strcspn(text + at, "\n");
        if (n == strlen(o->data) && memcmp(text + at, o->data, n) == 0 && tally_holds(&t))
            job->judged[k] = t;
    }
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static int read_job(struct session *s, struct job *job)
{
    size_t size, n = strlen(first_line);
    char *raw = file_read(job->text, &size),
         *text = raw ? text_format("%.*s", (int)size, raw) : NULL;
    int code;
    free(raw);
    if (!text || strncmp(text, first_line, n) != 0) {
        code = session_error(
            s, CODE_INPUT,
            "%s: the file is not of an interrupted run; start anew with --force without --resume",
            job->text);
    } else if (!ends_with(text, last_line)) {
        code = session_error(s, CODE_INPUT,
                             "%s: the file is cut short, its last line is missing; put the whole "
                             "file back, or start anew with --force without --resume",
                             job->text);
    } else {
        code = compare(s, job, text + n);
        if (!code) read_state(s->o, job, text + n);
    }
    free(text);
    return code;
}

int job_note(struct session *s, struct job *job)
{
    char *judged = text_format("%s", ""), *all;
    int failed;
    if (!job->enabled) {
        free(judged);
        return -1;
    }
    for (int k = 0; k < 2 && s->o->data && judged; k++) {
        const struct tally *t = &job->judged[k];
        char *more =
            text_format("%sjudged %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s\n", judged,
                        k, t->n, t->correct, t->correct5, t->not_finite, s->o->data);
        free(judged);
        judged = more;
    }
    all = judged ? text_format("%s%s%s%s%s", first_line, job->options,
                               job->saved ? "saved 1\n" : "", judged, last_line)
                 : NULL;
    if (!job->made && file_kind(job->folder) != FILE_FOLDER && mkdir(job->folder, 0777) != 0)
        failed = 1;
    else
        failed = !all || file_write_text(job->text, all) != 0;
    if (failed)
        session_error(s, 0, "warning: cannot write a checkpoint to %s: %s", job->folder,
                      strerror(errno));
    else
        job->made = 1;
    free(judged);
    free(all);
    return failed ? -1 : 0;
}

/* -- life -------------------------------------------------------------------------------------- */

static int make_paths(const struct options *o, struct job *job)
{
    job->folder = places_resume(o->out);
    if (!job->folder) return -1;
    job->text = text_format("%s/job.txt", job->folder);
    job->synth = text_format("%s/synth.safetensors", job->folder);
    job->reconstruct = text_format("%s/reconstruct.safetensors", job->folder);
    job->sensitivity = text_format("%s/sensitivity.safetensors", job->folder);
    job->tune = text_format("%s/tune.safetensors", job->folder);
    job->explore = text_format("%s/explore.safetensors", job->folder);
    job->samples = text_format("%s/samples", job->folder);
    if (!job->reconstruct) return -1;
    return job->text && job->synth && job->sensitivity && job->tune && job->explore && job->samples
               ? 0
               : -1;
}

static int is_own(const char *name)
{
    static const char *const own[] = {"job.txt",
                                      "synth.safetensors",
                                      "reconstruct.safetensors",
                                      "sensitivity.safetensors",
                                      "tune.safetensors",
                                      "explore.safetensors"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        size_t n = strlen(own[i]);
        if (strncmp(name, own[i], n) == 0 && (!name[n] || strncmp(name + n, ".tmp", 4) == 0 ||
                                              strncmp(name + n, ".images-", 8) == 0))
            return 1;
    }
    return 0;
}

/* Removes the files of a job, and temporary files of one that was killed; nothing else. */
static void remove_own(const struct job *job)
{
    struct dirent *e;
    DIR *d = opendir(job->folder);
    if (!d) return;
    while ((e = readdir(d)) != NULL) {
        char *name = is_own(e->d_name) ? text_format("%s/%s", job->folder, e->d_name) : NULL;
        if (name) unlink(name);
        free(name);
    }
    closedir(d);
    folder_remove(job->samples);
    rmdir(job->folder);
}

/* True if the folder is not empty; *foreign: it holds files that no job writes. */
static int look_into(const char *folder, int *foreign)
{
    struct dirent *e;
    DIR *d = opendir(folder);
    int n = 0;
    *foreign = 0;
    while (d && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (!is_own(e->d_name) && strcmp(e->d_name, "samples") != 0) *foreign = 1;
        n++;
    }
    if (d) closedir(d);
    return n > 0;
}

/* What an earlier run has left. */
static int take_over(struct session *s, struct job *job)
{
    int foreign, there = look_into(job->folder, &foreign);
    if (there && s->o->resume) {
        int code = read_job(s, job);
        if (!code) job->resumed = job->made = 1;
        return code;
    }
    if (foreign && file_kind(job->text) == FILE_NONE)
        return session_error(
            s, CODE_USAGE,
            "%s holds files that no run has left there; move them, or choose another name for -o",
            job->folder);
    if (there && !s->o->force)
        return session_error(s, CODE_USAGE,
                             "%s is left from an interrupted run; add --resume to go "
                             "on, or --force to start anew",
                             job->folder);
    if (there) remove_own(job);
    if (s->o->resume)
        session_say(s, "there is nothing to resume at %s; the run starts from the beginning",
                    job->folder);
    return CODE_DONE;
}

int job_open(struct session *s, const struct options *defaults, double need, struct job *job)
{
    uint64_t model = 0;
    memset(job, 0, sizeof *job);
    if (s->o->verb != VERB_EXPLORE && file_hash(s->o->input, &model) != 0)
        return session_error(s, CODE_INPUT, "cannot read %s again: %s", s->o->input,
                             strerror(errno));
    job->options = describe(defaults, model);
    if (!job->options || make_paths(s->o, job) != 0)
        return session_fail(s, DFQ_E_NOMEM, PHASE_WORK);
    job->enabled = file_kind(s->o->out) != FILE_OTHER;
    int code = take_over(s, job);
    /* --save-supernet is written on the way, all else behind the output */
    int others = s->o->verb == VERB_EXPLORE ? job->resumed : job->saved;
    if (!code) code = places_unused(s, job->saved, others);
    return code ? code : places_room(s, need);
}

/* -- running ----------------------------------------------------------------------------------- */

void job_checkpoint(struct session *s, struct job *job, job_save save, void *handle,
                    const char *path)
{
    if (!job->enabled || job_note(s, job) != 0) return;
    dfq_status status = save(handle, path);
    job->kept = status == DFQ_OK;
    if (status != DFQ_OK)
        session_error(s, 0, "warning: cannot write a checkpoint: %s",
                      dfq_context_get_error(s->ctx));
}

int job_run(struct session *s, struct job *job, const struct job_stage *stage)
{
    for (;;) {
        s->checkpoint_at = job->enabled ? text_now() + s->o->checkpoint : 0;
        dfq_status status = stage->run(stage->handle);
        s->checkpoint_at = 0;
        if (status == DFQ_OK) return CODE_DONE;
        if (status != DFQ_E_CANCELLED) return session_fail(s, status, PHASE_WORK);
        progress_clear(&s->progress);
        job_checkpoint(s, job, stage->save, stage->handle, stage->path);
        if (session_interrupted()) return CODE_INTERRUPTED;
    }
}

/* -- the end ----------------------------------------------------------------------------------- */

static void say_how_to_go_on(struct session *s, int code, const struct job *job)
{
    const struct options *o = s->o;
    char *command = text_command(o->argc, o->argv, o->resume ? NULL : "--resume");
    const char *how = command ? command : "--resume";
    if (code == CODE_OUTPUT && job->kept)
        session_error(s, 0, "the work so far is kept in %s; make room, then go on with: %s",
                      job->folder, how);
    else if (code == CODE_INTERRUPTED && job->made && job->enabled)
        session_error(s, code, "stopped; go on with: %s", how);
    else if (code == CODE_INTERRUPTED)
        session_error(s, code, "stopped, and nothing was kept; start the run again");
    free(command);
}

void job_close(struct session *s, int code, struct job *job)
{
    say_how_to_go_on(s, code, job);
    if (job->made && (code == CODE_DONE || code == CODE_INFEASIBLE || s->diverged)) remove_own(job);
    free(job->folder);
    free(job->text);
    free(job->synth);
    free(job->reconstruct);
    free(job->sensitivity);
    free(job->tune);
    free(job->explore);
    free(job->samples);
    free(job->options);
    memset(job, 0, sizeof *job);
}
