/* Prints the results of a co-exploration, and writes its trajectory to files. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "explore.h"
#include "report/explore_verdict.h"
#include "files.h"
#include "json.h"
#include "text.h"
#include "report/trajectory.h"

const char *const explore_metrics[EXPLORE_METRICS] = {"latency_ms", "energy_mj", "area_mm2",
                                                      "size_mb", "power_mw"};

/* -- JSON -------------------------------------------------------------------------------------- */

/* NaN of what is not known, or not possible. */
static double fps(double latency)
{
    return isfinite(latency) ? 1000 / latency : (double)NAN;
}

/* Images a second instead of ms as well, which is how that limit is given. */
static void json_costs(struct json *j, const struct explore_page *p, const char *name,
                       const double *v)
{
    json_open(j, name, '{');
    json_fraction(j, explore_metrics[DFQ_EXPLORE_LATENCY], v[DFQ_EXPLORE_LATENCY]);
    json_fraction(j, "fps", fps(v[DFQ_EXPLORE_LATENCY]));
    json_fraction(j, explore_metrics[DFQ_EXPLORE_ENERGY], v[DFQ_EXPLORE_ENERGY]);
    json_fraction(j, explore_metrics[DFQ_EXPLORE_AREA], v[DFQ_EXPLORE_AREA]);
    for (int m = DFQ_EXPLORE_SIZE; m < EXPLORE_METRICS; m++)
        if (explore_tells(p, m)) json_fraction(j, explore_metrics[m], v[m]);
    json_close(j, '}');
}

