/* Image source with a fixed set: random order, augmentation, every k-th image held out.
 *
 * With augmentation SYNTHETIC the last quarter of a batch is new images of dead leaves: what the
 * student learns on images of one kind alone does not carry over to pictures. (ViT-Tiny, W4A4, KL
 * from the float network on 650 pictures, 80 steps: 0.40 on images of kind attention, 0.56 on dead
 * leaves, 0.37 on both.) */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"
#include "synth/leaves.h"
#include "tune/tune_priv.h"

enum { ORDER_STREAM = 8, LEAVES_STREAM = 11, HOLD_OUT = 8, LEAVES_SHARE = 4 };

/* A batch at least is held out, and as many are left: the batch is cut if there are few images. */
static dfq_status split_images(dfqi_tune *t)
{
    int64_t n = t->from_set.all.n, part = t->o.eval_every > 0 ? n / 2 : n;
    if (part < 1)
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: there is 1 image, must be 2 or more, since one is held out; give "
                         "more, or set eval_every to 0");
    if (n > INT32_MAX)
        return dfqi_fail(t->ctx, DFQ_E_INVALID, "tune: there are %lld images, must be at most %d",
                         (long long)n, INT32_MAX);
    if (t->o.batch > part) t->o.batch = part;
    if (t->o.eval_every > 0) {
        t->held = n / t->o.batch < HOLD_OUT ? n / t->o.batch : HOLD_OUT;
        t->n_held = n / t->held;
    }
    t->n_train = n - t->n_held;
    if (t->o.kappa_capped_steps == 0)
        t->o.kappa_capped_steps = (t->n_train + t->o.batch - 1) / t->o.batch;
    return DFQ_OK;
}

static dfq_status check(dfqi_tune *t)
{
    dfqi_set_state *s = &t->from_set;
    if (t->o.label_weight > 0 || t->o.range_steps > 0)
        return dfqi_fail(
            t->ctx, DFQ_E_INVALID,
            "tune: label_weight is %g and range_steps is %lld, must be 0 without a generator",
            (double)t->o.label_weight, (long long)t->o.range_steps);
    DFQI_TRY(dfqi_model_check_images(t->student, s->set ? &s->set->shape : s->images, 0));
    DFQI_TRY(dfqi_model_ready(t->student));
    s->epoch = -1;
    s->all = s->set ? s->set->images
                    : (dfqi_images){.n = s->images->dims[0],
                                    .pixels = t->pixels,
                                    .memory = dfqi_tensor_f32(s->images)};
    return split_images(t);
}

static void teacher(dfqi_tune *t, dfqi_id *params, dfqi_taps *out)
{
    dfqi_network_params(&t->teacher->net, t->g, 1, params);
    dfqi_network_forward(&t->teacher->net, t->g, params, t->x, out);
}

/* Never asked for: such jobs have no classes. */
static dfqi_id label_loss(dfqi_tune *t)
{
    (void)t;
    return DFQI_NONE;
}

static int64_t lay_out(dfqi_tune *t, float *base)
{
    int64_t batch = t->o.batch * t->pixels, piece = (batch + 15) / 16 * 16;
    if (base) {
        t->from_set.picked = base;
        t->from_set.batch = base + piece;
    }
    return 2 * piece;
}

/* Images of dead leaves in a batch. */
static int64_t count_leaves(const dfqi_tune *t)
{
    return t->o.augment == DFQ_AUGMENT_SYNTHETIC ? t->o.batch / LEAVES_SHARE : 0;
}

static size_t leaves_floats(const dfqi_tune *t)
{
    int64_t scratch = dfqi_leaves_scratch(t->student->net.arch.image) * t->ctx->threads;
    return count_leaves(t) > 0 ? (size_t)scratch : 0;
}

static dfq_status start(dfqi_tune *t)
{
    dfqi_set_state *s = &t->from_set;
    const dfqi_arch *a = &t->student->net.arch;
    s->order = dfqi_calloc(t->ctx, (size_t)t->n_train, sizeof *s->order);
    if (!s->order) return DFQ_E_NOMEM;
    if (count_leaves(t) > 0 && !(s->leaves = dfqi_alloc(t->ctx, leaves_floats(t) * sizeof(float))))
        return DFQ_E_NOMEM;
    DFQI_TRY(dfqi_augment_new(t->ctx, a->image, a->mean, a->std, &s->augment));
    dfqi_exec_bind(t->e, t->x, s->batch);
    return DFQ_OK;
}

