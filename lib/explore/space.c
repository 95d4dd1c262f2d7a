/* Costs of search spaces: each layer of the supernet becomes a shape, equal shapes are tabulated once,
 * and a choice costs the sum of its layers. */
#include "explore/space.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { FIELDS = 6, METRICS = 3 };

dfq_status dfqi_search_space_read(dfq_context *ctx, const char *space_path,
                                  const char *template_path, dfqi_search_space *out)
{
    const dfqi_super_space *const known[] = {&dfqi_super_cifar_small, &dfqi_super_cifar_full};
    dfqi_search_space s;
    memset(&s, 0, sizeof s);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(space_path, known[i]->name) == 0) s.net = *known[i];
    if (!s.net.name)
        return dfqi_fail(ctx, DFQ_E_INVALID, "there is no search space %s; %s and %s are known",
                         space_path, known[0]->name, known[1]->name);
    DFQI_TRY(dfqi_space_load(ctx, template_path, &s.accel));
    dfqi_space_config(&s.accel, 0, &s.base);
    *out = s;
    return DFQ_OK;
}

/* -- shapes ------------------------------------------------------------------------------------ */

typedef struct shapes {
    dfqi_layer *v; /* [n], different ones */
    int32_t n;
    int32_t *of; /* layer of the supernet -> shape */
} shapes;

static dfqi_layer shape_of(const dfqi_super_layer *l, int64_t side)
{
    dfqi_layer s = {.kind = DFQI_LAYER_PRODUCT, .stride = l->stride};
    int64_t kernel = l->kernel > 0 ? l->kernel : 1, pixels = l->kernel > 0 ? side : 1;
    s.dim[DFQI_DIM_G] = l->depthwise ? l->in : 1;
    s.dim[DFQI_DIM_N] = 1;
    s.dim[DFQI_DIM_C] = l->depthwise ? 1 : l->in;
    s.dim[DFQI_DIM_M] = l->depthwise ? 1 : l->out;
    s.dim[DFQI_DIM_P] = s.dim[DFQI_DIM_Q] = pixels;
    s.dim[DFQI_DIM_R] = s.dim[DFQI_DIM_S] = kernel;
    return s;
}

/* All choices of a cell begin with the same side. */
static void list_shapes(const dfqi_supernet *net, shapes *out)
{
    int64_t begin = net->space.image, side = begin;
    for (int32_t i = 0; i < net->n_layers; i++) {
        const dfqi_super_layer *l = &net->layers[i];
        if (i > 0 && l->cell != l[-1].cell) begin = side;
        if (i > 0 && l->cell == l[-1].cell && l->choice != l[-1].choice) side = begin;
        side = (side + l->stride - 1) / l->stride;
        dfqi_layer s = shape_of(l, side);
        int32_t k = 0;
        while (k < out->n && memcmp(&out->v[k], &s, sizeof s) != 0) k++;
        if (k == out->n) out->v[out->n++] = s;
        out->of[i] = k;
    }
}

/* -- sums -------------------------------------------------------------------------------------- */

static void add_layers(const dfqi_supernet *net, const shapes *s, const dfqi_table *t,
                       double clock_mhz, const int32_t *first, dfqi_space_costs *c)
{
    size_t configs = (size_t)t->n_configs, cells = (size_t)first[net->n_cells] * configs;
    for (int32_t i = 0; i < net->n_layers; i++) {
        const dfqi_super_layer *l = &net->layers[i];
        const double *cycles = t->cycles + (size_t)s->of[i] * configs;
        const double *pj = t->pj + (size_t)s->of[i] * configs;
        bool shared = l->cell < 0;
        size_t at = shared ? 0 : (size_t)(first[l->cell] + l->choice) * configs;
        double *ms = (shared ? c->base : c->cost) + at;
        double *mj = ms + (shared ? configs : cells);
        for (size_t k = 0; k < configs; k++) {
            ms[k] += dfqi_cycles_ms(cycles[k], clock_mhz);
            mj[k] += pj[k] * 1e-9;
        }
    }
    for (size_t k = 0; k < configs; k++) c->base[2 * configs + k] = t->mm2[k];
}

static void make_finite(double *v, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] > most) most = v[i];
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i])) v[i] = 1e6 * most;
}

static dfq_status fill(const dfqi_search_space *s, const dfqi_supernet *net, shapes *list,
                       dfqi_space_costs *c)
{
    const dfqi_values *fields[FIELDS] = {&s->accel.pe_x,     &s->accel.pe_y, &s->accel.rf_words,
                                         &s->accel.dataflow, &s->accel.pe,   &s->accel.glb_kb};
    int32_t first[DFQI_SUPER_CELLS + 1] = {0};
    dfqi_table t;
    for (int32_t i = 0; i < net->n_cells; i++) {
        c->choices[i] = dfqi_supernet_choices(net, i);
        first[i + 1] = first[i] + c->choices[i];
    }
    for (int32_t i = 0; i < FIELDS; i++) c->choices[net->n_cells + i] = fields[i]->n;
    list_shapes(net, list);
    DFQI_TRY(dfqi_table_new(c->ctx, &s->accel, list->n, list->v, s->net.name, &t));
    size_t configs = (size_t)t.n_configs, cells = (size_t)first[net->n_cells] * configs;
    c->cost = dfqi_calloc(c->ctx, METRICS * cells, sizeof *c->cost);
    c->base = dfqi_calloc(c->ctx, METRICS * configs, sizeof *c->base);
    if (c->cost && c->base) {
        add_layers(net, list, &t, s->accel.clock_mhz, first, c);
        for (size_t m = 0; m < METRICS; m++) {
            make_finite(c->cost + m * cells, cells);
            make_finite(c->base + m * configs, configs);
        }
    }
    dfqi_table_fini(&t);
    return c->cost && c->base ? DFQ_OK : DFQ_E_NOMEM;
}

dfq_status dfqi_space_costs_new(dfq_context *ctx, const dfqi_search_space *s, dfqi_space_costs *out)
{
    dfqi_space_costs c = {.ctx = ctx, .n_fields = FIELDS, .n_metrics = METRICS};
    dfqi_supernet net;
    shapes list = {.v = NULL};
    DFQI_TRY(dfqi_supernet_new(ctx, &s->net, NULL, 0, &net));
    dfq_status status = DFQ_E_NOMEM;
    c.n_cells = net.n_cells;
    c.choices = dfqi_calloc(ctx, (size_t)(net.n_cells + FIELDS), sizeof *c.choices);
    list.v = dfqi_calloc(ctx, (size_t)net.n_layers, sizeof *list.v);
    list.of = dfqi_calloc(ctx, (size_t)net.n_layers, sizeof *list.of);
    if (c.choices && list.v && list.of) status = fill(s, &net, &list, &c);
    dfqi_free(ctx, list.v);
    dfqi_free(ctx, list.of);
    dfqi_supernet_fini(&net);
    if (status == DFQ_OK)
        *out = c;
    else
        dfqi_space_costs_fini(&c);
    return status;
}

void dfqi_space_costs_fini(dfqi_space_costs *c)
{
    if (!c->ctx) return;
    dfqi_free(c->ctx, c->choices);
    dfqi_free(c->ctx, c->cost);
    dfqi_free(c->ctx, c->base);
    memset(c, 0, sizeof *c);
}
