/* dfq cost: latency, energy and area of a network on an accelerator. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "cost_print.h"
#include "hardware.h"
#include "json.h"
#include "model.h"

/* Everything to print. */
struct result {
    dfq_accelerator *accel;
    dfq_graph *graph;
    dfq_graph_info info;
    dfq_cost *cost;
    int64_t config;
    dfq_accelerator_config hw;
    dfq_cost_info total, own;
    int has_own; /* a mapping was given */
};

/* -- finding ----------------------------------------------------------------------------------- */

/* Which of several accelerators. */
static int check_config(struct session *s, const struct result *r)
{
    int64_t n = dfq_accelerator_get_count(r->accel);
    if (s->o->config < n) return CODE_DONE;
    return session_error(s, CODE_USAGE, "--config is %lld, must be 0 to %lld, an accelerator of %s",
                         (long long)s->o->config, (long long)n - 1, s->o->accel);
}

/* Of several accelerators the one with the least product of energy and latency. */
static dfq_status find_best(struct result *r, const dfq_cost_options *o)
{
    int64_t n = dfq_accelerator_get_count(r->accel);
    double *v = malloc((size_t)n * 3 * sizeof *v), least = 0;
    if (!v) return DFQ_E_NOMEM;
    dfq_status status = dfq_accelerator_tabulate(r->accel, r->graph, o, n, v, v + n, v + 2 * n);
    for (int64_t i = 0; i < n && status == DFQ_OK; i++) {
        if (i > 0 && !(v[i] * v[n + i] < least)) continue;
        least = v[i] * v[n + i];
        r->config = i;
    }
    free(v);
    return status;
}

/* "LAYER: LOOPS" */
static int try_mapping(struct session *s, struct result *r)
{
    const char *text = s->o->mapping, *colon = text ? strchr(text, ':') : NULL;
    if (!text) return CODE_DONE;
    if (!colon)
        return session_error(
            s, CODE_USAGE,
            "--mapping is \"%s\", must be like \"LAYER: DRAM M3 | GLB C2 | SPACE P13 | RF Q13\"",
            text);
    for (int32_t i = 0; i < dfq_cost_get_count(r->cost); i++) {
        dfq_cost_info layer = {.struct_size = sizeof layer};
        dfq_status status = dfq_cost_get_layer(r->cost, i, &layer);
        if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
        size_t n = (size_t)(colon - text);
        if (strlen(layer.name) != n || strncmp(layer.name, text, n) != 0) continue;
        r->own.struct_size = sizeof r->own;
        status = dfq_cost_evaluate_mapping(r->cost, i, colon + 1, &r->own);
        r->has_own = 1;
        if (status != DFQ_E_INVALID || !layer.mapping || !*layer.mapping)
            return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_WORK);
        return session_error(
            s, CODE_USAGE,
            "--mapping: layer %s: %s; begin with the mapping that the search found: \"%s: %s\"",
            layer.name, dfq_context_get_error(s->ctx), layer.name, layer.mapping);
    }
    return session_error(s, CODE_USAGE,
                         "--mapping: layer %.*s does not exist; --json lists all layers",
                         (int)(colon - text), text);
}

static int find(struct session *s, struct result *r)
{
    dfq_cost_options o;
    dfq_cost_options_init(&o, sizeof o);
    if (option_given(s->o, OPT_BITS)) {
        o.weight_bits = s->o->weight_bits;
        o.act_bits = s->o->act_bits;
    }
    o.act_scale = s->o->act_scale;
    dfq_status status = dfq_accelerator_load(s->ctx, s->o->accel, &r->accel);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    int code = check_config(s, r);
    if (code) return code;
    if (s->o->config >= 0)
        r->config = s->o->config;
    else if (dfq_accelerator_get_count(r->accel) > 1)
        status = find_best(r, &o);
    o.config = r->config;
    r->hw.struct_size = sizeof r->hw;
    r->total.struct_size = sizeof r->total;
    if (status == DFQ_OK) status = dfq_accelerator_get_config(r->accel, r->config, &r->hw);
    if (status == DFQ_OK) status = dfq_cost_create(r->accel, r->graph, &o, &r->cost);
    if (status == DFQ_OK) status = dfq_cost_get_total(r->cost, &r->total);
    return status == DFQ_OK ? try_mapping(s, r) : session_fail(s, status, PHASE_WORK);
}

