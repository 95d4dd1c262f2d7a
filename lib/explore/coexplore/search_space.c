/* Cost tables of a search space. Equal layers are costed once. The cost of a choice is the sum over
 * the layers that it adds to the graph of a path. */
#include "explore/coexplore/search_space.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { LATENCY, ENERGY, AREA, SIZE, POWER };

const char *const dfqi_search_space_metrics[DFQI_SEARCH_SPACE_MOST] = {
    "latency_ms", "energy_mj", "area_mm2", "size_mb", "power_mw"};

dfq_status dfqi_search_space_find(dfq_context *ctx, const char *space_path,
                                  dfqi_supernet_space *out)
{
    const dfqi_supernet_space *own = dfqi_supernet_space_known(space_path);
    if (!own && strpbrk(space_path, "./")) return dfqi_supernet_space_read(ctx, space_path, out);
    if (!own)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "search space \"%s\" is not known; built in are %s, %s, %s and %s, and "
                         "the name of a file has a dot or a slash",
                         space_path, dfqi_super_cifar_small.name, dfqi_super_cifar_full.name,
                         dfqi_super_vit_small.name, dfqi_super_vit_tiny.name);
    *out = *own;
    return DFQ_OK;
}

dfq_status dfqi_search_space_read(dfq_context *ctx, const char *space_path, const char *accelerator,
                                  dfqi_search_space *out)
{
    dfqi_search_space s;
    memset(&s, 0, sizeof s);
    DFQI_TRY(dfqi_search_space_find(ctx, space_path, &s.net));
    DFQI_TRY(dfqi_accel_space_load(ctx, accelerator, &s.accel));
    dfqi_accel_space_config(&s.accel, 0, &s.base);
    *out = s;
    return DFQ_OK;
}

/* -- layers ------------------------------------------------------------------------------------ */

/* Of a shape, or of an attention. */
typedef struct use {
    int32_t cell, choice;     /* cell -1: on every path */
    int32_t shape, attention; /* one of them is -1 */
} use;

typedef struct layers {
    dfq_context *ctx;
    int32_t n_shapes, n_attentions, n_uses, room;
    dfqi_layer *shapes;              /* [n_shapes] different ones */
    dfqi_attention_pair *attentions; /* [n_attentions] likewise */
    use *uses;
    int32_t n_choices;
    double *bytes; /* [n_cells + 1][n_choices] of weights; the last row is of every path */
} layers;

/* For one more of each. */
static dfq_status make_room(layers *l)
{
    if (l->n_uses < l->room) return DFQ_OK;
    const int32_t room = 2 * l->room + 64;
    dfqi_layer *shapes = dfqi_realloc(l->ctx, l->shapes, (size_t)room * sizeof *shapes);
    if (shapes) l->shapes = shapes;
    dfqi_attention_pair *attentions =
        dfqi_realloc(l->ctx, l->attentions, (size_t)room * sizeof *attentions);
    if (attentions) l->attentions = attentions;
    use *uses = dfqi_realloc(l->ctx, l->uses, (size_t)room * sizeof *uses);
    if (uses) l->uses = uses;
    if (!shapes || !attentions || !uses) return DFQ_E_NOMEM;
    l->room = room;
    return DFQ_OK;
}

static int32_t find_shape(layers *l, const dfqi_layer *shape)
{
    int32_t k = 0;
    while (k < l->n_shapes && memcmp(&l->shapes[k], shape, sizeof *shape) != 0) k++;
    if (k == l->n_shapes) l->shapes[l->n_shapes++] = *shape;
    return k;
}

static dfq_status add_layer(layers *l, const dfqi_layer *shape, int32_t cell, int32_t choice)
{
    DFQI_TRY(make_room(l));
    l->uses[l->n_uses++] = (use){cell, choice, find_shape(l, shape), -1};
    return DFQ_OK;
}

/* Whose values are those of node n, a layer that was added. */
static dfq_status add_attention(layers *l, const dfqi_graph *g, const dfqi_node *n, int32_t cell,
                                int32_t choice)
{
    const int32_t scores = dfqi_scores_of_node(g, n);
    dfqi_layer of[DFQI_PRODUCTS];
    int32_t k = 0;
    if (scores < 0) return DFQ_OK;
    DFQI_TRY(make_room(l));
    (void)dfqi_layer_of_node(g, &g->nodes[scores], &of[DFQI_SCORES]);
    (void)dfqi_layer_of_node(g, n, &of[DFQI_VALUES]);
    const dfqi_attention_pair a = {find_shape(l, &of[DFQI_SCORES]),
                                   find_shape(l, &of[DFQI_VALUES])};
    while (k < l->n_attentions && memcmp(&l->attentions[k], &a, sizeof a) != 0) k++;
    if (k == l->n_attentions) l->attentions[l->n_attentions++] = a;
    l->uses[l->n_uses++] = (use){cell, choice, -1, k};
    return DFQ_OK;
}

static bool is_read_before(const dfqi_graph *g, dfqi_id v, int32_t node)
{
    for (int32_t i = 0; i < node; i++)
        for (int32_t k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] == v) return true;
    return false;
}

