/* inside MODEL.safetensors [PROBE]: looks into a network that lies in memory. Lists its layers with
 * shapes, work and bits, and tells the mean of each probe, or of one, on a grey picture. Works on
 * float and low-bit files alike.
 *
 * cc inside.c $(pkg-config --cflags --libs dfq) -o inside */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A program that embeds its model has these bytes already. */
static void *read_file(const char *path, size_t *out_size)
{
    FILE *f = fopen(path, "rb");
    void *bytes = NULL;
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (size > 0) bytes = malloc((size_t)size);
    if (bytes) {
        rewind(f);
        *out_size = fread(bytes, 1, (size_t)size, f);
    }
    if (f) fclose(f);
    return bytes;
}

static void print_shape(int32_t rank, const int64_t *dims)
{
    char text[64] = "-";
    int at = 0;
    for (int32_t i = 0; i < rank; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%lld", i ? "x" : "",
                       (long long)dims[i]);
    printf(" %-12s", text);
}

static dfq_status list_layers(const dfq_graph *net)
{
    static const char *const kinds[] = {"conv",      "linear", "matmul", "softmax",
                                        "layernorm", "gelu",   "sum"};
    dfq_layer_info l = {.struct_size = sizeof l};
    int32_t n = 0;
    int64_t macs = 0;
    dfq_status s = dfq_graph_get_layer_count(net, &n);
    for (int32_t i = 0; s == DFQ_OK && i < n; i++) {
        s = dfq_graph_get_layer(net, i, &l);
        if (s != DFQ_OK) break;
        printf("%-28s %-9s", l.name, l.kind >= 0 && l.kind < 7 ? kinds[l.kind] : "?");
        print_shape(l.input_rank, l.input_dims);
        print_shape(l.weight_rank, l.weight_dims);
        print_shape(l.output_rank, l.output_dims);
        printf(" w%-2d a%-2d %10lld MAC\n", (int)l.weight_bits, (int)l.input_bits,
               (long long)l.macs);
        macs += l.macs;
    }
    if (s == DFQ_OK) printf("%d layers, %lld MAC\n", (int)n, (long long)macs);
    return s;
}

static double mean(const dfq_tensor *t)
{
    const float *v = dfq_tensor_get_data(t);
    size_t n = dfq_tensor_get_bytes(t) / sizeof *v;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)v[i];
    return sum / (double)n;
}

/* A picture of 0 is grey: inputs are normalised. */
static dfq_status read_probe(const dfq_graph *net, const dfq_tensor *picture, const char *name)
{
    dfq_tensor *values = NULL;
    dfq_status s = dfq_graph_forward_with_probes(net, picture, &name, 1, NULL, &values);
    if (s != DFQ_OK) return s;
    printf("%-28s", name);
    print_shape(dfq_tensor_get_rank(values) - 1, dfq_tensor_get_dims(values) + 1);
    printf(" mean %.6f\n", mean(values));
    dfq_tensor_release(values);
    return DFQ_OK;
}

static dfq_status read_probes(dfq_context *ctx, const dfq_graph *net, const char *only)
{
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_probe_info p = {.struct_size = sizeof p};
    dfq_tensor *picture = NULL;
    int32_t n = 0;
    dfq_status s = dfq_graph_get_info(net, &info);
    const int64_t dims[4] = {1, info.channels, info.image_height, info.image_width};
    if (s == DFQ_OK) s = dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, dims, &picture);
    if (s == DFQ_OK && only != NULL) s = read_probe(net, picture, only);
    if (s == DFQ_OK && only == NULL) s = dfq_graph_get_probe_count(net, &n);
    for (int32_t i = 0; s == DFQ_OK && i < n; i++) {
        s = dfq_graph_get_probe(net, i, &p);
        if (s == DFQ_OK) s = read_probe(net, picture, p.name);
    }
    dfq_tensor_release(picture);
    return s;
}

int main(int argc, char **argv)
{
    dfq_context *ctx = NULL;
    dfq_graph *net = NULL;
    size_t size = 0;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: inside MODEL.safetensors [PROBE]\n");
        return 2;
    }
    void *bytes = read_file(argv[1], &size);
    if (bytes == NULL || dfq_context_create(NULL, &ctx) != DFQ_OK) {
        fprintf(stderr, "%s: cannot be read, or no memory\n", argv[1]);
        free(bytes);
        return 1;
    }
    dfq_status s = dfq_graph_load_from_memory(ctx, bytes, size, NULL, &net);
    free(bytes); /* not needed any more */
    if (s == DFQ_OK) s = list_layers(net);
    if (s == DFQ_OK) s = read_probes(ctx, net, argc == 3 ? argv[2] : NULL);
    if (s != DFQ_OK) fprintf(stderr, "%s\n", dfq_context_get_error(ctx));
    dfq_graph_release(net);
    dfq_context_release(ctx);
    return s == DFQ_OK ? 0 : 1;
}
