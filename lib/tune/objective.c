/* The tuning loss as a graph, teacher and student on one batch (docs/METHODS.md, Tuning):
 *
 *   L = kl_weight T^2 KL(teacher || student) + head_weight mean over blocks of 1 - SSIM(heads)
 *     + label_weight CE(student, labels)
 *
 * with gradients of every parameter, scale and zero point of the student. With a generator network,
 * the teacher's logits and the labels are inputs of the graph. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "graph/ops.h"
#include "tune/tune_priv.h"

/* Ids that live while the graph is built. */
typedef struct builder {
    dfqi_tune *t;
    dfqi_id *memory; /* all arrays below */
    dfqi_id *teacher_params, *params, *wrt, *grad;
    dfqi_taps teacher, student;
    dfqi_quant_pass pass;
} builder;

static dfq_status builder_init(dfqi_tune *t, builder *b)
{
    size_t params = (size_t)t->student->net.n_params, sites = (size_t)t->student->scheme.n_sites;
    size_t depth = (size_t)dfqi_arch_blocks(&t->student->net.arch), items = params + 2 * sites;
    *b = (builder){.t = t};
    b->memory = dfqi_calloc(t->ctx, 2 * params + 2 * items + 2 * depth, sizeof *b->memory);
    if (!b->memory) return DFQ_E_NOMEM;
    b->teacher_params = b->memory;
    b->params = b->teacher_params + params;
    b->wrt = b->params + params;
    b->grad = b->wrt + items;
    b->teacher.head = b->grad + items;
    b->student.head = b->teacher.head + depth;
    return DFQ_OK;
}

/* The weight of a linear layer or a convolution, quantized or not. */
static bool is_layer_weight(const dfqi_param *p)
{
    const char *dot = strrchr(p->name, '.');
    return p->tensor->rank > 1 && dot && strcmp(dot, ".weight") == 0;
}

/* Parameters that no step moves need no gradient either. */
static void add_params(const builder *b)
{
    const dfqi_network *net = &b->t->student->net;
    bool held = b->t->o.weight_lr_mult == 0;
    for (int32_t i = 0; i < net->n_params; i++) {
        const dfqi_param *p = &net->params[i];
        b->params[i] =
            dfqi_graph_param(b->t->g, p->name, p->tensor, p->fixed || (held && is_layer_weight(p)));
    }
}

static dfq_status build_forward(builder *b)
{
    dfqi_tune *t = b->t;
    const dfqi_network *net = &t->student->net;
    const dfqi_arch *a = &net->arch;
    dfqi_graph *g = t->g;
    t->x = dfqi_arch_input(a, g);
    t->source->teacher(t, b->teacher_params, &b->teacher);
    add_params(b);
    DFQI_TRY(dfqi_quant_pass_begin(&b->pass, g, &t->student->scheme, 0));
    dfqi_network_forward(net, g, b->params, t->x, &b->student);
    dfqi_quant_pass_end(&b->pass, g);
    t->teacher_logits = b->teacher.logits;
    t->student_logits = b->student.logits;
    dfqi_graph_keep(g, t->student_logits);
    return dfqi_graph_status(g);
}

/* Mean over blocks of the structural distance: the sum, to be weighted by 1 / depth. */
static dfqi_id head_sum(const builder *b)
{
    dfqi_graph *g = b->t->g;
    const dfqi_arch *a = &b->t->student->net.arch;
    dfqi_id sum = DFQI_NONE;
    for (int64_t i = 0; i < dfqi_arch_blocks(a); i++) {
        dfqi_attention at;
        dfqi_arch_attention(a, i, &at);
        dfqi_id one = dfqi_head_ssim(g, b->teacher.head[i], b->student.head[i], at.drop);
        sum = i ? dfqi_add(g, sum, one) : one;
    }
    return sum;
}

static void build_loss(const builder *b)
{
    dfqi_tune *t = b->t;
    const dfqi_tune_options *o = &t->o;
    dfqi_id term[3];
    float weight[3];
    int32_t n = 0;
    for (int i = 0; i < DFQI_TUNE_LOSSES; i++) t->term[i] = -1;
    if (o->kl_weight > 0) {
        t->term[DFQI_TUNE_KL] = n;
        term[n] = dfqi_kl(t->g, t->student_logits, t->teacher_logits, o->temperature);
        weight[n++] = o->kl_weight;
    }
    if (o->head_weight > 0) {
        t->term[DFQI_TUNE_HEAD] = n;
        term[n] = head_sum(b);
        weight[n++] = o->head_weight / (float)dfqi_arch_blocks(&t->student->net.arch);
    }
    if (o->label_weight > 0) {
        t->term[DFQI_TUNE_LABEL] = n;
        term[n] = t->source->label_loss(t);
        weight[n++] = o->label_weight;
    }
    t->total = dfqi_total(t->g, n, term, weight);
    t->parts = dfqi_graph_output(t->g, t->total, 1);
    dfqi_graph_keep(t->g, t->total);
    dfqi_graph_keep(t->g, t->parts);
}