static void stop(dfqi_tune *t)
{
    dfqi_free(t->ctx, t->from_set.order);
    dfqi_free(t->ctx, t->from_set.leaves);
    t->from_set.order = NULL;
    t->from_set.leaves = NULL;
    dfqi_augment_fini(&t->from_set.augment);
}

static void draw_leaves(dfqi_tune *t)
{
    dfqi_set_state *s = &t->from_set;
    int64_t n = count_leaves(t), first = t->o.batch - n;
    uint64_t at = (uint64_t)(t->done * t->o.batch);
    dfqi_rng r = dfqi_rng_make(t->o.seed, (uint64_t)LEAVES_STREAM << 60 | at);
    if (n > 0)
        dfqi_leaves_draw(t->ctx, &t->student->net.arch, r, n, s->leaves,
                         s->picked + first * t->pixels);
}

/* Every image once in each epoch, but for those whose place dead leaves take; a batch may lie
 * across two epochs. */
static dfq_status next(dfqi_tune *t)
{
    dfqi_set_state *s = &t->from_set;
    dfqi_draw draw;
    const float *x;
    for (int64_t i = 0; i < t->o.batch; i++) {
        int64_t at = t->done * t->o.batch + i, epoch = at / t->n_train;
        if (epoch != s->epoch) {
            dfqi_rng r = dfqi_rng_make(t->o.seed, (uint64_t)ORDER_STREAM << 60 | (uint64_t)epoch);
            dfqi_rng_permute(&r, s->order, (uint32_t)t->n_train);
            s->epoch = epoch;
        }
        int64_t image = dfqi_tune_train_image(t, s->order[at % t->n_train]);
        DFQI_TRY(dfqi_images_at(&s->all, image, 1, &x));
        memcpy(s->picked + i * t->pixels, x, (size_t)t->pixels * sizeof *x);
    }
    draw_leaves(t);
    dfqi_augment_draw((dfqi_augment_kind)t->o.augment, t->o.seed, t->done,
                      t->student->net.arch.image, &draw);
    dfqi_augment_apply(&s->augment, &draw, t->o.batch, s->picked, s->batch);
    return DFQ_OK;
}

static bool is_idle(const dfqi_tune *t)
{
    (void)t;
    return false;
}

static dfq_status held_at(dfqi_tune *t, int64_t i, const float **out)
{
    return dfqi_images_at(&t->from_set.all, dfqi_tune_held_image(t, i), 1, out);
}

/* A hash of all images, as that of a tensor which has them. */
static dfq_status text(dfqi_tune *t, char *out, size_t size)
{
    dfqi_set_state *s = &t->from_set;
    const dfqi_arch *a = &t->student->net.arch;
    int64_t dims[4] = {s->all.n, a->channels, a->image.height, a->image.width};
    uint64_t hash = dfqi_hash(DFQI_HASH_START, dims, sizeof dims);
    const float *x;
    for (int64_t i = 0; i < s->all.n && !s->hashed; i++) {
        DFQI_TRY(dfqi_images_at(&s->all, i, 1, &x));
        hash = dfqi_hash(hash, x, (size_t)t->pixels * sizeof *x);
    }
    if (!s->hashed) s->hash = hash;
    s->hashed = 1;
    snprintf(out, size, "%016" PRIx64, s->hash);
    return DFQ_OK;
}

static int32_t count_arrays(const dfqi_tune *t)
{
    (void)t;
    return 0;
}

static dfqi_generator_array array_at(const dfqi_tune *t, int32_t i)
{
    (void)t;
    (void)i;
    return (dfqi_generator_array){.count = 0};
}

static void resume(dfqi_tune *t)
{
    (void)t; /* the order of an epoch follows from its number */
}

static dfq_status cost(const dfqi_tune *t, double *bytes, double *macs)
{
    (void)macs;
    *bytes += (double)t->n_train * (double)sizeof *t->from_set.order +
              (double)leaves_floats(t) * (double)sizeof(float) +
              dfqi_augment_bytes(t->ctx, t->student->net.arch.image);
    return DFQ_OK;
}

static void fini(dfqi_tune *t)
{
    dfqi_tensor_release(t->from_set.images);
    dfqi_imageset_release(t->from_set.set);
}

const dfqi_image_source dfqi_source_set = {.check = check,
                                           .teacher = teacher,
                                           .label_loss = label_loss,
                                           .lay_out = lay_out,
                                           .start = start,
                                           .stop = stop,
                                           .next = next,
                                           .is_idle = is_idle,
                                           .held_at = held_at,
                                           .text = text,
                                           .count_arrays = count_arrays,
                                           .array_at = array_at,
                                           .resume = resume,
                                           .cost = cost,
                                           .fini = fini};
