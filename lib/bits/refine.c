/* Moves on measured divergence (refine.h). */
#include "bits/refine.h"

#include <math.h>

#include "base/progress.h"

typedef struct job {
    const dfqi_refine *r;
    dfq_context *ctx;
    const dfqi_bits *table;
    dfqi_pair *widths;
    uint8_t *tried; /* [2][n][n] side, more, less */
} job;

/* A move of one side: a bit more in row `up`, one less in row `down`. */
typedef struct move {
    int32_t side, up, down;
} move;

static int32_t *width_of(dfqi_pair *p, int32_t side)
{
    return side ? &p->a : &p->w;
}

static void apply(job *j, const move *m, int32_t by)
{
    *width_of(&j->widths[m->up], m->side) += by;
    *width_of(&j->widths[m->down], m->side) -= by;
}

/* What a row adds to the sum of which its side's mean is a part. */
static double size(const job *j, int32_t row, int32_t side, int32_t bits)
{
    const dfqi_bits_row *r = &j->table->rows[row];
    return side ? (double)r->macs * bits : (double)r->weights * dfqi_bits_of_weight(r, bits);
}

/* Sum of widths beyond what the mean allows; below 0: there is room. */
static double excess(const job *j, int32_t side)
{
    const dfqi_cost_limits *l = j->r->limits;
    double sum = 0, limit = side ? l->mean.act : l->mean.weight;
    if (!(limit > 0)) return -INFINITY;
    for (int32_t i = 0; i < j->table->n; i++) {
        const dfqi_bits_row *r = &j->table->rows[i];
        int32_t bits = *width_of(&j->widths[i], side);
        if (bits > 0)
            sum += size(j, i, side, bits) -
                   (double)(side ? r->macs : r->weights) * limit * (1 + 1e-12);
    }
    return sum;
}

static double change(const job *j, const move *m)
{
    const dfqi_damage *up = &j->r->s->damages[m->up], *down = &j->r->s->damages[m->down];
    const double *u = m->side ? up->a : up->w, *d = m->side ? down->a : down->w;
    int32_t more = *width_of(&j->widths[m->up], m->side) - DFQI_BITS_MIN;
    int32_t less = *width_of(&j->widths[m->down], m->side) - DFQI_BITS_MIN;
    return u[more + 1] - u[more] + d[less - 1] - d[less];
}

static uint8_t *mark(const job *j, const move *m)
{
    size_t n = (size_t)j->table->n;
    return &j->tried[((size_t)m->side * n + (size_t)m->up) * n + (size_t)m->down];
}

static bool possible(const job *j, const move *m, double over)
{
    int32_t up = *width_of(&j->widths[m->up], m->side);
    int32_t down = *width_of(&j->widths[m->down], m->side);
    int32_t most = j->r->c ? j->r->c->widest : DFQI_BITS_MAX;
    if (m->up == m->down || up == 0 || up >= most || down <= DFQI_BITS_MIN || *mark(j, m))
        return false;
    return over + size(j, m->up, m->side, up + 1) - size(j, m->up, m->side, up) <=
           size(j, m->down, m->side, down) - size(j, m->down, m->side, down - 1);
}

/* The move not yet tried of the least predicted divergence; false: none is left. */
static bool next(const job *j, move *out)
{
    const int32_t n = j->table->n;
    double best = INFINITY;
    for (int32_t side = 0; side < 2; side++) {
        const double over = excess(j, side);
        for (int32_t i = 0; i < n * n; i++) {
            const move m = {side, i / n, i % n};
            if (!possible(j, &m, over)) continue;
            double v = change(j, &m);
            if (v < best) best = v, *out = m;
        }
    }
    return best < INFINITY;
}

/* Costs of the widths, and whether the limits allow them. */
static dfq_status cost(const job *j, dfqi_chosen *chosen, bool *within)
{
    const dfqi_cost_limits *l = j->r->limits;
    *within = true;
    if (!j->r->c) return DFQ_OK;
    DFQI_TRY(dfqi_bits_exact(j->r->c, j->widths, chosen->config, &chosen->ms, &chosen->mj,
                             &chosen->fused));
    *within = !(l->ms > 0 && chosen->ms > l->ms) && !(l->mj > 0 && chosen->mj > l->mj) &&
              !(l->mw > 0 && 1000 * chosen->mj > l->mw * chosen->ms);
    return DFQ_OK;
}

/* Tries one move, which stays if it measures less than *kl. */
static dfq_status attempt(job *j, const move *m, dfqi_chosen *chosen, double *kl, bool *measured)
{
    dfqi_chosen moved = *chosen;
    bool within = false;
    double v = INFINITY;
    *mark(j, m) = 1;
    apply(j, m, 1);
    dfq_status status = cost(j, &moved, &within);
    *measured = within;
    if (status == DFQ_OK && within) status = dfqi_mixed_kl(&j->r->s->mixed, j->widths, NULL, &v);
    if (status == DFQ_OK && v < *kl) {
        *kl = v;
        *chosen = moved;
        chosen->proof.proved = false;
        return DFQ_OK;
    }
    apply(j, m, -1);
    return status;
}

static dfq_status run(job *j, dfqi_chosen *chosen, double kl[2])
{
    dfqi_stage stage = dfqi_stage_begin(j->ctx, "refine", 0, (uint64_t)j->r->trials);
    move m = {0};
    DFQI_TRY(dfqi_mixed_kl(&j->r->s->mixed, j->widths, NULL, &kl[0]));
    kl[1] = kl[0];
    for (int32_t done = 0; done < j->r->trials && next(j, &m);) {
        bool measured;
        DFQI_TRY(attempt(j, &m, chosen, &kl[1], &measured));
        done += measured;
        if (measured) DFQI_TRY(dfqi_stage_report(&stage, (uint64_t)done, kl[1]));
    }
    return DFQ_OK;
}

dfq_status dfqi_refine_run(const dfqi_refine *r, dfqi_pair *widths, dfqi_chosen *chosen,
                           double kl[2])
{
    size_t n = (size_t)r->s->n;
    job j = {.r = r, .ctx = r->s->mixed.ctx, .table = r->s->mixed.table, .widths = widths};
    j.tried = dfqi_calloc(j.ctx, 2 * n * n, 1);
    if (!j.tried) return DFQ_E_NOMEM;
    dfq_status status = run(&j, chosen, kl);
    dfqi_free(j.ctx, j.tried);
    return status;
}