/* -- printing ---------------------------------------------------------------------------------- */

static void json_cost(struct json *j, const char *member, const dfq_cost_info *c)
{
    json_open(j, member, '{');
    json_text(j, "name", c->name);
    if (c->kind != DFQ_LAYER_TOTAL) {
        json_text(j, "kind", c->kind == DFQ_LAYER_PRODUCT ? "product" : "rows");
        json_open(j, "gncmpqrs", '[');
        for (int d = 0; d < 8; d++) json_int(j, NULL, c->dims[d]);
        json_close(j, ']');
        json_int(j, "stride", c->stride);
        json_int(j, "weight_bits", c->weight_bits);
        json_int(j, "input_bits", c->input_bits);
        json_int(j, "output_bits", c->output_bits);
        json_int(j, "weight_group", c->weight_group);
        json_int(j, "act_group", c->act_group);
        json_open(j, "grid_bits", '{');
        json_fraction(j, "weight", c->weight_grid_bits);
        json_fraction(j, "input", c->input_grid_bits);
        json_fraction(j, "output", c->output_grid_bits);
        json_close(j, '}');
        json_text(j, "mapping", c->mapping);
    }
    json_int(j, "fused", c->fused);
    json_count(j, "macs", c->macs);
    json_fraction(j, "cycles", c->cycles);
    json_fraction(j, "compute_cycles", c->compute_cycles);
    json_fraction(j, "dram_cycles", c->dram_cycles);
    json_fraction(j, "glb_cycles", c->glb_cycles);
    json_fraction(j, "ms", c->ms);
    json_fraction(j, "utilization", c->utilization);
    json_fraction(j, "dram_bytes", c->dram_bytes);
    json_open(j, "energy_pj", '{');
    json_fraction(j, "mac", c->mac_pj);
    json_fraction(j, "rf", c->rf_pj);
    json_fraction(j, "noc", c->noc_pj);
    json_fraction(j, "glb", c->glb_pj);
    json_fraction(j, "dram", c->dram_pj);
    json_fraction(j, "static", c->static_pj);
    json_fraction(j, "total", c->total_pj);
    json_close(j, '}');
    json_close(j, '}');
}

static void print_json(const struct session *s, const struct result *r)
{
    struct json j = {stdout, 0};
    json_open(&j, NULL, '{');
    json_text(&j, "file", s->o->input);
    json_text(&j, "network", dfq_graph_get_name(r->graph));
    json_open(&j, "accelerator", '{');
    json_text(&j, "name", dfq_accelerator_get_name(r->accel));
    json_int(&j, "of", dfq_accelerator_get_count(r->accel));
    json_int(&j, "config", r->config);
    hardware_json(&j, &r->hw);
    json_close(&j, '}');
    json_open(&j, "layers", '[');
    for (int32_t i = 0; i < dfq_cost_get_count(r->cost); i++) {
        dfq_cost_info c = {.struct_size = sizeof c};
        if (dfq_cost_get_layer(r->cost, i, &c) == DFQ_OK) json_cost(&j, NULL, &c);
    }
    json_close(&j, ']');
    if (r->has_own) json_cost(&j, "own", &r->own);
    json_cost(&j, "total", &r->total);
    json_fraction(&j, "images_per_s", 1e3 / r->total.ms);
    json_fraction(&j, "mj_per_image", r->total.total_pj * 1e-9);
    json_fraction(&j, "area_mm2", r->total.area_mm2);
    json_close(&j, '}');
    putchar('\n');
}

struct range {
    int32_t least, most;
};

static void widen(struct range *r, int32_t bits)
{
    if (r->most == 0 || bits < r->least) r->least = bits;
    if (bits > r->most) r->most = bits;
}

/* "8" or "3..8" */
static const char *range_text(const struct range *r, char out[16])
{
    if (r->least == r->most)
        snprintf(out, 16, "%d", (int)r->most);
    else
        snprintf(out, 16, "%d..%d", (int)r->least, (int)r->most);
    return out;
}

