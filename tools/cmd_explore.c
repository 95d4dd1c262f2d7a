/* dfq explore: finds a network and an accelerator within hard limits, from a search space and
 * labelled images. The stages are in the library (dfq/explorer.h). This file has the plan,
 * checkpoints, results and outputs around them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "explore.h"
#include "files.h"
#include "text.h"

/* -- before work ------------------------------------------------------------------------------- */

static int name_outputs(struct explore *x)
{
    const char *prefix = x->s->o->trajectory;
    if (!prefix) return CODE_DONE;
    x->course[0] = text_format("%s.csv", prefix);
    x->course[1] = text_format("%s.svg", prefix);
    return x->course[0] && x->course[1] ? CODE_DONE : session_fail(x->s, DFQ_E_NOMEM, PHASE_WORK);
}

/* Labels of the test images must be below the number of classes of the training images. */
static int open_data(struct explore *x)
{
    struct session *s = x->s;
    int32_t classes = 0;
    dfq_status status = dfq_dataset_open(s->ctx, s->o->data, 0, &x->learn);
    for (int64_t i = 0; status == DFQ_OK && i < dfq_dataset_get_count(x->learn); i++)
        if (dfq_dataset_get_label(x->learn, i) >= classes)
            classes = dfq_dataset_get_label(x->learn, i) + 1;
    if (status == DFQ_OK && s->o->test_data)
        status = dfq_dataset_open(s->ctx, s->o->test_data, classes, &x->test);
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_READ);
}

/* Has exploring moved weights, or the solver? */
static dfq_status explored(const struct explore *x, int *out)
{
    dfq_explorer_stage search = {.struct_size = sizeof search};
    dfq_tensor *losses;
    dfq_status status = dfq_explorer_get_stage(x->e, DFQ_EXPLORE_SEARCH, &search);
    if (status == DFQ_OK) status = dfq_explorer_get_losses(x->e, DFQ_EXPLORE_SEARCH, &losses);
    if (status != DFQ_OK) return status;
    *out = dfq_tensor_get_dims(losses)[0] > 0 || search.done > 0;
    dfq_tensor_release(losses);
    return DFQ_OK;
}

/* Is what comes before exploring not over? */
static int is_early(const dfq_explorer_result *r)
{
    return r->stage == DFQ_EXPLORE_WARMUP || r->stage == DFQ_EXPLORE_EVALUATOR ||
           r->stage == DFQ_EXPLORE_HW_GENERATOR;
}

/* The weights after the warm-up are those before the first step of exploring. */
static int check_warm(struct explore *x)
{
    dfq_explorer_result r = {.struct_size = sizeof r};
    const char *path = x->s->o->save_supernet;
    int begun = 0;
    dfq_status status = dfq_explorer_get_result(x->e, &r);
    if (status == DFQ_OK) status = explored(x, &begun);
    if (status != DFQ_OK) return session_fail(x->s, status, PHASE_WORK);
    x->hopeless = r.stage == DFQ_EXPLORE_DONE && r.verdict == DFQ_VERDICT_INFEASIBLE;
    x->warm_saved = x->hopeless;
    if (!path || x->hopeless || is_early(&r)) return CODE_DONE;
    x->warm_saved = begun && file_kind(path) == FILE_REGULAR;
    if (!begun || x->warm_saved) return CODE_DONE;
    return session_error(x->s, CODE_USAGE,
                         "--save-supernet %s: the weights after the warm-up of this job were not "
                         "kept; leave the option out",
                         path);
}

static int check_accel(struct session *s)
{
    const char *name;
    char all[256] = "";
    for (int32_t i = 0; (name = dfq_accelerator_preset_name(i)) != NULL; i++) {
        size_t at = strlen(all);
        if (strcmp(name, s->o->accel) == 0) return CODE_DONE;
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", name);
    }
    if (file_kind(s->o->accel) != FILE_NONE) return CODE_DONE;
    return session_error(s, CODE_INPUT, "cannot read %s: there is no such file; presets: %s",
                         s->o->accel, all);
}

static int open_explorer(struct explore *x)
{
    struct session *s = x->s;
    const struct options *o = &x->full;
    dfq_explorer_options eo = explore_options(o);
    dfq_solver_options so = explore_solver(o);
    progress_begin(&s->progress, NULL, 0, 0);
    x->opening = text_now();
    dfq_accelerator *accel = NULL;
    dfq_status status = dfq_accelerator_load(s->ctx, o->accel, &accel);
    if (status == DFQ_OK)
        status = dfq_explorer_create(s->ctx, o->input, accel, x->learn, x->limits, x->n_limits, &eo,
                                     &so, &x->e);
    dfq_accelerator_release(accel);
    x->opening = text_now() - x->opening;
    progress_end(&s->progress);
    if (status == DFQ_OK && x->job.resumed && file_kind(x->job.explore) == FILE_REGULAR)
        status = dfq_explorer_load_checkpoint(x->e, x->job.explore);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    x->accelerators = 1;
    for (int32_t g = dfq_explorer_get_cells(x->e); g < dfq_explorer_get_groups(x->e); g++)
        x->accelerators *= dfq_explorer_get_choices(x->e, g);
    return check_warm(x);
}

