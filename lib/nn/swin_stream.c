/* What touches the residual streams of a Swin transformer. Each stage has one of its own. That of
 * stage 0 begins behind a LayerNorm, whose affine part lies on it, so it stays as it is; what its
 * blocks' heads do is turned all the same. */
#include "nn/swin.h"

/* Indices of a block's parameters. */
enum { NORM1 = 0, QKV = 3, PROJ = 5, NORM2 = 7, FC1 = 9, FC2 = 11 };

typedef struct list {
    dfqi_stream_part *out; /* NULL: they are counted */
    int32_t n;
} list;

static void add(list *l, dfqi_stream_part part)
{
    if (l->out) l->out[l->n] = part;
    l->n++;
}

/* Tokens that pad a map are zeros behind norm1: so it keeps what it adds, where there are any. */
static void add_block(list *l, const dfqi_arch *a, int32_t s, int32_t j, int64_t channels)
{
    const dfqi_windowing w = dfqi_swin_windows(a, s, j);
    const int32_t p = dfqi_swin_at(a, s, j);
    dfqi_stream_part part = {.stream = s, .channels = channels};
    const int32_t readers[2][2] = {{NORM1, QKV}, {NORM2, FC1}}, writers[2] = {PROJ, FC2};
    for (int k = 0; k < 2 && s > 0; k++) {
        part.role = DFQI_STREAM_READER;
        part.norm = p + readers[k][0];
        part.linear = p + readers[k][1];
        part.bare = k == 0 && dfqi_swin_window_pads(&w);
        add(l, part);
        part.role = DFQI_STREAM_WRITER;
        part.linear = p + writers[k];
        part.bare = 0;
        add(l, part);
    }
    add(l, (dfqi_stream_part){.role = DFQI_STREAM_HEADS,
                              .linear = p + QKV,
                              .projection = p + PROJ,
                              .heads = a->of.swin.heads[s]});
}

/* The merging in front of stage s > 0 reads four tokens of the stage before. */
static void add_merge(list *l, int32_t p, int32_t s, int64_t channels)
{
    if (s > 1)
        add(l, (dfqi_stream_part){.role = DFQI_STREAM_READER,
                                  .stream = s - 1,
                                  .channels = channels / 2,
                                  .repeats = 4,
                                  .bare = 1,
                                  .norm = p,
                                  .linear = p + 2});
    add(l, (dfqi_stream_part){.role = DFQI_STREAM_WRITER,
                              .stream = s,
                              .channels = channels,
                              .bare = 1,
                              .linear = p + 2});
}

int32_t dfqi_swin_stream(const dfqi_arch *a, dfqi_stream_part *out, int64_t *out_channels)
{
    const dfqi_swin_arch *w = &a->of.swin;
    list l = {.out = out};
    const int32_t last = w->stages - 1, tail = dfqi_swin_count(a) - DFQI_SWIN_TAIL;
    *out_channels = w->width << last;
    for (int32_t s = 0; s <= last; s++) {
        if (s > 0) add_merge(&l, dfqi_swin_at(a, s, -1), s, w->width << s);
        for (int32_t j = 0; j < w->depth[s]; j++) add_block(&l, a, s, j, w->width << s);
    }
    if (last > 0)
        add(&l, (dfqi_stream_part){.role = DFQI_STREAM_READER,
                                   .stream = last,
                                   .channels = w->width << last,
                                   .norm = tail,
                                   .linear = tail + 2});
    return l.n;
}
