/* Tables of what widths cost (costs.h). */
#include "bits/costs_priv.h"

#include <string.h>

#include "quant/layers.h"

typedef dfqi_bits_shapes shapes;
typedef dfqi_bits_registry registry;
typedef dfqi_bits_change change;

/* The plan while it is made. */
typedef struct job {
    dfqi_bits_costs *c;
    struct dfqi_bits_plan *p;
} job;

/* -- shapes ------------------------------------------------------------------------------------ */

/* A copy of the sites with these widths, without values. */
static dfq_status copy_scheme(const dfqi_bits_costs *c, const dfqi_pair *widths, dfqi_scheme *out)
{
    char layer[80];
    *out = *c->scheme;
    out->sites = dfqi_calloc(c->ctx, (size_t)out->n_sites, sizeof *out->sites);
    if (!out->sites) return DFQ_E_NOMEM;
    memcpy(out->sites, c->scheme->sites, (size_t)out->n_sites * sizeof *out->sites);
    for (int32_t i = 0; i < out->n_sites; i++) {
        dfqi_site_layer(&out->sites[i], layer);
        int32_t row = dfqi_bits_find(c->table, layer);
        if (row < 0) continue;
        out->sites[i].bits = dfqi_site_is_weight(&out->sites[i]) ? widths[row].w : widths[row].a;
    }
    dfqi_scheme_size_groups(&c->net->net, out);
    return DFQ_OK;
}

static dfq_status layers_with(const dfqi_bits_costs *c, const dfqi_pair *widths,
                              dfqi_layer_list *out)
{
    dfqi_scheme scheme;
    DFQI_TRY(copy_scheme(c, widths, &scheme));
    const dfqi_model m = {.ctx = c->ctx, .net = c->net->net, .quantized = 1, .scheme = scheme};
    dfq_status status = dfqi_layers_of(&m, (dfqi_layer_bits){0}, out);
    dfqi_free(c->ctx, scheme.sites);
    return status;
}

static void shapes_fini(dfq_context *ctx, shapes *s)
{
    dfqi_free(ctx, s->of);
    dfqi_free(ctx, s->scores);
}

static dfq_status shapes_with(const dfqi_bits_costs *c, const dfqi_pair *widths, shapes *out)
{
    dfqi_layer_list list;
    DFQI_TRY(layers_with(c, widths, &list));
    *out = (shapes){.n = list.n_layers};
    out->of = dfqi_calloc(c->ctx, (size_t)list.n_layers, sizeof *out->of);
    out->scores = dfqi_calloc(c->ctx, (size_t)list.n_layers, sizeof *out->scores);
    const bool room = out->of && out->scores;
    for (int32_t i = 0; room && i < list.n_layers; i++) {
        out->of[i] = list.shapes[list.layers[i].shape];
        out->scores[i] = list.layers[i].scores;
    }
    dfqi_layer_list_fini(&list);
    return room ? DFQ_OK : DFQ_E_NOMEM;
}

static dfq_status enter(registry *r, const dfqi_layer *l, int32_t *out)
{
    for (int32_t i = 0; i < r->n; i++)
        if (memcmp(&r->all[i], l, sizeof *l) == 0) {
            *out = i;
            return DFQ_OK;
        }
    if (r->n == r->room) {
        int32_t room = r->room ? 2 * r->room : 64;
        void *more = dfqi_realloc(r->ctx, r->all, (size_t)room * sizeof *r->all);
        if (!more) return DFQ_E_NOMEM;
        r->all = more;
        r->room = room;
    }
    r->all[r->n] = *l;
    *out = r->n++;
    return DFQ_OK;
}

