/* The plan of a program: steps that go block by block together, and the place of every value. */
#include <stdint.h>

#include "graph/place.h"
#include "runtime/program_priv.h"

/* A block's largest value, so that what one step of a segment writes is still in a cache when the
 * next one reads it, and weights are not read too often. */
enum { BLOCK_FLOATS = 512 * 1024 };

/* Rows of a block of integer steps: weights are small there, and codes stay in L2. Two images of
 * 197 rows are three blocks, of whole tiles of 12 rows. */
enum { INTEGER_ROWS = 132 };

enum { POOL_SLICE, POOL_BLOCK };

static const size_t MOST = SIZE_MAX / 4;

static void find_segments(dfqi_program *p)
{
    for (int32_t i = 0; i < p->n_steps; i++) {
        const dfqi_rt_step *s = &p->steps[i];
        dfqi_rt_segment *next = p->segments + p->n_segments;
        if (p->n_segments > 0 && next[-1].units == s->units && !next[-1].divisible &&
            !s->divisible) {
            next[-1].count++;
            continue;
        }
        *next = (dfqi_rt_segment){.first = i,
                                  .count = 1,
                                  .units = s->units,
                                  .divisible = s->divisible,
                                  .parts = s->parts};
        p->n_segments++;
    }
}

/* -- groups ------------------------------------------------------------------------------------ */

/* Bytes of the constants of a step. */
static size_t weight_bytes(const dfqi_program *p, const dfqi_rt_step *s)
{
    if (s->integer && s->matrix.codes) return (size_t)dfqi_int_matrix_bytes(&s->matrix);
    size_t bytes = 0;
    for (int32_t k = 0; k < s->n_in; k++)
        if (s->in[k] >= 0 && p->values[s->in[k]].region == DFQI_RT_CONSTANT)
            bytes += p->values[s->in[k]].bytes;
    return bytes;
}

/* The segments between two heavy ones are a group, through which some images go together: their
 * values stay in cache. All images of a slice go through a heavy segment together: its weights,
 * which do not stay there, are read once. */
static void find_groups(dfqi_program *p)
{
    enum { HEAVY = 256 * 1024 };
    int32_t end = p->n_segments;
    for (int32_t i = 0; i < p->n_segments; i++) {
        dfqi_rt_segment *g = &p->segments[i];
        size_t bytes = 0;
        for (int32_t k = g->first; k < g->first + g->count; k++)
            bytes += weight_bytes(p, &p->steps[k]);
        g->heavy = g->units == 1 && bytes >= HEAVY && p->slice > p->near;
    }
    for (int32_t i = p->n_segments - 1; i >= 0; i--) {
        if (p->segments[i].heavy) end = i + 1;
        p->segments[i].group_end = end;
        if (p->segments[i].heavy) end = i;
    }
}

/* -- blocks ------------------------------------------------------------------------------------ */

/* Bytes that a value takes for one unit of a step. */
static size_t unit_bytes(const dfqi_program *p, int32_t value, int64_t units)
{
    const dfqi_rt_value *v = &p->values[value];
    return v->region == DFQI_RT_CONSTANT || v->region == DFQI_RT_NONE ? 0
                                                                      : v->bytes / (size_t)units;
}

/* Equal blocks whose largest value has at most BLOCK_FLOATS; single images as many as a slice
 * has. */
static void choose_block(const dfqi_program *p, dfqi_rt_segment *g)
{
    const int64_t images = g->heavy ? p->slice : p->near, total = images * g->units;
    size_t largest = sizeof(float);
    int32_t integer = 0;
    for (int32_t i = g->first; i < g->first + g->count; i++) {
        const dfqi_rt_step *s = &p->steps[i];
        integer |= s->integer;
        for (int32_t k = 0; k < s->n_in; k++)
            if (s->in[k] >= 0 && unit_bytes(p, s->in[k], g->units) > largest)
                largest = unit_bytes(p, s->in[k], g->units);
        for (int32_t k = 0; k < s->n_out; k++)
            if (s->out[k] >= 0 && unit_bytes(p, s->out[k], g->units) > largest)
                largest = unit_bytes(p, s->out[k], g->units);
    }
    int64_t limit = (int64_t)(BLOCK_FLOATS * sizeof(float) / largest);
    if (integer && limit > INTEGER_ROWS) limit = INTEGER_ROWS;
    if (g->units == 1) limit = images;
    if (limit < 1 || (g->divisible && !g->heavy)) limit = 1;
    const int64_t blocks = (total + limit - 1) / limit;
    g->block = (total + blocks - 1) / blocks;
}

/* -- lives ------------------------------------------------------------------------------------- */

typedef struct span {
    int32_t first_segment, last_segment, first_step, last_step;
} span;

static void widen(span *s, int32_t segment, int32_t step)
{
    if (s->first_segment < 0) {
        s->first_segment = segment;
        s->first_step = step;
    }
    s->last_segment = segment;
    s->last_step = step;
}

