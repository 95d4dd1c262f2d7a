/* Synthesis options: defaults (docs/METHODS.md, Synthetic images), range checks, and the text by
 * which a checkpoint recognises them. */
#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "base/text.h"
#include "synth/synth_priv.h"

enum {
    IMAGES_MAX = 10 * 1000 * 1000,
    BATCH_MAX = 4096,
    ITERATIONS_MAX = 1000 * 1000,
    ROLL_MAX = 4096
};

/* Iterations of the publications: MimiQ (and what shares its objective), PSAQ-ViT, ZeroQ. Those of
 * a generator network are ours: it is not trained beside a student here. */
enum { MIMIQ = 2000, PSAQ = 1000, ZEROQ = 500, GENERATOR = 1000 };

void dfqi_synth_defaults(dfqi_synth_options *o)
{
    *o = (dfqi_synth_options){.kind = DFQI_SYNTH_AUTO,
                              .images = 256,
                              .batch = 16,
                              .iterations = 100,
                              .attention_weight = 1.0f,
                              .class_weight = 1.0f,
                              .tv_weight = 2.5e-5f,
                              .learning_rate = 0.1f,
                              .end_learning_rate = 0.001f,
                              .weight_decay = 1e-6f,
                              .roll_first = 8,
                              .roll_second = 16,
                              .jitter = 1,
                              .multi_scale = 1};
}

static dfqi_synth_kind kind_for(const dfqi_arch *a, dfqi_synth_kind kind)
{
    if (kind != DFQI_SYNTH_AUTO) return kind;
    return dfqi_arch_norms(a) > 0 ? DFQI_SYNTH_BNS : DFQI_SYNTH_ATTENTION;
}

static int64_t published(dfqi_synth_kind kind)
{
    return kind == DFQI_SYNTH_PSE ? PSAQ : kind == DFQI_SYNTH_BNS ? ZEROQ : MIMIQ;
}

void dfqi_synth_recipe(dfqi_synth_kind kind, int32_t parity, const dfqi_arch *a,
                       dfqi_synth_options *o)
{
    dfqi_synth_defaults(o);
    o->kind = a ? kind_for(a, kind) : kind;
    if (a && dfqi_arch_is_backbone(a)) o->class_weight = 0;
    if (parity) {
        o->iterations = published(o->kind);
        o->multi_scale = 0;
    }
    if (!dfqi_synth_generates(o->kind)) return;
    o->iterations = GENERATOR;
    o->batch = dfqi_generator_trainer_batch(a ? a->image : dfqi_square(0));
}

void dfqi_synth_settle(const dfqi_arch *a, dfqi_synth_options *o)
{
    o->kind = kind_for(a, o->kind);
    if (o->kind == DFQI_SYNTH_BNS) o->jitter = 0;
    if (o->kind != DFQI_SYNTH_PSE) return;
    o->tv_weight = 0.05f;
    o->learning_rate = 0.2f;
    o->end_learning_rate = o->weight_decay = 0;
    o->roll_first = 15;
    o->roll_second = 30;
    o->flip = 1;
    o->jitter = o->multi_scale = 0;
}

/* Patch similarity entropy is of all patches of a block, and of heads that are all alike. */
static dfq_status pse_fits(dfq_context *ctx, const dfqi_arch *a)
{
    dfqi_attention first, t;
    dfqi_arch_attention(a, 0, &first);
    for (int64_t i = 0; i < dfqi_arch_blocks(a); i++) {
        dfqi_arch_attention(a, i, &t);
        if (t.windows > 1 || t.tokens != first.tokens || t.heads != first.heads)
            return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                             "synth: kind pse compares all patches of a block, and %s has them in "
                             "windows; take kind attention",
                             a->name);
    }
    if (first.drop == 1) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "synth: kind pse leaves out the class token, and %s has other tokens in "
                     "front of its patches; take kind attention",
                     a->name);
}