static dfq_status enter_attention(registry *r, const dfqi_layer *scores, const dfqi_layer *values,
                                  int32_t *out)
{
    dfqi_attention_pair a;
    DFQI_TRY(enter(r, scores, &a.scores));
    DFQI_TRY(enter(r, values, &a.values));
    for (int32_t i = 0; i < r->n_attentions; i++)
        if (r->attentions[i].scores == a.scores && r->attentions[i].values == a.values) {
            *out = i;
            return DFQ_OK;
        }
    if (r->n_attentions == r->attentions_room) {
        int32_t room = r->attentions_room ? 2 * r->attentions_room : 64;
        void *more = dfqi_realloc(r->ctx, r->attentions, (size_t)room * sizeof *r->attentions);
        if (!more) return DFQ_E_NOMEM;
        r->attentions = more;
        r->attentions_room = room;
    }
    r->attentions[r->n_attentions] = a;
    *out = r->n_attentions++;
    return DFQ_OK;
}

static dfq_status note(job *j, change c)
{
    if (j->p->n_changes == j->p->room) {
        int32_t room = j->p->room ? 2 * j->p->room : 1024;
        void *more = dfqi_realloc(j->c->ctx, j->p->changes, (size_t)room * sizeof *j->p->changes);
        if (!more) return DFQ_E_NOMEM;
        j->p->changes = more;
        j->p->room = room;
    }
    j->p->changes[j->p->n_changes++] = c;
    return DFQ_OK;
}

static void take_weight(const dfqi_layer *from, dfqi_layer *l)
{
    l->bits[DFQI_W] = from->bits[DFQI_W];
    l->grid[DFQI_W] = from->grid[DFQI_W];
    l->weight_group = from->weight_group;
}

/* Layer i with both widths: the weight's change in one list, the activations' in another. */
static dfqi_layer changed(const job *j, int32_t i, const shapes *by_w, const shapes *by_a)
{
    dfqi_layer l = j->p->base.of[i];
    if (by_a) l = by_a->of[i];
    if (by_w && by_w->of[i].bits[DFQI_W] != j->p->base.of[i].bits[DFQI_W])
        take_weight(&by_w->of[i], &l);
    return l;
}

static dfq_status note_cell(job *j, int32_t cell, const shapes *by_w, const shapes *by_a)
{
    for (int32_t i = 0; i < j->p->base.n; i++) {
        const dfqi_layer l = changed(j, i, by_w, by_a);
        change c = {.cell = cell, .layer = i};
        if (memcmp(&l, &j->p->base.of[i], sizeof l) != 0) {
            DFQI_TRY(enter(&j->p->shapes, &l, &c.to));
            DFQI_TRY(note(j, c));
        }
        if (j->p->base.scores[i] < 0) continue;
        const dfqi_layer scores = changed(j, j->p->base.scores[i], by_w, by_a);
        c.attention = true;
        DFQI_TRY(enter_attention(&j->p->shapes, &scores, &l, &c.to));
        if (c.to != j->p->base_attention[i]) DFQI_TRY(note(j, c));
    }
    return DFQ_OK;
}

static dfq_status note_base(job *j)
{
    const shapes *b = &j->p->base;
    for (int32_t i = 0; i < b->n; i++) {
        j->p->base_attention[i] = -1;
        DFQI_TRY(enter(&j->p->shapes, &b->of[i], &j->p->base_shape[i]));
        if (b->scores[i] >= 0)
            DFQI_TRY(enter_attention(&j->p->shapes, &b->of[b->scores[i]], &b->of[i],
                                     &j->p->base_attention[i]));
    }
    return DFQ_OK;
}

