/* The functions of dfq/tuner.h. */
#include <dfq/tuner.h>

#include "api/api.h"
#include "base/memory.h"
#include "tune/tune.h"

struct dfq_tuner {
    dfq_context *ctx; /* kept alive by the job's networks */
    dfqi_tune *t;
};

/* -- options ----------------------------------------------------------------------------------- */

static dfqi_recipe_case case_of(const dfq_graph *graph, int64_t steps)
{
    enum { CLASSES = 10, IMAGE = 32 };
    return (dfqi_recipe_case){.classes = graph ? graph->net.arch.classes : CLASSES,
                              .image = graph ? graph->net.arch.image : dfqi_square(IMAGE),
                              .steps = steps};
}

static dfq_tuner_options recipe_of(int32_t recipe, const dfq_graph *graph, int64_t steps)
{
    dfqi_recipe_case c = case_of(graph, steps);
    dfq_tuner_options o;
    dfqi_tune_recipe(recipe, &c, &o);
    return o;
}

void dfq_tuner_options_init(dfq_tuner_options *options, size_t size, int32_t recipe,
                            const dfq_graph *graph, int64_t steps)
{
    dfq_tuner_options o = recipe_of(recipe, graph, steps);
    dfqi_options_init(options, size, &o, sizeof o);
}

static dfq_generator_options generator_of(int32_t recipe, const dfq_graph *graph)
{
    int parity = recipe == DFQ_RECIPE_MIMIQ_PARITY || recipe == DFQ_RECIPE_AIT_PARITY ||
                 recipe == DFQ_RECIPE_GDFQ_PARITY;
    dfqi_generator_options d;
    dfqi_generator_trainer_defaults(&d);
    return (dfq_generator_options){.kind = DFQ_GENERATOR_QIMERA,
                                   .batch = recipe_of(DFQ_RECIPE_AIT, graph, 0).batch,
                                   .learning_rate = d.learning_rate,
                                   .bns_weight = parity ? 0.1f : d.bns_weight};
}

void dfq_generator_options_init(dfq_generator_options *options, size_t size, int32_t recipe,
                                const dfq_graph *graph)
{
    dfq_generator_options o = generator_of(recipe, graph);
    dfqi_options_init(options, size, &o, sizeof o);
}

static dfq_status read_generator(dfq_context *ctx, const dfq_generator_options *given,
                                 const dfq_graph *teacher, dfqi_generator_options *out)
{
    static const dfqi_generator_kind kinds[] = {[DFQ_GENERATOR_GDFQ] = DFQI_GENERATOR_GDFQ,
                                                [DFQ_GENERATOR_QIMERA] = DFQI_GENERATOR_QIMERA,
                                                [DFQ_GENERATOR_ARC] = DFQI_GENERATOR_ARC};
    dfq_generator_options g = generator_of(DFQ_RECIPE_AIT, teacher);
    DFQI_TRY(dfqi_options_read(ctx, "dfq_generator_options", given, &g, sizeof g));
    if (g.kind < DFQ_GENERATOR_GDFQ || g.kind > DFQ_GENERATOR_ARC)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "generator: kind is %d, must be 0 (GDFQ), 1 (Qimera) or 2 (AutoReCon)",
                         (int)g.kind);
    dfqi_generator_trainer_defaults(out);
    out->kind = kinds[g.kind];
    out->batch = g.batch;
    out->seed = g.seed;
    out->learning_rate = g.learning_rate;
    out->bns_weight = g.bns_weight;
    return DFQ_OK;
}

/* -- jobs -------------------------------------------------------------------------------------- */

/* Where a job's images come from: one of the three. */
typedef struct origin {
    const dfq_tensor *images;
    dfq_image_set *set;
    const dfqi_generator_options *generator;
} origin;

static dfq_status create(const dfq_graph *teacher, dfq_graph *student, origin from, int32_t recipe,
                         const dfq_tuner_options *options, dfq_tuner **out_tuner)
{
    dfq_context *ctx = student->ctx;
    dfq_tuner_options o = recipe_of(recipe, teacher, 0);
    dfqi_tune *t = NULL;
    DFQI_TRY(dfqi_options_read(ctx, "dfq_tuner_options", options, &o, sizeof o));
    dfq_tuner *tuner = dfqi_calloc(ctx, 1, sizeof *tuner);
    if (tuner == NULL) return DFQ_E_NOMEM;
    dfq_status status = from.generator
                            ? dfqi_tune_new_with_generator(teacher, student, from.generator, &o, &t)
                        : from.set ? dfqi_tune_new_from(teacher, student, from.set, &o, &t)
                                   : dfqi_tune_new(teacher, student, from.images, &o, &t);
    if (status != DFQ_OK) {
        dfqi_free(ctx, tuner);
        return status;
    }
    *tuner = (dfq_tuner){.ctx = ctx, .t = t};
    *out_tuner = tuner;
    return DFQ_OK;
}

dfq_status dfq_tuner_create(const dfq_graph *teacher, dfq_graph *student, const dfq_tensor *images,
                            const dfq_tuner_options *options, dfq_tuner **out_tuner)
{
    if (student == NULL) return DFQ_E_INVALID;
    DFQI_NEED(student->ctx, teacher);
    DFQI_NEED(student->ctx, images);
    DFQI_NEED(student->ctx, out_tuner);
    return create(teacher, student, (origin){.images = images}, DFQ_RECIPE_MIMIQ, options,
                  out_tuner);
}

