/* Collects the results of a finished co-exploration from the library, for text and report. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "report/explore_verdict.h"
#include "files.h"
#include "text.h"

/* -- words ------------------------------------------------------------------------------------- */

/* "k5e6", "w192d2h3r4", "skip" and the values of hardware parameters. */
static void describe_choice(const char *group, const char *name, char out[EXPLORE_TEXT])
{
    int v[4], n = 0;
    if (sscanf(name, "k%de%d%n", &v[0], &v[1], &n) == 2 && !name[n])
        snprintf(out, EXPLORE_TEXT, "%dx%d kernel, expansion %d", v[0], v[0], v[1]);
    else if (sscanf(name, "w%dd%dh%dr%d%n", &v[0], &v[1], &v[2], &v[3], &n) == 4 && !name[n])
        snprintf(out, EXPLORE_TEXT, "width %d, %d block%s, %d head%s, MLP ratio %d", v[0], v[1],
                 v[1] == 1 ? "" : "s", v[2], v[2] == 1 ? "" : "s", v[3]);
    else if (strcmp(name, "skip") == 0)
        snprintf(out, EXPLORE_TEXT, "left out");
    else if (strcmp(group, "glb_kb") == 0)
        snprintf(out, EXPLORE_TEXT, "%s KB", name);
    else
        snprintf(out, EXPLORE_TEXT, "%s", name);
}

static dfq_status fill_groups(struct explore *x)
{
    int32_t n = dfq_explorer_get_groups(x->e), cells = dfq_explorer_get_cells(x->e);
    uint32_t total = 0, groups = (uint32_t)n;
    const int32_t *chosen = dfq_tensor_get_data(x->choice), *raw = dfq_tensor_get_data(x->raw),
                  *by = dfq_tensor_get_data(x->by);
    const float *p = dfq_tensor_get_data(x->probabilities), *e = dfq_tensor_get_data(x->effects);
    for (int32_t g = 0; g < n; g++) total += (uint32_t)dfq_explorer_get_choices(x->e, g);
    x->groups = calloc(groups, sizeof *x->groups);
    x->names = calloc(total, sizeof *x->names);
    x->words = calloc(groups, sizeof *x->words);
    if (!x->groups || !x->names || !x->words) return DFQ_E_NOMEM;
    for (int32_t g = 0, at = 0; g < n; at += dfq_explorer_get_choices(x->e, g++)) {
        const char *name = dfq_explorer_get_name(x->e, g, -1);
        int32_t choices = dfq_explorer_get_choices(x->e, g);
        for (int32_t k = 0; k < choices; k++) x->names[at + k] = dfq_explorer_get_name(x->e, g, k);
        describe_choice(name, x->names[at + chosen[g]], x->words[g]);
        x->groups[g] = (struct explore_group){.name = name,
                                              .words = x->words[g],
                                              .choices = choices,
                                              .chosen = chosen[g],
                                              .raw = raw[g],
                                              .by = by[g],
                                              .names = x->names + at,
                                              .probabilities = p + at,
                                              .effects = g < cells ? e + at : NULL};
    }
    x->page.groups = x->groups;
    x->page.n_groups = n;
    x->page.n_cells = cells;
    return DFQ_OK;
}

static void row(struct explore *x, size_t *n, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(x->values[*n], EXPLORE_TEXT, format, args);
    va_end(args);
    x->rows[*n] = (struct report_row){name, x->values[*n]};
    ++*n;
}

static void fill_hardware(struct explore *x)
{
    const dfq_accelerator_config *h = &x->hw;
    size_t n = 0;
    row(x, &n, "elements", "%d x %d", (int)h->pe_x, (int)h->pe_y);
    row(x, &n, "dataflow", "%s", x->words[x->page.n_cells + 3]);
    row(x, &n, "register file", "%lld words of %d bits", (long long)h->rf_words, (int)h->word_bits);
    row(x, &n, "global buffer", "%g KB", h->glb_kb);
    row(x, &n, "clock", "%g MHz", h->clock_mhz);
    row(x, &n, "DRAM", "%g GB/s", h->dram_gb_per_s);
    row(x, &n, "area", "%.4g mm2 at 45 nm", h->area_mm2);
    x->page.accelerator = hardware_words(h, x->hardware);
    x->page.hw_params = x->rows;
    x->page.n_hw_params = n;
}

