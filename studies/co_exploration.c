/* Co-exploration on real images: hard limits against their baselines (docs/METHODS.md). A supernet
 * is warmed up once, or read if WARM exists. Then, for limits that 5, 10 and 25 % of 10,000 random
 * pairs of network and accelerator meet, by latency, and for each seed:
 *
 *   hdx       HDX's rule with its defaults: raw and certified, and the derived network's accuracy
 *   project   the same with the projection
 *   gates     the same, with the gradients of gates for the loss
 *   penalty   soft penalties of several weights: how often the likeliest choices meet the limit
 *   none      DANCE, several weights of the costs: which limits it happens to meet
 *
 * With 3 metrics, energy and area are limited as well, to what half of the pairs meet. Every
 * network that is judged was trained alike, from the supernet's weights.
 * Usage: study_co_exploration SPACE ACCELERATORS TRAIN TEST WARM.safetensors [seeds] [steps]
 *        [train steps] [threads] [warm-up steps] [hdx|project|gates|penalty|none|all]
 *        [metrics] */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dfq/dfq.h>

#include "base/progress.h"
#include "nn/supernet_file.h"
#include "support.h"

enum { LIMITS = 3, METRICS = 3, PAIRS = 10000, BATCH = 64, CALIBRATE = 32 };

static const double shares[LIMITS] = {0.05, 0.10, 0.25};

typedef struct study {
    const char *space, *accel, *warm;
    int seeds, threads, n_metrics;
    int32_t gradient;
    int64_t steps, train_steps, warmup_steps;
    dfq_context *ctx;
    dfq_dataset *train;
    dfqi_search_space s;
    dfqi_super_data data, judge;    /* to train networks on, and to judge them */
    double limits[LIMITS][METRICS]; /* ms, mJ, mm2 */
} study;

static void must(const study *s, dfq_status status)
{
    if (status == DFQ_OK || status == DFQ_E_INFEASIBLE) return;
    fprintf(stderr, "study_co_exploration: %s\n", s->ctx ? dfq_context_get_error(s->ctx) : "");
    exit(1);
}

/* -- limits ------------------------------------------------------------------------------------ */

static void find_limits(study *s)
{
    static double ms[METRICS * PAIRS];
    dfqi_search_space_costs c;
    must(s, dfqi_search_space_costs_new(s->ctx, &s->s, &c));
    study_draw_pairs(&c, 11, METRICS, PAIRS, ms);
    printf("%lld accelerators; latency of %d random pairs: least %.4g, median %.4g, most %.4g ms\n",
           (long long)study_accelerators(&c), PAIRS, ms[0], ms[PAIRS / 2], ms[PAIRS - 1]);
    for (int i = 0; i < LIMITS; i++)
        for (int m = 0; m < METRICS; m++)
            s->limits[i][m] = ms[m * PAIRS + (int)((m == 0 ? shares[i] : 0.5) * PAIRS)];
    dfqi_search_space_costs_fini(&c);
}

/* -- searches ---------------------------------------------------------------------------------- */

typedef struct found {
    int32_t verdict, raw_feasible, path[DFQI_SUPER_CELLS];
    double ms, raw_ms, energy, area;
} found;

static dfq_explorer *explorer_of(const study *s, const double *limits, double factor, int64_t seed,
                                 const dfq_solver_options *rule, const char *weights)
{
    dfq_accelerator *accel;
    dfq_explorer *e;
    dfq_explorer_options o;
    dfq_constraint c[METRICS];
    for (int m = 0; m < METRICS; m++)
        c[m] = (dfq_constraint){sizeof(dfq_constraint), m, factor * limits[m]};
    dfq_explorer_options_init(&o, sizeof o);
    o.warmup_steps = s->warmup_steps;
    o.supernet_path = weights;
    o.weight_steps = 0; /* the weights stay those of the warm-up */
    o.sampled_paths = 8;
    o.gradient = s->gradient;
    o.train_steps = 0;
    o.seed = weights ? (uint64_t)seed : 0;
    must(s, dfq_accelerator_load(s->ctx, s->accel, &accel));
    must(s, dfq_explorer_create(s->ctx, s->space, accel, s->train, c, s->n_metrics, &o, rule, &e));
    dfq_accelerator_release(accel);
    return e;
}

static void warm_up(const study *s)
{
    FILE *f = fopen(s->warm, "rb");
    if (f) {
        fclose(f);
        return;
    }
    dfq_solver_options rule;
    dfq_solver_options_init(&rule, sizeof rule);
    rule.steps = 1;
    double start = dfqi_now();
    dfq_explorer *e = explorer_of(s, s->limits[0], 1e9, 0, &rule, NULL);
    for (int64_t i = 0; i < s->warmup_steps; i++) {
        int32_t finished;
        must(s, dfq_explorer_step(e, &finished));
    }
    must(s, dfq_explorer_save_supernet(e, s->warm));
    printf("warm-up: %lld steps of %d images, %.0f s\n", (long long)s->warmup_steps, BATCH,
           dfqi_now() - start);
    dfq_explorer_release(e);
}