/* The widths of the quantizers, "w4a4", or the least and the most where they differ. */
static void quantizer_widths(const struct result *r, char *out, size_t size)
{
    struct range weights = {0, 0}, acts = {0, 0};
    char w[16], a[16];
    for (int32_t k = 0; k < r->info.quantizers; k++) {
        dfq_quantizer_info q = {.struct_size = sizeof q};
        if (dfq_graph_get_quantizer(r->graph, k, &q) != DFQ_OK) continue;
        int weight = q.kind == DFQ_QUANTIZER_WEIGHT || q.kind == DFQ_QUANTIZER_WEIGHT_MINMAX;
        widen(weight ? &weights : &acts, q.bits);
    }
    int mixed = weights.least != weights.most || acts.least != acts.most;
    snprintf(out, size, mixed ? "mixed (weights %s, activations %s bits)" : "w%sa%s",
             range_text(&weights, w), range_text(&acts, a));
}

/* Has the network scales of rows, its own or those it is costed with? */
static int has_row_scales(const struct session *s, const struct result *r)
{
    if (!option_given(s->o, OPT_BITS)) return r->info.act_scale == DFQ_ACT_SCALE_ROW;
    return s->o->act_scale != DFQ_ACT_SCALE_TENSOR && model_has_heads(&r->info);
}

/* What is beside the widths: ", scales of rows at run time, ..". */
static void grid_words(const struct session *s, const struct result *r, char *out, size_t size)
{
    int at = snprintf(out, size, "%s", has_row_scales(s, r) ? ", scales of rows at run time" : "");
    if (r->total.act_group > 0)
        at += snprintf(out + at, size - (size_t)at, " for groups of %d channels",
                       (int)r->total.act_group);
    if (r->total.weight_group > 0)
        snprintf(out + at, size - (size_t)at, ", weights in groups of %d columns",
                 (int)r->total.weight_group);
}

static void print_widths(const struct session *s, const struct result *r)
{
    char text[256], own[64], scales[128];
    int bits = (int)r->hw.float_bits;
    quantizer_widths(r, own, sizeof own);
    grid_words(s, r, scales, sizeof scales);
    if (option_given(s->o, OPT_BITS))
        snprintf(text, sizeof text,
                 "as given, w%da%d, 8 bits in the first and the last layer%s; values without "
                 "a quantizer have %d",
                 (int)s->o->weight_bits, (int)s->o->act_bits, scales, bits);
    else if (r->info.quantized)
        snprintf(text, sizeof text,
                 "of its quantizers, %s%s; values without a quantizer have %d bits", own, scales,
                 bits);
    else
        snprintf(text, sizeof text, "no quantizers: %d bits", bits);
    cost_print_wrapped("widths", text);
}

static int print_text(struct session *s, const struct result *r)
{
    int64_t n = dfq_accelerator_get_count(r->accel);
    char words[HARDWARE_TEXT], text[HARDWARE_TEXT + 96];
    cost_print_wrapped("network", dfq_graph_get_name(r->graph));
    snprintf(text, sizeof text, "%s: %s", dfq_accelerator_get_name(r->accel),
             hardware_words(&r->hw, words));
    cost_print_wrapped("accelerator", text);
    if (n > 1)
        printf("             number %lld of %lld%s\n", (long long)r->config, (long long)n,
               s->o->config < 0 ? ": the least energy x latency" : "");
    print_widths(s, r);
    if (cost_print_layers(r->cost, &r->total, s->o->all))
        return session_error(s, CODE_FAILED, "out of memory");
    if (r->has_own) {
        printf("\nwith the given mapping:\n");
        cost_print_row(r->own.name, &r->own, &r->total);
    }
    printf("\nlatency      %.4g ms, %.4g images a second; %.1f %% of the array in use\n",
           r->total.ms, 1e3 / r->total.ms, 100 * r->total.utilization);
    cost_print_parts(&r->total);
    if (r->total.fused > 0) {
        snprintf(text, sizeof text, "fused in %d blocks: scores stay in the buffer",
                 (int)r->total.fused);
        cost_print_wrapped("attention", text);
    }
    printf("area         %.4g mm2 at 45 nm\n", r->total.area_mm2);
    return CODE_DONE;
}

int cmd_cost(struct session *s)
{
    struct result r = {0};
    int code = model_load(s, DFQ_DECIDES_COST, &r.graph, &r.info);
    if (code) return code;
    code = find(s, &r);
    progress_end(&s->progress);
    if (code == CODE_DONE && s->o->json) print_json(s, &r);
    if (code == CODE_DONE && !s->o->json) code = print_text(s, &r);
    dfq_cost_release(r.cost);
    dfq_accelerator_release(r.accel);
    dfq_graph_release(r.graph);
    return code;
}
