/* Rule "project" (docs/METHODS.md, Projection). The accelerator is one and the exact solver chooses
 * it; on it the mixture of every step is the one nearest, in relative entropy, to softmax(-beta v)
 * that meets all limits, v being the averaged gradient of the loss. beta grows, so that paths are
 * looked at first and decided in the end. Late in the search, choices that the likeliest choices
 * cannot pay for are barred one by one.
 *
 * State: x has the logits, with `barred` for barred choices; v the averaged gradient; delta the
 * prices of the limits; square the accelerator (-1: none) and the step of the last bar. */
#include <math.h>
#include <string.h>

#include "explore/solver/knapsack_priv.h"
#include "explore/solver/project_priv.h"
#include "explore/solver/solver_priv.h"

enum { ACCELERATOR, LAST_BAR }; /* of s->square */
enum { EVERY = 50, PAUSE = 3 };

static const double first_beta = 0.2, last_beta = 40, decay = 0.95;
static const double late = 0.6; /* the share of steps after which choices are barred */
static const double certain = 0.95, likely = 0.02;
static const double barred = -1e4, lowest = -5e3, other = -60; /* logits */

void dfqi_project_reset(dfqi_solver *s)
{
    s->square[ACCELERATOR] = -1;
    s->square[LAST_BAR] = -PAUSE;
    memset(s->delta, 0, sizeof s->delta);
}

static int32_t config_of(const dfqi_solver *s)
{
    return (int32_t)s->square[ACCELERATOR];
}

bool dfqi_project_has_accelerator(const dfqi_solver *s)
{
    return config_of(s) >= 0;
}

bool dfqi_project_is_state(const dfqi_solver *s, const double square[DFQI_BLOCKS])
{
    double config = square[ACCELERATOR], bar = square[LAST_BAR];
    return config >= -1 && config < (double)s->problem->space.configs && config == floor(config) &&
           bar >= -PAUSE && bar <= (double)dfqi_solver_last(s->o.steps) && bar == floor(bar);
}

void dfqi_project_costs(dfqi_solver *s)
{
    dfqi_additive_costs_on(&s->problem->tables, config_of(s), s->p, s->costs);
}

/* -- the accelerator --------------------------------------------------------------------------- */

/* The accelerator of the best choices within the limits, the loss being the sum of s->g. */
static dfq_status ask_solver(dfqi_solver *s, dfqi_optimum *o)
{
    dfqi_problem linear = *s->problem; /* borrows all that it points to */
    linear.given.loss_table = s->g;
    for (int32_t j = 0; j < linear.n_limits; j++) linear.limit[j] = dfqi_solver_limit(s, j);
    return dfqi_problem_optimum_below(&linear, -1, &(dfqi_cutoff){INFINITY, DFQI_NODES_FEW},
                                      s->likeliest, o);
}

/* The accelerator on which the mixture exceeds the limits least. */
static int32_t least_excess(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    double least = INFINITY, costs[DFQ_METRICS_MAX];
    int32_t best = 0;
    for (int32_t a = 0; a < p->space.configs; a++) {
        double most = 0;
        dfqi_additive_costs_on(&p->tables, a, s->p, costs);
        for (int32_t j = 0; j < p->n_limits; j++)
            most = fmax(most, costs[p->metric[j]] / dfqi_solver_limit(s, j));
        if (most < least) least = most, best = a;
    }
    return best;
}

static dfq_status choose_accelerator(dfqi_solver *s)
{
    const dfqi_domain *space = &s->problem->space;
    int64_t every = s->o.snapshot_every > 0 ? s->o.snapshot_every : EVERY;
    bool learned = s->problem->given.loss_table == NULL;
    if (config_of(s) >= 0 && !(learned && s->done % every == 0)) return DFQ_OK;
    dfqi_optimum o;
    DFQI_TRY(ask_solver(s, &o));
    int32_t config = o.found ? dfqi_domain_config(space, s->likeliest) : least_excess(s);
    if (config == config_of(s)) return DFQ_OK;
    s->square[ACCELERATOR] = config;
    for (int32_t i = 0; i < space->cells; i++) s->x[i] = fmax(s->x[i], lowest);
    return DFQ_OK;
}

/* -- the mixture ------------------------------------------------------------------------------- */

/* s->v follows the gradient to p in s->g, without the mean of each cell; then s->g is the average
 * without its bias towards 0. */
static void average(dfqi_solver *s)
{
    const dfqi_domain *space = &s->problem->space;
    double bias = 1 - pow(decay, (double)s->done + 1);
    for (int32_t g = 0; g < space->n_groups; g++) {
        double mean = 0;
        for (int32_t i = space->first[g]; i < space->first[g + 1] && i < space->cells; i++)
            mean += s->g[i] / space->choices[g];
        for (int32_t i = space->first[g]; i < space->first[g + 1]; i++) {
            s->v[i] = decay * s->v[i] + (1 - decay) * (s->g[i] - mean);
            s->g[i] = s->v[i] / bias;
        }
    }
}

/* Whether a choice is not barred; after want(). */
static bool is_open(const dfqi_solver *s, int32_t i)
{
    return s->z[i] > -INFINITY;
}