static found search(const study *s, int i, double factor, int64_t seed, dfq_solver_options rule,
                    int raw)
{
    found f;
    dfq_tensor *choice;
    dfq_explorer_result r = {.struct_size = sizeof r};
    dfq_explorer_metric m[3];
    rule.steps = s->steps;
    rule.snapshot_every = s->steps / 8;
    dfq_explorer *e = explorer_of(s, s->limits[i], factor, seed, &rule, s->warm);
    must(s, dfq_explorer_run(e));
    must(s, dfq_explorer_get_result(e, &r));
    for (int32_t k = 0; k < 3; k++) {
        m[k].struct_size = sizeof m[k];
        must(s, dfq_explorer_get_metric(e, k, &m[k]));
    }
    must(s, dfq_explorer_get_choice(e, raw, &choice));
    f = (found){r.verdict,
                r.raw_feasible,
                {0},
                m[DFQ_EXPLORE_LATENCY].cost,
                m[DFQ_EXPLORE_LATENCY].raw_cost,
                raw ? m[DFQ_EXPLORE_ENERGY].raw_cost : m[DFQ_EXPLORE_ENERGY].cost,
                raw ? m[DFQ_EXPLORE_AREA].raw_cost : m[DFQ_EXPLORE_AREA].cost};
    memcpy(f.path, dfq_tensor_get_data(choice), (size_t)dfq_explorer_get_cells(e) * sizeof *f.path);
    dfq_tensor_release(choice);
    dfq_explorer_release(e);
    return f;
}

/* -- networks ---------------------------------------------------------------------------------- */

/* Trains the path's network from the supernet's weights; percent right. */
static double accuracy_of(const study *s, const int32_t *path, uint64_t seed, double *macs)
{
    dfqi_supernet net, derived;
    dfqi_super_train *t;
    dfqi_super_options o;
    int64_t correct, not_finite;
    float loss;
    must(s, dfqi_supernet_new(s->ctx, &s->s.net, NULL, 0, &net));
    must(s, dfqi_supernet_load(&net, s->warm));
    must(s, dfqi_supernet_new(s->ctx, &s->s.net, path, seed, &derived));
    must(s, dfqi_supernet_hand_down(&net, &derived));
    dfqi_super_defaults_of(&s->s.net, &o);
    o.batch = BATCH;
    o.steps = s->train_steps;
    o.seed = seed;
    must(s, dfqi_super_train_new(&derived, &o, &t));
    for (int64_t i = 0; i < o.steps; i++) must(s, dfqi_super_train_step(t, &s->data, path, &loss));
    must(s, dfqi_super_recalibrate(&derived, path, &s->data, BATCH, CALIBRATE));
    must(s, dfqi_super_evaluate(&derived, path, &s->judge, 125, &correct, &not_finite));
    must(s, dfqi_supernet_macs(&derived, path, macs));
    *macs *= 1e-6;
    dfqi_super_train_release(t);
    dfqi_supernet_fini(&derived);
    dfqi_supernet_fini(&net);
    return 100 * (double)correct / (double)s->judge.n;
}

static void say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    fflush(stdout);
}

static void hold(const study *s, const char *name, int32_t which, double best[LIMITS])
{
    dfq_solver_options rule;
    dfq_solver_options_init(&rule, sizeof rule);
    rule.rule = which;
    for (int i = 0; i < LIMITS; i++) {
        int raw = 0, certified = 0;
        double sum = 0, macs;
        for (int seed = 1; seed <= s->seeds; seed++) {
            double start = dfqi_now();
            found f = search(s, i, 1, seed, rule, 0);
            double took = dfqi_now() - start;
            raw += f.raw_feasible;
            certified += f.verdict == DFQ_VERDICT_CERTIFIED && f.ms <= s->limits[i][0];
            double right = accuracy_of(s, f.path, (uint64_t)seed, &macs);
            sum += right / s->seeds;
            if (right > best[i]) best[i] = right;
            say("%s, %.4g ms, seed %d: raw %.4g ms, result %.4g ms %.3g mJ %.3g mm2, %.2f M "
                "MACs, "
                "%.2f %% right, search %.0f s\n",
                name, s->limits[i][0], seed, f.raw_ms, f.ms, f.energy, f.area, macs, right, took);
        }
        say("%s, %.0f %%, %.4g ms: raw %d, certified %d of %d, mean %.2f %%, best %.2f %%\n", name,
            100 * shares[i], s->limits[i][0], raw, certified, s->seeds, sum, best[i]);
    }
}