dfq_status dfq_tuner_create_from(const dfq_graph *teacher, dfq_graph *student, dfq_image_set *set,
                                 const dfq_tuner_options *options, dfq_tuner **out_tuner)
{
    if (student == NULL) return DFQ_E_INVALID;
    DFQI_NEED(student->ctx, teacher);
    DFQI_NEED(student->ctx, set);
    DFQI_NEED(student->ctx, out_tuner);
    return create(teacher, student, (origin){.set = set}, DFQ_RECIPE_MIMIQ, options, out_tuner);
}

dfq_status dfq_tuner_create_with_generator(const dfq_graph *teacher, dfq_graph *student,
                                           const dfq_generator_options *generator,
                                           const dfq_tuner_options *options, dfq_tuner **out_tuner)
{
    dfqi_generator_options g;
    if (student == NULL) return DFQ_E_INVALID;
    DFQI_NEED(student->ctx, teacher);
    DFQI_NEED(student->ctx, out_tuner);
    DFQI_TRY(read_generator(student->ctx, generator, teacher, &g));
    return create(teacher, student, (origin){.generator = &g}, DFQ_RECIPE_AIT, options, out_tuner);
}

void dfq_tuner_release(dfq_tuner *tuner)
{
    if (tuner == NULL) return;
    dfqi_tune *t = tuner->t;
    dfqi_free(tuner->ctx, tuner);
    dfqi_tune_release(t); /* last: it keeps the context */
}

dfq_status dfq_tuner_step(dfq_tuner *tuner, int32_t *out_finished)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_finished);
    return dfqi_tune_step(tuner->t, out_finished);
}

dfq_status dfq_tuner_run(dfq_tuner *tuner)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    return dfqi_tune_run(tuner->t);
}

dfq_status dfq_tuner_get_curves(const dfq_tuner *tuner, dfq_tensor **out_curves)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_curves);
    return dfqi_tune_curves(tuner->t, out_curves);
}

dfq_status dfq_tuner_get_evaluations(const dfq_tuner *tuner, dfq_tensor **out_evaluations)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_evaluations);
    return dfqi_tune_evals(tuner->t, out_evaluations);
}

dfq_status dfq_tuner_get_crossings(const dfq_tuner *tuner, dfq_tensor **out_crossings)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_crossings);
    return dfqi_tune_crossings(tuner->t, out_crossings);
}

dfq_status dfq_tuner_get_crossing_targets(const dfq_tuner *tuner, dfq_tensor **out_targets)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_targets);
    return dfqi_tune_crossing_targets(tuner->t, out_targets);
}

dfq_status dfq_tuner_get_crossed(const dfq_tuner *tuner, dfq_tensor **out_crossed)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_crossed);
    return dfqi_tune_crossed(tuner->t, out_crossed);
}

dfq_status dfq_tuner_get_generator_curves(const dfq_tuner *tuner, dfq_tensor **out_curves)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_curves);
    return dfqi_tune_generator_curves(tuner->t, out_curves);
}

dfq_status dfq_tuner_get_generator_images(const dfq_tuner *tuner, dfq_tensor **out_images,
                                          dfq_tensor **out_labels)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_images);
    DFQI_NEED(tuner->ctx, out_labels);
    return dfqi_tune_generator_images(tuner->t, out_images, out_labels);
}

dfq_status dfq_tuner_get_best(const dfq_tuner *tuner, dfq_tuner_best *out_best)
{
    dfqi_tune_best b;
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_best);
    dfqi_tune_get_best(tuner->t, &b);
    dfq_tuner_best out = {.best_step = b.best_step,
                          .last_step = b.last_step,
                          .best_kl = b.best_kl,
                          .last_kl = b.last_kl,
                          .train = b.train,
                          .held_out = b.held_out,
                          .clamped = b.clamped};
    return dfqi_info_write(tuner->ctx, "dfq_tuner_best", &out, sizeof out, out_best);
}

dfq_status dfq_tuner_restore_parameters(dfq_tuner *tuner, int32_t best)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    return dfqi_tune_restore_parameters(tuner->t, best != 0);
}

dfq_status dfq_tuner_estimate(const dfq_tuner *tuner, dfq_tuner_cost *out_cost)
{
    dfqi_tune_cost c;
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_cost);
    DFQI_TRY(dfqi_tune_estimate(tuner->t, &c));
    dfq_tuner_cost out = {.bytes = dfqi_count_i64(c.bytes),
                          .macs = dfqi_count_i64(c.macs),
                          .seconds = c.seconds,
                          .seconds_left = c.seconds_left,
                          .steps = dfqi_tune_steps(tuner->t),
                          .done = dfqi_tune_done(tuner->t)};
    return dfqi_info_write(tuner->ctx, "dfq_tuner_cost", &out, sizeof out, out_cost);
}

dfq_status dfq_tuner_save_checkpoint(dfq_tuner *tuner, const char *path)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, path);
    return dfqi_tune_save(tuner->t, path);
}

dfq_status dfq_tuner_load_checkpoint(dfq_tuner *tuner, const char *path)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, path);
    return dfqi_tune_restore(tuner->t, path);
}