/* Of the parameters that a node is the first to read: a weight is packed before it is used. */
static double weight_bytes(const dfqi_graph *g, int32_t node)
{
    const dfqi_node *n = &g->nodes[node];
    double sum = 0;
    for (int32_t k = 0; k < n->n_in; k++) {
        const dfqi_id v = n->in[k];
        if (v >= 0 && g->values[v].kind == DFQI_VALUE_PARAM && !is_read_before(g, v, node))
            sum += (double)sizeof(float) * (double)dfqi_value_count(&g->values[v]);
    }
    return sum;
}

/* Of the path that takes this choice wherever there is one, the cells' layers; of the first path
 * those of no cell as well. */
static dfq_status list_choice(layers *l, const dfqi_supernet *net, int32_t choice)
{
    int32_t path[DFQI_SUPER_CELLS], span[DFQI_SUPER_CELLS][2];
    dfqi_graph *g;
    dfq_status status = DFQ_OK;
    for (int32_t c = 0; c < net->n_cells; c++)
        path[c] = choice < dfqi_supernet_choices(net, c) ? choice : 0;
    DFQI_TRY(dfqi_super_graph(l->ctx, &net->space, path, &g, span));
    for (int32_t i = 0; i < g->n_nodes && status == DFQ_OK; i++) {
        dfqi_layer shape;
        int32_t cell = 0;
        while (cell < net->n_cells && (i < span[cell][0] || i >= span[cell][1])) cell++;
        const bool shared = cell == net->n_cells;
        if (choice != (shared ? 0 : path[cell])) continue;
        l->bytes[cell * l->n_choices + choice] += weight_bytes(g, i);
        if (!dfqi_layer_of_node(g, &g->nodes[i], &shape)) continue;
        if (shared) cell = -1;
        status = add_layer(l, &shape, cell, choice);
        if (status == DFQ_OK) status = add_attention(l, g, &g->nodes[i], cell, choice);
    }
    dfqi_graph_free(g);
    return status;
}

/* -- sums -------------------------------------------------------------------------------------- */

static void add_costs(const layers *l, const dfqi_table *t, double clock_mhz, const int32_t *first,
                      size_t cells, dfqi_search_space_costs *c)
{
    size_t configs = (size_t)t->n_configs;
    for (int32_t i = 0; i < l->n_uses; i++) {
        const use *u = &l->uses[i];
        const size_t row = (size_t)(u->shape >= 0 ? u->shape : t->n_shapes + u->attention);
        const double *cycles = t->cycles + row * configs, *pj = t->pj + row * configs;
        bool shared = u->cell < 0;
        double *ms = shared ? c->base : c->cost + (size_t)(first[u->cell] + u->choice) * configs;
        double *mj = ms + (shared ? configs : cells);
        for (size_t k = 0; k < configs; k++) {
            ms[k] += dfqi_cycles_ms(cycles[k], clock_mhz);
            mj[k] += pj[k] * 1e-9;
        }
    }
    for (size_t k = 0; k < configs; k++) c->base[2 * configs + k] = t->mm2[k];
}

/* Row SIZE, in MB. */
static void add_sizes(const layers *l, const int32_t *first, size_t configs,
                      dfqi_search_space_costs *c)
{
    const size_t cells = (size_t)first[c->n_cells];
    double *cost = c->cost + SIZE * cells * configs, *base = c->base + SIZE * configs;
    for (int32_t i = 0; i < c->n_cells; i++)
        for (int32_t k = 0; k < c->choices[i] && k < l->n_choices; k++)
            for (size_t at = 0; at < configs; at++)
                cost[(size_t)(first[i] + k) * configs + at] = l->bytes[i * l->n_choices + k] / 1e6;
    for (size_t at = 0; at < configs; at++) base[at] = l->bytes[c->n_cells * l->n_choices] / 1e6;
}

static void cost_reference(const dfqi_search_space *s, const int32_t *first, size_t configs,
                           dfqi_search_space_costs *c)
{
    int32_t choice[DFQI_SUPER_CELLS + DFQI_SEARCH_SPACE_HW_PARAMS];
    size_t config = 0, cells = (size_t)first[c->n_cells];
    dfqi_search_space_reference(s, c->n_cells, choice);
    for (int32_t i = c->n_cells; i < c->n_cells + DFQI_SEARCH_SPACE_HW_PARAMS; i++)
        config = config * (size_t)c->choices[i] + (size_t)choice[i];
    for (size_t m = 0; m < (size_t)c->n_metrics; m++) {
        c->reference[m] = c->base[m * configs + config];
        for (int32_t i = 0; i < c->n_cells; i++)
            c->reference[m] +=
                c->cost[(m * cells + (size_t)(first[i] + choice[i])) * configs + config];
    }
}

/* Row POWER, of costs that may be infinite. */
static void add_power(size_t cells, size_t configs, dfqi_search_space_costs *c)
{
    const double typical = isfinite(c->reference[LATENCY]) ? c->reference[LATENCY] : 1;
    if (c->power.metric < 0) return;
    c->power_limit =
        dfqi_ratio_fill(&c->power, cells, configs, typical, (double)INFINITY, c->cost, c->base);
    c->reference[POWER] = c->power.scale * c->reference[ENERGY] / c->reference[LATENCY];
}

