/* Groups tensors into layers: weight and bias, or the four tensors of a BatchNorm, are one line. */
#include "layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct layer {
    const char *name; /* of its first tensor, of which `n` bytes name the layer */
    int n;
    int32_t bits; /* of its weight */
    int64_t values, before, after;
};

/* "blocks.0.attn.qkv" of "blocks.0.attn.qkv.weight"; a tensor without a dot is a layer. */
static int layer_name(const char *tensor)
{
    const char *dot = strrchr(tensor, '.');
    return dot ? (int)(dot - tensor) : (int)strlen(tensor);
}

/* The layer that begins at tensor *at, which moves behind it. 0 at the end. */
static int next_layer(const dfq_graph *g, int32_t *at, struct layer *l)
{
    memset(l, 0, sizeof *l);
    for (; *at < dfq_graph_get_tensor_count(g); ++*at) {
        dfq_tensor_info t = {.struct_size = sizeof t};
        if (dfq_graph_get_tensor_info(g, *at, &t) != DFQ_OK) continue;
        int n = layer_name(t.name);
        if (l->name && (n != l->n || strncmp(t.name, l->name, (size_t)n) != 0)) break;
        if (!l->name) l->bits = t.bits;
        l->name = t.name;
        l->n = n;
        if (t.bits < l->bits) l->bits = t.bits;
        l->values += t.values;
        l->before += t.float_bytes;
        l->after += t.bytes;
    }
    return l->name != NULL;
}

static void print_row(int n, const char *name, const char *bits, const struct layer *l)
{
    char a[TEXT_SHORT], b[TEXT_SHORT];
    printf("%-40.*s %9lld %4s %10s %10s\n", n, name, (long long)l->values, bits,
           text_bytes((double)l->before, a), text_bytes((double)l->after, b));
}

void layers_print(const dfq_graph *g)
{
    struct layer l, sum = {NULL, 0, 0, 0, 0, 0};
    printf("\n%-40s %9s %4s %10s %10s\n", "layer", "values", "bits", "float", "here");
    for (int32_t i = 0; next_layer(g, &i, &l);) {
        char bits[TEXT_SHORT];
        snprintf(bits, sizeof bits, "%d", (int)l.bits);
        print_row(l.n, l.name, bits, &l);
        sum.values += l.values;
        sum.before += l.before;
        sum.after += l.after;
    }
    print_row(5, "total", "", &sum);
}

void layers_json(struct json *j, const dfq_graph *g)
{
    struct layer l;
    json_open(j, "layers", '[');
    for (int32_t i = 0; next_layer(g, &i, &l);) {
        char *name = text_format("%.*s", l.n, l.name);
        json_open(j, NULL, '{');
        json_text(j, "name", name);
        json_int(j, "values", l.values);
        json_int(j, "bits", l.bits);
        json_int(j, "float_bytes", l.before);
        json_int(j, "bytes", l.after);
        json_close(j, '}');
        free(name);
    }
    json_close(j, ']');
}

static void shape_json(struct json *j, const char *name, int32_t rank, const int64_t *dims)
{
    if (rank == 0) return;
    json_open(j, name, '[');
    for (int32_t i = 0; i < rank; i++) json_int(j, NULL, dims[i]);
    json_close(j, ']');
}

void operations_json(struct json *j, const dfq_graph *g)
{
    static const char *const kinds[] = {"conv",      "linear", "matmul", "softmax",
                                        "layernorm", "gelu",   "sum"};
    int32_t n = 0;
    if (dfq_graph_get_layer_count(g, &n) != DFQ_OK) n = 0;
    json_open(j, "operations", '[');
    for (int32_t i = 0; i < n; i++) {
        dfq_layer_info l = {.struct_size = sizeof l};
        if (dfq_graph_get_layer(g, i, &l) != DFQ_OK || l.kind < 0 || l.kind > 6) continue;
        json_open(j, NULL, '{');
        json_text(j, "name", l.name);
        json_text(j, "kind", kinds[l.kind]);
        shape_json(j, "input", l.input_rank, l.input_dims);
        shape_json(j, "weight", l.weight_rank, l.weight_dims);
        shape_json(j, "output", l.output_rank, l.output_dims);
        json_int(j, "input_bits", l.input_bits);
        if (l.weight_rank) json_int(j, "weight_bits", l.weight_bits);
        json_int(j, "output_bits", l.output_bits);
        json_int(j, "macs", l.macs);
        json_close(j, '}');
    }
    json_close(j, ']');
}
