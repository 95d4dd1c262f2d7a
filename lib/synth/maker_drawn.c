/* Image maker without a network: a batch is the noise that the others begin with, clamped, or dead
 * leaves. */
#include <math.h>

#include "synth/synth_priv.h"

static void plan(dfqi_synth *s)
{
    if (s->o.batch > s->o.images) s->o.batch = s->o.images;
    s->per_batch = 1;
}

static dfq_status build(dfqi_synth *s)
{
    dfqi_pixels_set_up(s, 0);
    return DFQ_OK;
}

static int64_t lay_out(dfqi_synth *s, float *base)
{
    const dfqi_piece pieces[] = {{&s->by_pixels.scales, dfqi_draw_scratch(s)}};
    return dfqi_pieces_lay_out(1, pieces, base);
}

static dfq_status start(dfqi_synth *s)
{
    (void)s;
    return DFQ_OK;
}

static void stop(dfqi_synth *s)
{
    (void)s;
}

static dfq_status step(dfqi_synth *s)
{
    float *losses = dfqi_synth_current_losses(s);
    for (int i = 0; i < DFQI_SYNTH_LOSSES; i++) losses[i] = NAN;
    dfqi_draw_images(s, s->at, s->attempt, s->by_pixels.scales, s->x);
    dfqi_draw_labels(s, s->at, s->attempt, s->labels_f);
    (void)dfqi_pixels_clamp(s);
    return dfqi_synth_finish_batch(s);
}

static void list(const dfqi_synth *s, int64_t iteration, dfqi_arrays *a)
{
    (void)s;
    (void)iteration;
    (void)a;
}

static void resume(dfqi_synth *s)
{
    (void)s; /* every batch is drawn by its number */
}

static dfq_status cost(const dfqi_synth *s, double *bytes, double *macs)
{
    (void)s;
    *bytes = *macs = 0;
    return DFQ_OK;
}

static void fini(dfqi_synth *s)
{
    (void)s;
}

const dfqi_image_maker dfqi_maker_drawn = {.plan = plan,
                                           .build = build,
                                           .lay_out = lay_out,
                                           .start = start,
                                           .stop = stop,
                                           .step = step,
                                           .list = list,
                                           .resume = resume,
                                           .cost = cost,
                                           .fini = fini};