static void make_finite(double *v, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] > most) most = v[i];
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i])) v[i] = 1e6 * most;
}

static dfq_status fill(const dfqi_search_space *s, const layers *l, dfqi_search_space_costs *c)
{
    int32_t first[DFQI_SUPER_CELLS + 1] = {0};
    dfqi_table t;
    for (int32_t i = 0; i < c->n_cells; i++) first[i + 1] = first[i] + c->choices[i];
    const dfqi_shapes shapes = {l->n_shapes, l->n_attentions, l->shapes, l->attentions};
    DFQI_TRY(dfqi_table_new(c->ctx, &s->accel, &shapes, NULL, s->net.name, &t));
    size_t configs = (size_t)t.n_configs, cells = (size_t)first[c->n_cells] * configs;
    c->cost = dfqi_calloc(c->ctx, (size_t)c->n_metrics * cells, sizeof *c->cost);
    c->base = dfqi_calloc(c->ctx, (size_t)c->n_metrics * configs, sizeof *c->base);
    if (c->cost && c->base) {
        add_costs(l, &t, s->accel.clock_mhz, first, cells, c);
        if (c->n_metrics > SIZE) add_sizes(l, first, configs, c);
        cost_reference(s, first, configs, c);
        add_power((size_t)first[c->n_cells], configs, c);
        for (size_t m = 0; m < POWER && m < (size_t)c->n_metrics; m++) {
            make_finite(c->cost + m * cells, cells);
            make_finite(c->base + m * configs, configs);
        }
    }
    dfqi_table_fini(&t);
    return c->cost && c->base ? DFQ_OK : DFQ_E_NOMEM;
}

static dfq_status list_groups(const dfqi_search_space *s, const dfqi_supernet *net,
                              dfqi_search_space_costs *c)
{
    const dfqi_values *hw_params[DFQI_SEARCH_SPACE_HW_PARAMS] = {
        &s->accel.pe_x,     &s->accel.pe_y, &s->accel.rf_words,
        &s->accel.dataflow, &s->accel.pe,   &s->accel.glb_kb};
    c->n_cells = net->n_cells;
    c->choices =
        dfqi_calloc(c->ctx, (size_t)net->n_cells + DFQI_SEARCH_SPACE_HW_PARAMS, sizeof *c->choices);
    if (!c->choices) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < net->n_cells; i++) c->choices[i] = dfqi_supernet_choices(net, i);
    for (int32_t i = 0; i < DFQI_SEARCH_SPACE_HW_PARAMS; i++)
        c->choices[net->n_cells + i] = hw_params[i]->n;
    return DFQ_OK;
}

dfq_status dfqi_search_space_costs_new(dfq_context *ctx, const dfqi_search_space *s,
                                       dfqi_search_space_costs *out)
{
    static const int32_t any[DFQI_SUPER_CELLS] = {0};
    dfqi_search_space_costs c = {.ctx = ctx,
                                 .n_hw_params = DFQI_SEARCH_SPACE_HW_PARAMS,
                                 .n_metrics = s->power_mw > 0 ? DFQI_SEARCH_SPACE_MOST
                                              : s->has_size   ? DFQI_SEARCH_SPACE_METRICS + 1
                                                              : DFQI_SEARCH_SPACE_METRICS,
                                 .power = {.metric = s->power_mw > 0 ? POWER : -1,
                                           .over = ENERGY,
                                           .under = LATENCY,
                                           .scale = 1000, /* mJ / ms in mW */
                                           .limit = s->power_mw}};
    layers l = {.ctx = ctx};
    dfqi_supernet net; /* for its sizes */
    DFQI_TRY(dfqi_supernet_new(ctx, &s->net, any, 0, &net));
    dfq_status status = list_groups(s, &net, &c);
    l.n_choices = s->net.n_choices;
    l.bytes = dfqi_calloc(ctx, ((size_t)net.n_cells + 1) * (size_t)l.n_choices, sizeof *l.bytes);
    if (status == DFQ_OK && !l.bytes) status = DFQ_E_NOMEM;
    for (int32_t k = 0; k < s->net.n_choices && status == DFQ_OK; k++)
        status = list_choice(&l, &net, k);
    if (status == DFQ_OK) status = fill(s, &l, &c);
    dfqi_free(ctx, l.shapes);
    dfqi_free(ctx, l.attentions);
    dfqi_free(ctx, l.bytes);
    dfqi_free(ctx, l.uses);
    dfqi_supernet_fini(&net);
    if (status == DFQ_OK)
        *out = c;
    else
        dfqi_search_space_costs_fini(&c);
    return status;
}

void dfqi_search_space_costs_fini(dfqi_search_space_costs *c)
{
    if (!c->ctx) return;
    dfqi_free(c->ctx, c->choices);
    dfqi_free(c->ctx, c->cost);
    dfqi_free(c->ctx, c->base);
    memset(c, 0, sizeof *c);
}