static void fill_provenance(struct explore *x)
{
    const struct options *o = &x->full;
    size_t first = x->page.n_hw_params, n = first;
    row(x, &n, "seed", "%" PRIu64, o->seed);
    row(x, &n, "steps", "%lld of warm-up, %lld of exploring, %lld of training",
        (long long)o->warmup_steps, (long long)o->steps, (long long)o->train_steps);
    if (o->evaluator == DFQ_EVALUATOR_NETWORKS)
        row(x, &n, "steps of the evaluator", "%lld", (long long)o->evaluator_steps);
    row(x, &n, "gradient of the loss", "by %s", option_gradient_name(o->gradient));
    if (x->page.cost_weight > 0)
        row(x, &n, "costs in the loss", "%s, weight %g", x->page.cost_function,
            x->page.cost_weight);
    row(x, &n, "images of a step", "%lld", (long long)o->batch);
    row(x, &n, "accelerators", "%lld", (long long)x->accelerators);
    row(x, &n, "library", "libdfq %s, kernels %s", dfq_version_text(),
        dfq_context_get_kernels(x->s->ctx));
    row(x, &n, "threads", "%d", (int)dfq_context_get_threads(x->s->ctx));
    x->page.provenance = x->rows + first;
    x->page.n_provenance = n - first;
    x->command = text_command(o->argc, o->argv, NULL);
    x->page.command = x->command;
}

static void fill_inputs(struct explore *x)
{
    const struct options *o = x->s->o;
    const char *paths[EXPLORE_INPUTS] = {o->input, o->accel, o->data, o->test_data, o->supernet};
    for (int i = 0; i < EXPLORE_INPUTS; i++)
        if (paths[i] && file_kind(paths[i]) == FILE_REGULAR)
            x->inputs[x->page.n_inputs++] = (struct report_file){paths[i], file_size(paths[i])};
    x->page.inputs = x->inputs;
}

/* -- numbers ----------------------------------------------------------------------------------- */

static dfq_status take_tensors(struct explore *x)
{
    struct explore_page *p = &x->page;
    dfq_status status = dfq_explorer_get_choice(x->e, 0, &x->choice);
    if (status == DFQ_OK) status = dfq_explorer_get_choice(x->e, 1, &x->raw);
    if (status == DFQ_OK) status = dfq_explorer_get_chosen_by(x->e, &x->by);
    if (status == DFQ_OK) status = dfq_explorer_get_probabilities(x->e, &x->probabilities);
    if (status == DFQ_OK) status = dfq_explorer_get_effects(x->e, &x->effects);
    if (status == DFQ_OK) status = dfq_explorer_get_trajectory(x->e, &x->trajectory);
    for (int i = 0; i < EXPLORE_STAGES && status == DFQ_OK; i++) {
        status = dfq_explorer_get_losses(x->e, i, &x->losses[i]);
        if (status != DFQ_OK) break;
        p->losses[i] = dfq_tensor_get_data(x->losses[i]);
        p->n_losses[i] = dfq_tensor_get_dims(x->losses[i])[0];
    }
    if (status != DFQ_OK) return status;
    p->trajectory = dfq_tensor_get_data(x->trajectory);
    p->trajectory_steps = dfq_tensor_get_dims(x->trajectory)[0];
    return DFQ_OK;
}

/* Accuracy of naming the most frequent class for all evaluated images. */
static void fill_chance(struct explore *x)
{
    struct explore_page *p = &x->page;
    int64_t n = dfq_dataset_get_count(x->test), most = 0;
    int32_t top = 0;
    for (int64_t i = 0; i < n; i++)
        if (dfq_dataset_get_label(x->test, i) > top) top = dfq_dataset_get_label(x->test, i);
    for (int32_t c = 0; c <= top; c++) {
        int64_t have = 0;
        for (int64_t i = 0; i < n; i++) have += dfq_dataset_get_label(x->test, i) == c;
        if (have > most) most = have;
    }
    p->chance = (double)most / (double)n;
    p->chance_level =
        explore_judge_chance((uint64_t)x->accuracy.n, (uint64_t)x->accuracy.correct, p->chance);
}