static void find_spans(const dfqi_program *p, span *spans)
{
    for (int32_t v = 0; v < p->n_values; v++) spans[v] = (span){-1, -1, -1, -1};
    for (int32_t g = 0; g < p->n_segments; g++)
        for (int32_t i = p->segments[g].first; i < p->segments[g].first + p->segments[g].count;
             i++) {
            const dfqi_rt_step *s = &p->steps[i];
            for (int32_t k = 0; k < s->n_in; k++)
                if (s->in[k] >= 0) widen(&spans[s->in[k]], g, i);
            for (int32_t k = 0; k < s->n_out; k++)
                if (s->out[k] >= 0) widen(&spans[s->out[k]], g, i);
        }
}

/* n times bytes in whole cache lines, MOST if that is too large. */
static size_t lines(size_t n, size_t bytes)
{
    size_t size;
    if (!dfqi_mul_size(n, bytes, &size) || size > MOST - DFQI_ALIGN) return MOST;
    return (size + DFQI_ALIGN - 1) / DFQI_ALIGN * DFQI_ALIGN;
}

/* While images go through a group one after the other, all values of the others that come from
 * elsewhere or go there live. */
static dfqi_life life_in_slice(dfqi_program *p, int32_t value, int32_t first, int32_t last)
{
    dfqi_rt_value *v = &p->values[value];
    const dfqi_rt_segment *g = p->segments;
    if (g[first].group_end == g[last].group_end && p->slice > p->near) {
        v->region = DFQI_RT_GROUP;
        return (dfqi_life){value, POOL_SLICE, first, last, lines((size_t)p->near, v->bytes), 0};
    }
    if (p->slice > p->near) {
        while (first > 0 && g[first - 1].group_end == g[first].group_end) first--;
        last = g[last].group_end - 1;
    }
    return (dfqi_life){value, POOL_SLICE, first, last, lines((size_t)p->slice, v->bytes), 0};
}

/* Values that one segment makes and reads go with the block, those of one group with its images,
 * others with the slice. */
static int32_t find_lives(dfqi_program *p, const span *spans, dfqi_life *lives)
{
    int32_t n = 0;
    for (int32_t i = 0; i < p->n_values; i++) {
        dfqi_rt_value *v = &p->values[i];
        const span *s = &spans[i];
        if (v->region != DFQI_RT_SLICE) continue;
        if (s->first_segment == s->last_segment) v->region = DFQI_RT_BLOCK;
        const dfqi_rt_segment *g = &p->segments[s->first_segment];
        dfqi_life *l = &lives[n++];
        if (v->region == DFQI_RT_BLOCK)
            *l = (dfqi_life){i,
                             POOL_BLOCK,
                             s->first_step,
                             s->last_step,
                             lines((size_t)g->block, v->bytes / (size_t)g->units),
                             0};
        else
            *l = life_in_slice(p, i, s->first_segment, s->last_segment);
    }
    return n;
}

static dfq_status place_outputs(dfqi_program *p)
{
    size_t end = 0;
    for (int32_t i = 0; i < p->n_values; i++) {
        dfqi_rt_value *v = &p->values[i];
        if (v->region != DFQI_RT_OUTPUT) continue;
        v->offset = end;
        end += lines((size_t)p->batch, v->bytes);
        if (end >= MOST) return DFQ_E_NOMEM;
    }
    p->output_bytes = end;
    return DFQ_OK;
}

static dfq_status place_values(dfqi_program *p, const span *spans, dfqi_life *lives,
                               int32_t *placed)
{
    const int32_t n = find_lives(p, spans, lives);
    dfqi_lives_sort(lives, n);
    p->slice_bytes = dfqi_lives_place(lives, n, POOL_SLICE, MOST, placed);
    p->block_bytes = dfqi_lives_place(lives, n, POOL_BLOCK, MOST, placed);
    for (int32_t i = 0; i < n; i++) p->values[lives[i].value].offset = lives[i].offset;
    for (int32_t i = 0; i < p->n_steps; i++) {
        const size_t scratch = lines(1, p->steps[i].scratch);
        if (scratch > p->scratch_bytes) p->scratch_bytes = scratch;
    }
    dfq_status status = place_outputs(p);
    if (status == DFQ_OK && p->slice_bytes < MOST && p->block_bytes < MOST &&
        p->scratch_bytes < MOST)
        return DFQ_OK;
    return dfqi_fail(p->ctx, DFQ_E_NOMEM,
                     "out of memory: a batch of %lld needs more than can be addressed",
                     (long long)p->batch);
}

dfq_status dfqi_rt_plan(dfqi_program *p)
{
    dfq_status status = DFQ_E_NOMEM;
    const size_t n = (size_t)p->n_values + 1;
    span *spans = dfqi_calloc(p->ctx, n, sizeof *spans);
    dfqi_life *lives = dfqi_calloc(p->ctx, n, sizeof *lives);
    int32_t *placed = dfqi_calloc(p->ctx, n, sizeof *placed);
    if (spans && lives && placed) {
        find_segments(p);
        find_groups(p);
        for (int32_t g = 0; g < p->n_segments; g++) choose_block(p, &p->segments[g]);
        find_spans(p, spans);
        status = place_values(p, spans, lives, placed);
    }
    dfqi_free(p->ctx, spans);
    dfqi_free(p->ctx, lives);
    dfqi_free(p->ctx, placed);
    return status;
}