static dfq_status note_row(job *j, int32_t row, dfqi_pair *widths)
{
    const dfqi_bits_costs *c = j->c;
    shapes by[2][DFQI_BITS_WIDTHS] = {{{0}}};
    dfq_status status = DFQ_OK;
    for (int32_t side = 0; side < 2; side++) {
        int32_t *place = side ? &widths[row].a : &widths[row].w, before = *place;
        for (int32_t b = 0; before && status == DFQ_OK && b <= c->widest - DFQI_BITS_MIN; b++) {
            *place = DFQI_BITS_MIN + b;
            status = shapes_with(c, widths, &by[side][b]);
        }
        *place = before;
    }
    for (int32_t k = c->first[row]; status == DFQ_OK && k < c->first[row + 1]; k++) {
        dfqi_pair p = c->cells[k].pair;
        status = note_cell(j, k, p.w ? &by[0][p.w - DFQI_BITS_MIN] : NULL,
                           p.a ? &by[1][p.a - DFQI_BITS_MIN] : NULL);
    }
    for (int32_t b = 0; b < DFQI_BITS_WIDTHS; b++) {
        shapes_fini(c->ctx, &by[0][b]);
        shapes_fini(c->ctx, &by[1][b]);
    }
    return status;
}

/* -- cells ------------------------------------------------------------------------------------- */

static dfq_status make_cells(dfqi_bits_costs *c)
{
    const dfqi_bits *t = c->table;
    enum { MOST = DFQI_BITS_WIDTHS * DFQI_BITS_WIDTHS };
    c->first = dfqi_calloc(c->ctx, (size_t)t->n + 1, sizeof *c->first);
    c->cells = dfqi_calloc(c->ctx, (size_t)t->n * MOST, sizeof *c->cells);
    if (!c->first || !c->cells) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < t->n; i++) {
        int32_t w = t->rows[i].has_weight ? DFQI_BITS_MIN : 0;
        for (; w <= (t->rows[i].has_weight ? c->widest : 0); w++) {
            int32_t a = t->rows[i].has_act ? DFQI_BITS_MIN : 0;
            for (; a <= (t->rows[i].has_act ? c->widest : 0); a++)
                c->cells[c->n_cells++] = (dfqi_bits_cell){i, {w, a}};
        }
        c->first[i + 1] = c->n_cells;
    }
    return DFQ_OK;
}

/* -- tables ------------------------------------------------------------------------------------ */

static dfq_status allocate(dfqi_bits_costs *c)
{
    size_t cells, configs = (size_t)c->n_configs;
    if (!dfqi_mul_size((size_t)c->n_cells, configs, &cells)) return DFQ_E_NOMEM;
    c->filled = dfqi_calloc(c->ctx, configs, sizeof *c->filled);
    c->ms = dfqi_calloc(c->ctx, cells, sizeof *c->ms);
    c->mj = dfqi_calloc(c->ctx, cells, sizeof *c->mj);
    c->base_ms = dfqi_calloc(c->ctx, configs, sizeof *c->base_ms);
    c->base_mj = dfqi_calloc(c->ctx, configs, sizeof *c->base_mj);
    c->base_mm2 = dfqi_calloc(c->ctx, configs, sizeof *c->base_mm2);
    c->least_ms = dfqi_calloc(c->ctx, configs, sizeof *c->least_ms);
    c->least_mj = dfqi_calloc(c->ctx, configs, sizeof *c->least_mj);
    bool all = c->filled && c->ms && c->mj && c->base_ms && c->base_mj && c->base_mm2 &&
               c->least_ms && c->least_mj;
    return all ? DFQ_OK : DFQ_E_NOMEM;
}

static dfq_status plan(job *j, dfqi_pair *widths)
{
    const dfqi_bits_costs *c = j->c;
    struct dfqi_bits_plan *p = j->p;
    for (int32_t i = 0; i < c->table->n; i++)
        widths[i] = (dfqi_pair){c->table->rows[i].has_weight ? c->widest : 0,
                                c->table->rows[i].has_act ? c->widest : 0};
    DFQI_TRY(shapes_with(c, widths, &p->base));
    p->base_shape = dfqi_calloc(c->ctx, (size_t)p->base.n, sizeof *p->base_shape);
    p->base_attention = dfqi_calloc(c->ctx, (size_t)p->base.n, sizeof *p->base_attention);
    if (!p->base_shape || !p->base_attention) return DFQ_E_NOMEM;
    DFQI_TRY(note_base(j));
    for (int32_t i = 0; i < c->table->n; i++) DFQI_TRY(note_row(j, i, widths));
    return DFQ_OK;
}