static int prepare(struct explore *x)
{
    int code = name_outputs(x);
    explore_limits(x);
    if (!code) code = job_open(x->s, &x->full, 0, &x->job);
    if (!code) code = check_accel(x->s);
    if (!code) code = open_data(x);
    if (!code) code = open_explorer(x);
    return code;
}

/* -- work -------------------------------------------------------------------------------------- */

static dfq_status save_job(void *handle, const char *path)
{
    const struct explore *x = handle;
    return dfq_explorer_save_checkpoint(x->e, path);
}

/* If the file cannot be written, the job goes on. */
static void save_warm(struct explore *x, const dfq_explorer_result *r)
{
    const char *path = x->s->o->save_supernet;
    if (!path || x->warm_saved || is_early(r)) return;
    x->warm_saved = 1;
    if (dfq_explorer_save_supernet(x->e, path) != DFQ_OK)
        x->failed = session_error(x->s, CODE_OUTPUT, "--save-supernet: %s; the job goes on",
                                  dfq_context_get_error(x->s->ctx));
}

/* Until the next stage begins; the session stops it there. */
static dfq_status run_stage(void *handle)
{
    struct explore *x = handle;
    dfq_explorer_result r = {.struct_size = sizeof r};
    dfq_status status = dfq_explorer_get_result(x->e, &r);
    if (status != DFQ_OK) return status;
    save_warm(x, &r);
    double later = 0;
    for (int i = r.stage + 1; i < EXPLORE_STAGES; i++) later += x->seconds[i];
    progress_begin(&x->s->progress, NULL, 0, later);
    return dfq_explorer_run(x->e);
}

static dfq_status run_networks(void *handle)
{
    struct explore *x = handle;
    if (!explore_untrained(x)) return DFQ_OK;
    progress_begin(&x->s->progress, NULL, 0, 0);
    return dfq_explorer_run(x->e);
}

static int run_with(struct explore *x, dfq_status (*of)(void *handle))
{
    const struct job_stage stage = {of, save_job, x, x->job.explore};
    x->s->stop_between = 1;
    int code = job_run(x->s, &x->job, &stage);
    x->s->stop_between = 0;
    progress_end(&x->s->progress);
    return code;
}

/* A search without a choice that meets the limits does not fail here: its results are printed. */
static int run(struct explore *x)
{
    if (explore_untrained(x)) {
        int code = run_with(x, run_networks);
        if (!code) code = explore_plan(x);
        if (code) return code;
    }
    return run_with(x, run_stage);
}

static int save(struct explore *x)
{
    int code = places_appeared(x->s, OPT_OUT);
    dfq_status status = code ? DFQ_OK : dfq_explorer_save_network(x->e, x->s->o->out);
    if (status != DFQ_OK) code = session_fail(x->s, status, PHASE_WRITE);
    if (code == CODE_OUTPUT) job_checkpoint(x->s, &x->job, save_job, x, x->job.explore);
    x->job.saved = !code;
    return code;
}

/* A picture that cannot be read must not cost the job. */
static int judge(struct explore *x)
{
    x->accuracy.struct_size = sizeof x->accuracy;
    if (!x->test) return CODE_DONE;
    job_checkpoint(x->s, &x->job, save_job, x, x->job.explore);
    dfq_status status = dfq_explorer_evaluate(x->e, x->test, &x->accuracy);
    if (status != DFQ_OK) return session_fail(x->s, status, PHASE_READ);
    model_say_not_finite(x->s, "the derived network", x->accuracy.n, x->accuracy.not_finite);
    return CODE_DONE;
}

static void release(struct explore *x)
{
    explore_forget(x);
    dfq_explorer_release(x->e);
    dfq_dataset_release(x->learn);
    dfq_dataset_release(x->test);
    for (int i = 0; i < 2; i++) free(x->course[i]);
}

static int tell(struct explore *x)
{
    int code = explore_collect(x);
    if (!code) code = explore_write_course(x);
    if (!code && x->s->o->report && explore_page_write(&x->page, x->s->o->report) != 0)
        code =
            session_error(x->s, CODE_OUTPUT, "cannot write the report %s: %s; choose another place",
                          x->s->o->report, strerror(errno));
    if (!code) explore_print(x);
    return code;
}

int cmd_explore(struct session *s)
{
    struct explore x;
    memset(&x, 0, sizeof x);
    x.s = s;
    x.full = explore_fill(s->o);
    int code = prepare(&x);
    if (!code) code = explore_plan(&x);
    if (!code) code = run(&x);
    if (!code) code = save(&x);
    if (!code) code = judge(&x);
    if (code == CODE_DONE || code == CODE_INFEASIBLE) {
        int told = tell(&x);
        if (told) code = told;
    }
    job_close(s, code, &x.job);
    if (!code) code = x.failed;
    release(&x);
    return code;
}