dfq_status dfqi_synth_fits(dfq_context *ctx, const dfqi_arch *a, const dfqi_synth_options *o)
{
    if (a->channels != 3)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "synth: %s has %lld input channels, must be 3",
                         a->name, (long long)a->channels);
    bool heads = o->kind == DFQI_SYNTH_ATTENTION || o->kind == DFQI_SYNTH_PSE;
    if (heads && !dfqi_arch_is_cnn(a))
        DFQI_TRY(dfqi_arch_need_attention(ctx, a, "synth by its heads"));
    if (heads && dfqi_arch_is_cnn(a))
        return dfqi_fail(
            ctx, DFQ_E_UNSUPPORTED,
            "synth: %s has no attention heads; take kind bns, gdfq, qimera, arc, prior, noise or "
            "leaves",
            a->name);
    if (o->kind == DFQI_SYNTH_PSE) DFQI_TRY(pse_fits(ctx, a));
    if (o->class_weight > 0 && !dfqi_synth_draws(o->kind))
        DFQI_TRY(dfqi_arch_need_classes(ctx, a, "images of classes (class_weight is above 0)"));
    bool norms = o->kind == DFQI_SYNTH_BNS || dfqi_synth_generates(o->kind);
    if (norms && dfqi_arch_norms(a) == 0)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "synth: %s has no BatchNorm; take kind %sprior, noise or leaves", a->name,
                         dfqi_arch_is_cnn(a) ? "" : "attention, pse, ");
    return DFQ_OK;
}

const dfqi_recipe *dfqi_recipe_of(dfqi_synth_kind kind)
{
    static const dfqi_recipe mimiq = {.beta1 = 0.9f, .beta2 = 0.999f, .tv_diagonal = 0.70710678f};
    static const dfqi_recipe psaq = {.beta1 = 0.5f,
                                     .beta2 = 0.9f,
                                     .warm_ups = 1,
                                     .one_offset = 1,
                                     .tv_diagonal = 1.0f,
                                     .tv_least = 2500.0f,
                                     .tv_most = 3000.0f};
    return kind == DFQI_SYNTH_PSE ? &psaq : &mimiq;
}

dfq_status dfqi_synth_check(dfq_context *ctx, const dfqi_synth_options *o)
{
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "kind", o->kind, DFQI_SYNTH_AUTO, DFQI_SYNTH_LEAVES));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "images", o->images, 1, IMAGES_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "batch", o->batch, 1, BATCH_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "iterations", o->iterations, 1, ITERATIONS_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "roll_first", o->roll_first, 0, ROLL_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "roll_second", o->roll_second, 0, ROLL_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "flip", o->flip, 0, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "jitter", o->jitter, 0, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "multi_scale", o->multi_scale, 0, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "synth", "distance", o->distance, DFQI_DISTANCE_SQUARE,
                              DFQI_DISTANCE_ABSOLUTE));
    DFQI_TRY(
        dfqi_check_real(ctx, "synth", "attention_weight", (double)o->attention_weight, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "synth", "class_weight", (double)o->class_weight, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "synth", "tv_weight", (double)o->tv_weight, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "synth", "learning_rate", (double)o->learning_rate, 0, 1e3));
    DFQI_TRY(
        dfqi_check_real(ctx, "synth", "end_learning_rate", (double)o->end_learning_rate, 0, 1e3));
    DFQI_TRY(dfqi_check_real(ctx, "synth", "weight_decay", (double)o->weight_decay, 0, 1));
    int first = o->kind != DFQI_SYNTH_PRIOR && o->attention_weight > 0;
    int weighed = !dfqi_synth_draws(o->kind) && !dfqi_synth_generates(o->kind);
    if (weighed && !first && o->class_weight == 0 && o->tv_weight == 0)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "synth: all weights of the objective are 0; set one above 0, or take kind "
                         "noise or leaves");
    return DFQ_OK;
}

void dfqi_synth_text(const dfqi_synth_options *o, char text[DFQI_OPTIONS_TEXT])
{
    dfqi_print(text, DFQI_OPTIONS_TEXT,
               "kind %d, images %" PRId64 ", batch %" PRId64 ", iterations %" PRId64
               ", seed %" PRIu64 ", weights %.9g %.9g %.9g, learning rate %.9g to %.9g, decay "
               "%.9g, roll %d %d, flip %d, jitter %d, "
               "multi-scale %d, distance %d",
               (int)o->kind, o->images, o->batch, o->iterations, o->seed,
               (double)o->attention_weight, (double)o->class_weight, (double)o->tv_weight,
               (double)o->learning_rate, (double)o->end_learning_rate, (double)o->weight_decay,
               (int)o->roll_first, (int)o->roll_second, (int)o->flip, (int)o->jitter,
               (int)o->multi_scale, (int)o->distance);
}