static dfq_status open_costs(dfqi_bits_costs *c, dfqi_pair *widths)
{
    c->plan = dfqi_calloc(c->ctx, 1, sizeof *c->plan);
    if (!c->plan || !widths) return DFQ_E_NOMEM;
    c->plan->shapes.ctx = c->ctx;
    DFQI_TRY(make_cells(c));
    DFQI_TRY(plan(&(job){c, c->plan}, widths));
    DFQI_TRY(allocate(c));
    dfqi_bits_bound(c);
    return DFQ_OK;
}

dfq_status dfqi_bits_costs_new(const dfqi_model *net, const dfqi_scheme *scheme,
                               const dfqi_bits *table, const dfqi_accel_space *space,
                               dfqi_bits_costs *out)
{
    dfq_context *ctx = net->ctx;
    dfqi_bits_costs c = {.ctx = ctx,
                         .net = net,
                         .scheme = scheme,
                         .table = table,
                         .space = *space,
                         .widest =
                             space->word_bits < DFQI_BITS_MAX ? space->word_bits : DFQI_BITS_MAX,
                         .n_configs = dfqi_accel_space_count(space)};
    dfqi_pair *widths = dfqi_calloc(ctx, (size_t)table->n, sizeof *widths);
    dfq_status status = open_costs(&c, widths);
    dfqi_free(ctx, widths);
    if (status == DFQ_OK)
        *out = c;
    else
        dfqi_bits_costs_fini(&c);
    return status;
}

static void plan_fini(dfq_context *ctx, struct dfqi_bits_plan *p)
{
    if (!p) return;
    dfqi_free(ctx, p->changes);
    shapes_fini(ctx, &p->base);
    dfqi_free(ctx, p->base_shape);
    dfqi_free(ctx, p->base_attention);
    dfqi_free(ctx, p->shapes.all);
    dfqi_free(ctx, p->shapes.attentions);
    dfqi_free(ctx, p);
}

void dfqi_bits_costs_fini(dfqi_bits_costs *c)
{
    if (!c->ctx) return;
    plan_fini(c->ctx, c->plan);
    dfqi_free(c->ctx, c->first);
    dfqi_free(c->ctx, c->cells);
    dfqi_free(c->ctx, c->filled);
    dfqi_free(c->ctx, c->ms);
    dfqi_free(c->ctx, c->mj);
    dfqi_free(c->ctx, c->base_ms);
    dfqi_free(c->ctx, c->base_mj);
    dfqi_free(c->ctx, c->base_mm2);
    dfqi_free(c->ctx, c->least_ms);
    dfqi_free(c->ctx, c->least_mj);
    memset(c, 0, sizeof *c);
}

dfq_status dfqi_bits_exact(const dfqi_bits_costs *c, const dfqi_pair *widths, int64_t config,
                           double *ms, double *mj, int32_t *fused)
{
    dfqi_accel_config t;
    dfqi_scheme scheme;
    dfqi_report report;
    DFQI_TRY(copy_scheme(c, widths, &scheme));
    const dfqi_model m = {.ctx = c->ctx, .net = c->net->net, .quantized = 1, .scheme = scheme};
    dfqi_accel_space_config(&c->space, config, &t);
    dfq_status status = dfqi_report_new(&m, &t, (dfqi_layer_bits){0}, &report);
    dfqi_free(c->ctx, scheme.sites);
    if (status != DFQ_OK) return status;
    *ms = dfqi_cycles_ms(report.total.cycles, t.clock_mhz);
    *mj = report.total.total_pj * 1e-9;
    *fused = dfqi_report_count_fused(&report);
    dfqi_report_fini(&report);
    return DFQ_OK;
}