/* -- items ------------------------------------------------------------------------------------- */

static dfq_status add_item(builder *b, dfqi_item_kind kind, const char *name, const char *what,
                           dfq_tensor *tensor, const dfqi_site *site, bool of_layer, dfqi_id id)
{
    dfqi_tune *t = b->t;
    size_t size = strlen(name) + strlen(what) + 1;
    if (id == DFQI_NONE || dfqi_graph_value(t->g, id)->frozen) return DFQ_OK;
    char *text = dfqi_arena_alloc(&t->names, size);
    if (!text) return DFQ_E_NOMEM;
    snprintf(text, size, "%s%s", name, what);
    b->wrt[t->n_items] = id;
    t->items[t->n_items++] = (dfqi_item){.kind = kind,
                                         .name = text,
                                         .tensor = tensor,
                                         .count = dfqi_tensor_count(tensor),
                                         .site = site,
                                         .of_layer = of_layer};
    return DFQ_OK;
}

static dfq_status list_items(builder *b)
{
    const dfqi_network *net = &b->t->student->net;
    const dfqi_scheme *s = &b->t->student->scheme;
    for (int32_t i = 0; i < net->n_params; i++) {
        const dfqi_param *p = &net->params[i];
        DFQI_TRY(add_item(b, DFQI_ITEM_WEIGHT, p->name, "", p->tensor, dfqi_scheme_find(s, p->name),
                          is_layer_weight(p), b->params[i]));
    }
    for (int32_t i = 0; i < s->n_sites; i++) {
        const dfqi_site *site = &s->sites[i];
        DFQI_TRY(add_item(b, DFQI_ITEM_SCALE, site->name, ".scale", site->scale, NULL, false,
                          b->pass.scale[i]));
        DFQI_TRY(add_item(b, DFQI_ITEM_ZERO_POINT, site->name, ".zero_point", site->zero_point,
                          NULL, false, b->pass.zero_point[i]));
    }
    return DFQ_OK;
}

static void count_item(dfqi_tune *t, const dfqi_item *item)
{
    t->item_floats += item->count;
    if (item->kind == DFQI_ITEM_SCALE && item->count > t->scale_floats)
        t->scale_floats = item->count;
    if (!item->site) return;
    t->n_quantized++;
    if (item->count > t->largest) t->largest = item->count;
}

/* The gradients; what none flows to is no item. */
static dfq_status build_gradients(builder *b)
{
    dfqi_tune *t = b->t;
    int32_t n = 0;
    dfqi_id one = dfqi_fill(t->g, t->total, 1.0f);
    DFQI_TRY(dfqi_graph_grad(t->g, 1, &t->total, &one, t->n_items, b->wrt, b->grad));
    for (int32_t i = 0; i < t->n_items; i++) {
        if (b->grad[i] == DFQI_NONE) continue;
        dfqi_graph_keep(t->g, b->grad[i]);
        t->items[n] = t->items[i];
        t->items[n].grad = b->grad[i];
        count_item(t, &t->items[n]);
        n++;
    }
    t->n_items = n;
    return dfqi_graph_status(t->g);
}

dfq_status dfqi_tune_build(dfqi_tune *t)
{
    builder b;
    dfq_status status;
    size_t items = (size_t)t->student->net.n_params + 2 * (size_t)t->student->scheme.n_sites;
    DFQI_TRY(builder_init(t, &b));
    t->items = dfqi_calloc(t->ctx, items, sizeof *t->items);
    status = t->items ? dfqi_graph_new(t->ctx, t->o.batch, &t->g) : DFQ_E_NOMEM;
    if (status != DFQ_OK) goto out;
    DFQI_GOTO(build_forward(&b), out);
    build_loss(&b);
    DFQI_GOTO(dfqi_graph_status(t->g), out);
    DFQI_GOTO(list_items(&b), out);
    status = build_gradients(&b);
out:
    dfqi_quant_pass_fini(&b.pass, t->ctx);
    dfqi_free(t->ctx, b.memory);
    return status;
}