static dfq_status fill_metrics(struct explore *x)
{
    struct explore_page *p = &x->page;
    for (int32_t m = 0; m < EXPLORE_METRICS; m++) {
        dfq_explorer_metric v = {.struct_size = sizeof v};
        p->limits[m] = p->costs[m] = p->raw_costs[m] = p->tightest[m] = p->least[m] = (double)NAN;
        p->evaluator_mean[m] = p->evaluator_p99[m] = p->evaluator_gap[m] = (double)NAN;
        if (m >= dfq_explorer_get_metrics(x->e)) continue; /* those that have no limit */
        dfq_status status = dfq_explorer_get_metric(x->e, m, &v);
        if (status != DFQ_OK) return status;
        p->limits[m] = v.limit;
        p->costs[m] = v.cost;
        p->raw_costs[m] = v.raw_cost;
        p->tightest[m] = v.tightest;
        p->least[m] = v.least;
        p->reference[m] = v.reference;
        p->evaluator_mean[m] = v.evaluator_mean;
        p->evaluator_p99[m] = v.evaluator_p99;
        p->evaluator_gap[m] = v.evaluator_gap;
    }
    return DFQ_OK;
}

static dfq_status fill_result(struct explore *x)
{
    struct explore_page *p = &x->page;
    dfq_explorer_result r = {.struct_size = sizeof r};
    dfq_status status = dfq_explorer_get_result(x->e, &r);
    if (status == DFQ_OK) status = fill_metrics(x);
    if (status != DFQ_OK) return status;
    p->space = x->s->o->input;
    p->accel = x->s->o->accel;
    p->rule = option_rule_name(x->full.rule);
    p->verdict = r.verdict;
    p->output = r.verdict == DFQ_VERDICT_CERTIFIED ? x->s->o->out : NULL;
    p->proved = r.proved;
    p->raw_feasible = r.raw_feasible;
    p->evaluator = option_evaluator_name(x->full.evaluator);
    p->cost_weight = isnan(x->full.cost_weight) ? 0 : x->full.cost_weight;
    p->cost_function = option_cost_name(x->full.cost_function);
    p->hw_generator_accuracy = r.hw_generator_accuracy;
    p->hw_generator_regret = r.hw_generator_regret;
    p->macs = r.macs;
    p->loss = r.loss;
    p->top1 = x->accuracy.n > 0 ? (double)x->accuracy.correct / (double)x->accuracy.n : (double)NAN;
    p->accuracy_images = (uint64_t)x->accuracy.n;
    if (x->accuracy.n > 0) fill_chance(x);
    p->n_limits = x->n_limits;
    for (int32_t j = 0; j < x->n_limits; j++) p->limit_metric[j] = x->limits[j].metric;
    p->seconds = text_now() - x->s->start;
    p->peak_bytes = (uint64_t)session_peak();
    x->config = r.accelerator;
    x->hw.struct_size = sizeof x->hw;
    return dfq_explorer_get_accelerator(x->e, &x->hw);
}

int explore_collect(struct explore *x)
{
    dfq_status status = fill_result(x);
    if (status == DFQ_OK) status = take_tensors(x);
    if (status == DFQ_OK) status = fill_groups(x);
    if (status == DFQ_OK) status = explore_pairs(x);
    if (status != DFQ_OK) return session_fail(x->s, status, PHASE_WORK);
    fill_hardware(x);
    fill_provenance(x);
    fill_inputs(x);
    return CODE_DONE;
}

void explore_forget(struct explore *x)
{
    dfq_tensor_release(x->choice);
    dfq_tensor_release(x->raw);
    dfq_tensor_release(x->by);
    dfq_tensor_release(x->probabilities);
    dfq_tensor_release(x->effects);
    dfq_tensor_release(x->trajectory);
    for (int i = 0; i < EXPLORE_STAGES; i++) dfq_tensor_release(x->losses[i]);
    free(x->groups);
    free(x->names);
    free(x->words);
    free(x->cloud);
    free(x->snapshots);
    free(x->command);
}