/* The logits of the cells before the projection. */
static void want(dfqi_solver *s, double share)
{
    int32_t cells = s->problem->space.cells;
    double beta = first_beta * pow(last_beta / first_beta, share), square = 0;
    for (int32_t i = 0; i < cells; i++) square += s->g[i] * s->g[i] / cells;
    double scale = square > 0 ? beta / sqrt(square) : 0;
    for (int32_t i = 0; i < cells; i++) s->z[i] = s->x[i] == barred ? -INFINITY : -scale * s->g[i];
}

/* The costs of the cells' choices on the accelerator, as shares of the limits, in s->rows. */
static dfqi_projection load(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    const dfqi_domain *space = &p->space;
    dfqi_projection q = {.n_groups = space->n_groups - space->n_hw_params,
                         .first = space->first,
                         .z = s->z,
                         .n_limits = p->n_limits};
    for (int32_t j = 0; j < p->n_limits; j++) {
        double *row = s->rows + j * s->length, limit = dfqi_solver_limit(s, j);
        double base = dfqi_additive_column(&p->tables, p->metric[j], config_of(s), row);
        for (int32_t i = 0; i < space->cells; i++) row[i] /= limit;
        q.cost[j] = row;
        q.room[j] = 1 - base / limit;
    }
    return q;
}

/* x: the logits of s->p. Those of a cell are counted from its largest. */
static void set_logits(dfqi_solver *s, const dfqi_projection *q)
{
    const dfqi_domain *space = &s->problem->space;
    for (int32_t g = 0; g < q->n_groups; g++) {
        double most = -INFINITY;
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++) {
            bool open = is_open(s, i);
            s->x[i] = open ? s->z[i] : barred;
            for (int32_t j = 0; j < q->n_limits && open; j++)
                s->x[i] -= s->delta[j] * q->cost[j][i];
            if (open) most = fmax(most, s->x[i]);
        }
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++)
            if (is_open(s, i)) s->x[i] = fmax(s->x[i] - most, lowest);
    }
    dfqi_domain_set_config(space, config_of(s), s->likeliest);
    for (int32_t g = q->n_groups; g < space->n_groups; g++)
        for (int32_t k = 0; k < space->choices[g]; k++)
            s->x[space->first[g] + k] = k == s->likeliest[g] ? 0 : other;
}

/* -- bars -------------------------------------------------------------------------------------- */

/* Of the likeliest choices the one that exceeds the mean of its cell most, in the limits that are
 * exceeded; -1: none does. */
static int32_t dearest(const dfqi_solver *s, const dfqi_projection *q, const double *over)
{
    double most = 0;
    int32_t at = -1;
    for (int32_t g = 0; g < q->n_groups; g++) {
        int32_t open = 0, y = q->first[g] + s->likeliest[g];
        double excess = 0;
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++) open += is_open(s, i);
        for (int32_t j = 0; j < q->n_limits; j++) {
            if (!(over[j] > 0)) continue;
            excess += q->cost[j][y];
            for (int32_t i = q->first[g]; i < q->first[g + 1]; i++)
                excess -= s->p[i] * q->cost[j][i];
        }
        if (open > 1 && excess > most) most = excess, at = y;
    }
    return at;
}

/* The likeliest choice, in a cell that is undecided, whose swap alone exceeds a limit; -1: none. */
static int32_t tempting(const dfqi_solver *s, const dfqi_projection *q, const double *over)
{
    double most = likely;
    int32_t at = -1;
    for (int32_t g = 0; g < q->n_groups; g++) {
        int32_t y = q->first[g] + s->likeliest[g];
        for (int32_t i = q->first[g]; i < q->first[g + 1] && s->p[y] < certain; i++) {
            bool breaks = false;
            for (int32_t j = 0; j < q->n_limits; j++)
                breaks = breaks || over[j] + q->cost[j][i] - q->cost[j][y] > 0;
            if (i == y || !is_open(s, i) || !breaks || s->p[i] < most) continue;
            if (at >= 0 && s->p[i] <= s->p[at]) continue;
            most = s->p[i];
            at = i;
        }
    }
    return at;
}

/* Bars one choice; false: none has to be. */
static bool bar(dfqi_solver *s, const dfqi_projection *q)
{
    double over[DFQ_METRICS_MAX];
    bool exceeded = false;
    dfqi_domain_argmax(&s->problem->space, s->p, s->likeliest);
    for (int32_t j = 0; j < q->n_limits; j++) {
        over[j] = -q->room[j];
        for (int32_t g = 0; g < q->n_groups; g++)
            over[j] += q->cost[j][q->first[g] + s->likeliest[g]];
        exceeded = exceeded || over[j] > 0;
    }
    int32_t i = exceeded ? dearest(s, q, over) : tempting(s, q, over);
    if (i < 0) return false;
    s->z[i] = -INFINITY;
    s->square[LAST_BAR] = (double)s->done;
    return true;
}

dfq_status dfqi_project_move(dfqi_solver *s)
{
    double share = fmin((double)(s->done + 1) / (double)s->o.steps, 1);
    bool may_bar = share >= late && (double)s->done >= s->square[LAST_BAR] + PAUSE;
    average(s);
    DFQI_TRY(choose_accelerator(s));
    want(s, share);
    dfqi_projection q = load(s);
    dfqi_project(&q, s->delta, s->p);
    if (may_bar && bar(s, &q)) dfqi_project(&q, s->delta, s->p);
    set_logits(s, &q);
    return DFQ_OK;
}