static void json_cells(struct json *j, const struct explore_page *p)
{
    json_open(j, "cells", '[');
    for (int32_t g = 0; g < p->n_cells; g++) {
        const struct explore_group *c = &p->groups[g];
        json_open(j, NULL, '{');
        json_text(j, "name", c->name);
        json_text(j, "choice", c->names[c->chosen]);
        json_text(j, "words", c->words);
        json_text(j, "raw", c->names[c->raw]);
        json_text(j, "chosen_by", explore_step_name(c->by));
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_errors(struct json *j, const char *name, const double *v)
{
    json_open(j, name, '{');
    for (int m = 0; m <= DFQ_EXPLORE_AREA; m++) json_fraction(j, explore_metrics[m], v[m]);
    json_close(j, '}');
}

static void json_cost_function(struct json *j, const struct explore *x)
{
    const struct explore_page *p = &x->page;
    json_fraction(j, "cost_weight", p->cost_weight);
    json_text(j, "cost_function", p->cost_function);
    if (x->full.cost_function != DFQ_COST_MEAN) json_costs(j, p, "reference", p->reference);
}

/* Errors are relative. */
static void json_networks(struct json *j, const struct explore *x)
{
    const struct explore_page *p = &x->page;
    json_text(j, "evaluator", p->evaluator);
    json_text(j, "gradient", option_gradient_name(x->full.gradient));
    if (x->full.evaluator != DFQ_EVALUATOR_NETWORKS) return;
    json_open(j, "networks", '{');
    json_errors(j, "mean_error", p->evaluator_mean);
    json_errors(j, "p99_error", p->evaluator_p99);
    json_errors(j, "gap", p->evaluator_gap);
    json_fraction(j, "hw_generator_accuracy", p->hw_generator_accuracy);
    json_fraction(j, "hw_generator_regret", p->hw_generator_regret);
    json_int(j, "evaluator_steps", x->full.evaluator_steps);
    json_close(j, '}');
}

static void json_options(struct json *j, const struct explore *x)
{
    const struct options *o = &x->full;
    json_open(j, "steps", '{');
    json_int(j, "warmup", o->warmup_steps);
    json_int(j, "explore", o->steps);
    json_int(j, "train", o->train_steps);
    json_close(j, '}');
    json_int(j, "batch", o->batch);
    char seed[TEXT_SHORT];
    if (o->seed <= INT64_MAX) {
        json_int(j, "seed", (int64_t)o->seed);
    } else {
        snprintf(seed, sizeof seed, "%" PRIu64, o->seed);
        json_text(j, "seed", seed);
    }
}

/* 1, 0 or NaN: these images cannot tell. */
static double above_chance(const struct explore_page *p)
{
    if (p->chance_level == EXPLORE_NOT_TOLD) return (double)NAN;
    return p->chance_level == EXPLORE_ABOVE_CHANCE;
}

static void print_json(const struct explore *x)
{
    const struct explore_page *p = &x->page;
    struct json j = {stdout, 0};
    int certified = p->verdict == DFQ_VERDICT_CERTIFIED;
    json_open(&j, NULL, '{');
    json_text(&j, "verdict", certified ? "certified" : "infeasible");
    json_text(&j, "file", p->output);
    json_text(&j, "space", p->space);
    json_text(&j, "rule", p->rule);
    json_cost_function(&j, x);
    json_networks(&j, x);
    json_open(&j, "accelerator", '{');
    json_text(&j, "name", p->accel);
    json_int(&j, "of", x->accelerators);
    json_int(&j, "config", x->config);
    json_text(&j, "words", p->accelerator);
    json_text(&j, "chosen_by", explore_step_name(explore_last_step(p, p->n_cells, p->n_groups)));
    hardware_json(&j, &x->hw);
    json_close(&j, '}');
    json_cells(&j, p);
    json_costs(&j, p, "costs", p->costs);
    json_costs(&j, p, "limits", p->limits);
    json_costs(&j, p, "raw_costs", p->raw_costs);
    json_int(&j, "raw_feasible", p->raw_feasible);
    json_int(&j, "proved", p->proved);
    if (!certified) {
        json_costs(&j, p, "tightest", p->tightest);
        json_costs(&j, p, "least", p->least);
    }
    json_count(&j, "macs", p->macs);
    json_fraction(&j, "loss", p->loss);
    if (p->accuracy_images > 0) {
        json_int(&j, "n", (int64_t)p->accuracy_images);
        json_int(&j, "not_finite", x->accuracy.not_finite);
        json_fraction(&j, "top1", p->top1);
        json_fraction(&j, "chance", p->chance);
        json_fraction(&j, "above_chance", above_chance(p));
    }
    json_options(&j, x);
    json_fraction(&j, "seconds", p->seconds);
    json_int(&j, "peak_bytes", (int64_t)p->peak_bytes);
    json_text(&j, "trajectory", x->course[0]);
    json_text(&j, "report", x->s->o->report);
    json_text(&j, "version", dfq_version_text());
    json_close(&j, '}');
    putchar('\n');
}

/* -- text -------------------------------------------------------------------------------------- */

/* "latency  8.31 ms (120 images/s), limit 16.67" */
static void print_cost(const struct explore_page *p, int m, const char *name, const char *unit)
{
    int certified = p->verdict == DFQ_VERDICT_CERTIFIED;
    printf("%-12s %.4g %s", name, p->costs[m], unit);
    if (m == DFQ_EXPLORE_LATENCY) printf(", %.4g images/s", 1000 / p->costs[m]);
    if (!isnan(p->limits[m])) {
        printf("; limit %.4g", p->limits[m]);
        if (m == DFQ_EXPLORE_LATENCY) printf(", %.4g images/s", 1000 / p->limits[m]);
    }
    if (!certified && p->costs[m] > p->limits[m])
        printf(", %.4g times that", p->costs[m] / p->limits[m]);
    if (!certified && isinf(p->tightest[m]))
        fputs("; no other value of this limit alone would do", stdout);
    if (!certified && isfinite(p->tightest[m])) {
        printf("; least within the other limits: %.4g", p->tightest[m]);
        if (m == DFQ_EXPLORE_LATENCY) printf(", %.4g images/s", 1000 / p->tightest[m]);
    }
    if (!certified && isfinite(p->least[m])) {
        printf("; least of all choices: %.4g", p->least[m]);
        if (m == DFQ_EXPLORE_LATENCY) printf(", %.4g images/s", 1000 / p->least[m]);
    }
    putchar('\n');
}

/* Of what the network's choices change; area is read from the table. */
static void print_networks(const struct explore_page *p)
{
    const double *mean = p->evaluator_mean, *p99 = p->evaluator_p99, *gap = p->evaluator_gap;
    if (isnan(mean[0])) return;
    printf(
        "evaluator    networks: latency %.2f %% off on average, 99 %% below %.2f %%, at the result "
        "%.2f %%\n",
        100 * mean[0], 100 * p99[0], 100 * gap[0]);
    printf("             energy %.2f %%, %.2f %%, %.2f %%; the verdict uses exact tables\n",
           100 * mean[1], 100 * p99[1], 100 * gap[1]);
}

/* The verdict, with two facts beside costs: whether accuracy is above chance, and which steps made
 * the choices. */
static void print_verdict(const struct explore_page *p)
{
    if (p->verdict == DFQ_VERDICT_CERTIFIED) {
        fputs("verdict      certified: every limit is met", stdout);
        if (p->accuracy_images > 0 && p->chance_level != EXPLORE_ABOVE_CHANCE) {
            fputs(";\n             ", stdout);
            explore_write_chance(stdout, p);
        }
        putchar('\n');
    } else {
        puts("verdict      infeasible; the closest choices:");
    }
    fputs("chosen       ", stdout);
    explore_write_steps(stdout, p);
    putchar('\n');
}

/* The step that made a choice is printed unless it is the likeliest choice, the usual case. */
static void print_cells(const struct explore_page *p)
{
    for (int32_t g = 0; g < p->n_cells; g++) {
        const struct explore_group *c = &p->groups[g];
        printf("  %-10s %s", c->name, c->words);
        if (c->by != DFQ_CHOSEN_LIKELIEST) printf(" (%s)", explore_step_name(c->by));
        putchar('\n');
    }
}

static void print_text(const struct explore *x)
{
    const struct explore_page *p = &x->page;
    char a[TEXT_SHORT], b[TEXT_SHORT];
    int32_t by = explore_last_step(p, p->n_cells, p->n_groups);
    print_verdict(p);
    fputs("network      ", stdout);
    text_put(stdout, p->space);
    printf(", %.4g MMAC\n", p->macs * 1e-6);
    print_cells(p);
    fputs("accelerator  ", stdout);
    text_put(stdout, p->accel);
    printf(": %s\n", p->accelerator);
    if (x->accelerators > 1)
        printf("             number %lld of %lld%s%s%s\n", (long long)x->config,
               (long long)x->accelerators, by == DFQ_CHOSEN_LIKELIEST ? "" : " (",
               by == DFQ_CHOSEN_LIKELIEST ? "" : explore_step_name(by),
               by == DFQ_CHOSEN_LIKELIEST ? "" : ")");
    print_cost(p, DFQ_EXPLORE_LATENCY, "latency", "ms");
    print_cost(p, DFQ_EXPLORE_ENERGY, "energy", "mJ an image");
    print_cost(p, DFQ_EXPLORE_AREA, "area", "mm2 at 45 nm");
    if (explore_tells(p, DFQ_EXPLORE_SIZE))
        print_cost(p, DFQ_EXPLORE_SIZE, "size", "MB of weights");
    if (explore_tells(p, DFQ_EXPLORE_POWER))
        print_cost(p, DFQ_EXPLORE_POWER, "power", "mW on average");
    print_networks(p);
    if (p->accuracy_images > 0)
        printf("top-1        %.4f (%lld of %lld)\n", p->top1, (long long)x->accuracy.correct,
               (long long)x->accuracy.n);
    if (p->output) {
        fputs("file         ", stdout);
        text_put(stdout, p->output);
        putchar('\n');
    }
    printf("took         %s, peak memory %s\n", text_seconds(p->seconds, a),
           text_bytes((double)p->peak_bytes, b));
}

void explore_print(const struct explore *x)
{
    if (x->s->o->json)
        print_json(x);
    else
        print_text(x);
}

/* -- the course -------------------------------------------------------------------------------- */

static int put_csv(FILE *f, const void *t)
{
    trajectory_csv(f, t);
    return 0;
}

static int put_svg(FILE *f, const void *t)
{
    trajectory_svg(f, t);
    return 0;
}

int explore_write_course(const struct explore *x)
{
    const struct explore_page *p = &x->page;
    double limits[EXPLORE_METRICS] = {0};
    struct trajectory t = {.title = p->space,
                           .names = explore_metrics,
                           .by_limit = x->s->o->rule == DFQ_RULE_PROJECT ? "price" : "delta",
                           .rows = p->trajectory,
                           .steps = p->trajectory_steps,
                           .n_metrics = explore_count_metrics(p),
                           .n_limits = p->n_limits,
                           .metric = p->limit_metric,
                           .limit = limits};
    for (int32_t j = 0; j < p->n_limits; j++) limits[j] = p->limits[p->limit_metric[j]];
    for (int i = 0; i < 2 && x->course[i]; i++)
        if (file_write_with(x->course[i], i ? put_svg : put_csv, &t) != 0)
            return session_error(x->s, CODE_OUTPUT, "cannot write %s: %s; choose another place",
                                 x->course[i], strerror(errno));
    return CODE_DONE;
}