static void penalty(const study *s)
{
    static const double weights[] = {0.1, 1, 10};
    dfq_solver_options rule;
    dfq_solver_options_init(&rule, sizeof rule);
    rule.rule = DFQ_RULE_PENALTY;
    for (int i = 0; i < LIMITS; i++)
        for (size_t k = 0; k < sizeof weights / sizeof *weights; k++) {
            int raw = 0;
            rule.penalty = weights[k];
            for (int seed = 1; seed <= s->seeds; seed++)
                raw += search(s, i, 1, seed, rule, 1).raw_feasible;
            say("penalty %g, %.0f %%: the likeliest choices meet the limit in %d of %d\n",
                weights[k], 100 * shares[i], raw, s->seeds);
        }
}

/* The likeliest choices' own costs. */
static int meets(const study *s, const found *f, int i)
{
    return f->raw_ms <= s->limits[i][0] && (s->n_metrics < 2 || f->energy <= s->limits[i][1]) &&
           (s->n_metrics < 3 || f->area <= s->limits[i][2]);
}

/* The limit is one that nothing reaches; costs weigh as they would against the middle one. */
static void none(const study *s, const double best[LIMITS])
{
    static const double weights[] = {0, 0.01, 0.03, 0.1}, far = 1000;
    double theirs[LIMITS] = {0}, macs;
    dfq_solver_options rule;
    dfq_solver_options_init(&rule, sizeof rule);
    rule.rule = DFQ_RULE_NONE;
    for (size_t k = 0; k < sizeof weights / sizeof *weights; k++)
        for (int seed = 1; seed <= s->seeds; seed++) {
            rule.cost_weight = far * weights[k];
            found f = search(s, 1, far, seed, rule, 1);
            double right = NAN;
            if (meets(s, &f, LIMITS - 1)) right = accuracy_of(s, f.path, (uint64_t)seed, &macs);
            for (int i = 0; i < LIMITS; i++)
                if (meets(s, &f, i) && right > theirs[i]) theirs[i] = right;
            say("no limit, costs weigh %g, seed %d: %.4g ms, %.2f %% right\n", weights[k], seed,
                f.raw_ms, right);
        }
    for (int i = 0; i < LIMITS; i++)
        say("%.0f %%: best of no limit %.2f %%, of those with limits %.2f %%\n", 100 * shares[i],
            theirs[i], best[i]);
}

int main(int argc, char **argv)
{
    double best[LIMITS] = {0};
    dfq_context_options c;
    if (argc < 6) {
        fprintf(stderr,
                "usage: study_co_exploration SPACE ACCELERATORS TRAIN TEST WARM.safetensors "
                "[seeds] [steps] [train steps] [threads] [warm-up steps] "
                "[hdx|project|gates|penalty|none|all] [metrics]\n");
        return 2;
    }
    study s = {.space = argv[1],
               .accel = argv[2],
               .warm = argv[5],
               .seeds = argc > 6 ? atoi(argv[6]) : 5,
               .steps = argc > 7 ? atoi(argv[7]) : 500,
               .train_steps = argc > 8 ? atoi(argv[8]) : 2000,
               .threads = argc > 9 ? atoi(argv[9]) : 0,
               .warmup_steps = argc > 10 ? atoi(argv[10]) : 6000,
               .n_metrics = argc > 12 ? atoi(argv[12]) : 1};
    dfq_context_options_init(&c, sizeof c);
    c.threads = s.threads;
    const char *only = argc > 11 ? argv[11] : "all";
    const int all = strcmp(only, "all") == 0;
    must(&s, dfq_context_create(&c, &s.ctx));
    must(&s, dfqi_search_space_read(s.ctx, s.space, s.accel, &s.s));
    must(&s, dfq_dataset_open(s.ctx, argv[3], (int32_t)s.s.net.classes, &s.train));
    find_limits(&s);
    warm_up(&s);
    must(&s, study_load(s.ctx, argv[3], &s.s.net, &s.data));
    must(&s, study_load(s.ctx, argv[4], &s.s.net, &s.judge));
    if (all || strcmp(only, "project") == 0) hold(&s, "project", DFQ_RULE_PROJECT, best);
    s.gradient = strcmp(only, "gates") == 0 ? DFQ_GRADIENT_GATES : DFQ_GRADIENT_PATHS;
    if (s.gradient == DFQ_GRADIENT_GATES) hold(&s, "gates", DFQ_RULE_PROJECT, best);
    if (all || strcmp(only, "hdx") == 0) hold(&s, "hdx", DFQ_RULE_CONSTRAINT_GRADIENT, best);
    if (all || strcmp(only, "none") == 0) none(&s, best);
    if (all || strcmp(only, "penalty") == 0) penalty(&s);
    dfq_dataset_release(s.train);
    dfq_context_release(s.ctx);
    return 0;
}
