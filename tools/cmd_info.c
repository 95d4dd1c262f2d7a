/* dfq info: describes a model file. */
#include <inttypes.h>

#include "commands.h"
#include "json.h"
#include "layers.h"
#include "model.h"
#include "text.h"

static const char *family_name(int32_t family)
{
    static const char *const names[] = {"vision transformer",
                                        "ResNet",
                                        "MobileNetV2",
                                        "MBConv network of a search space",
                                        "vision transformer of a search space",
                                        "Swin transformer",
                                        "network of inverted residuals",
                                        "network of an ONNX file"};
    return family >= 0 && family < (int)(sizeof names / sizeof *names) ? names[family] : "unknown";
}

static void json_properties(struct json *j, const dfq_graph *g)
{
    json_open(j, "properties", '{');
    for (int32_t i = 0; i < dfq_graph_get_property_count(g); i++) {
        dfq_property_info p = {.struct_size = sizeof p};
        if (dfq_graph_get_property(g, i, &p) != DFQ_OK) continue;
        json_open(j, p.name, '{');
        json_text(j, "value", p.value);
        json_text(j, "source", model_source_name(p.source));
        json_close(j, '}');
    }
    json_close(j, '}');
}

static void json_sizes(struct json *j, const dfq_graph_info *i)
{
    if (i->patch > 0) {
        json_int(j, "patch", i->patch);
        json_int(j, "width", i->width);
        json_int(j, "depth", i->depth);
    }
    if (i->stages > 0) {
        json_int(j, "stages", i->stages);
        json_int(j, "window", i->window);
    }
    if (i->heads > 0) {
        json_int(j, "heads", i->heads);
        json_int(j, "hidden", i->hidden);
    } else if (i->family != DFQ_FAMILY_STAGES) {
        json_int(j, "batchnorms", i->batchnorms);
    }
}

static void json_leftover(struct json *j, const dfq_graph *g)
{
    json_open(j, "leftover", '[');
    for (int64_t k = 0; k < dfq_graph_get_leftover_count(g); k++)
        json_text(j, NULL, dfq_graph_get_leftover(g, k));
    json_close(j, ']');
}

static void json_labels(struct json *j, const dfq_graph *g, const dfq_graph_info *i)
{
    if (!*dfq_graph_get_class_name(g, 0)) return;
    json_open(j, "labels", '[');
    for (int64_t k = 0; k < i->classes; k++) json_text(j, NULL, dfq_graph_get_class_name(g, k));
    json_close(j, ']');
}

static void print_json(const dfq_graph *g, const dfq_graph_info *i, const struct options *o)
{
    struct json j = {stdout, 0};
    json_open(&j, NULL, '{');
    json_text(&j, "file", o->input);
    json_int(&j, "bytes", i->file_bytes);
    json_text(&j, "name", dfq_graph_get_name(g));
    json_text(&j, "naming", dfq_graph_get_naming(g));
    json_leftover(&j, g);
    json_int(&j, "quantized", i->quantized);
    if (i->quantized) json_text(&j, "mode", option_mode_name(i->mode));
    if (i->quantized) json_text(&j, "act_scale", option_act_scale_name(i->act_scale));
    if (i->quantized) json_int(&j, "act_group", i->act_group);
    if (i->quantized) json_int(&j, "weight_group", i->weight_group);
    if (i->quantized) json_int(&j, "first_last_bits", i->first_last_bits);
    json_int(&j, "weight_bits", i->weight_bits);
    json_int(&j, "act_bits", i->act_bits);
    json_int(&j, "image", i->image);
    json_int(&j, "image_height", i->image_height);
    json_int(&j, "image_width", i->image_width);
    json_int(&j, "classes", i->classes);
    json_text(&j, "family", family_name(i->family));
    if (dfq_graph_get_structure(g)[0]) json_text(&j, "structure", dfq_graph_get_structure(g));
    json_sizes(&j, i);
    if (dfq_graph_get_choices(g)[0]) json_text(&j, "cells", dfq_graph_get_choices(g));
    json_labels(&j, g, i);
    json_int(&j, "parameters", i->parameters);
    json_int(&j, "macs", i->macs);
    json_open(&j, "mean", '[');
    for (int k = 0; k < 3; k++) json_fraction(&j, NULL, (double)i->mean[k]);
    json_close(&j, ']');
    json_open(&j, "std", '[');
    for (int k = 0; k < 3; k++) json_fraction(&j, NULL, (double)i->std[k]);
    json_close(&j, ']');
    json_properties(&j, g);
    if (i->quantized) {
        json_int(&j, "rotation", (int64_t)i->rotation);
        json_text(&j, "layer_bits", dfq_graph_get_layer_config(g));
        json_open(&j, "quantizers", '[');
        for (int32_t k = 0; k < i->quantizers; k++) {
            dfq_quantizer_info q = {.struct_size = sizeof q};
            if (dfq_graph_get_quantizer(g, k, &q) != DFQ_OK) continue;
            json_open(&j, NULL, '{');
            json_text(&j, "name", q.name);
            json_text(&j, "kind", model_quantizer_kind(&q));
            json_int(&j, "bits", q.bits);
            json_int(&j, "scales", q.scales);
            json_fraction(&j, "scale_min", (double)q.scale_min);
            json_fraction(&j, "scale_max", (double)q.scale_max);
            json_close(&j, '}');
        }
        json_close(&j, ']');
    }
    if (o->verbose) layers_json(&j, g);
    if (o->verbose) operations_json(&j, g);
    json_close(&j, '}');
    putchar('\n');
}

static void print_quantizers(const dfq_graph *g, const dfq_graph_info *i)
{
    int kinds[6] = {0, 0, 0, 0, 0, 0};
    for (int32_t k = 0; k < i->quantizers; k++) {
        dfq_quantizer_info q = {.struct_size = sizeof q};
        if (dfq_graph_get_quantizer(g, k, &q) != DFQ_OK || q.kind < 0 || q.kind > 5) continue;
        kinds[q.kind]++;
    }
    const char *own = dfq_graph_get_layer_config(g);
    printf("precision    weights %d bit", (int)i->weight_bits);
    if (!*own && i->first_last_bits != i->weight_bits)
        printf(" (first and last %d)", (int)i->first_last_bits);
    printf(", activations %d bit, mode %s\n", (int)i->act_bits, option_mode_name(i->mode));
    if (*own) printf("layer bits   %s\n", own);
    if (i->act_group) printf("groups       of %d channels of activations", (int)i->act_group);
    if (i->weight_group)
        printf("%s of %d columns of weights", i->act_group ? "," : "groups      ",
               (int)i->weight_group);
    if (i->act_group || i->weight_group) putchar('\n');
    if (i->rotation) printf("rotation     residual stream, seed %" PRIu64 "\n", i->rotation);
    printf("quantizers   %d: %d of weights, ", (int)i->quantizers,
           kinds[DFQ_QUANTIZER_WEIGHT] + kinds[DFQ_QUANTIZER_WEIGHT_MINMAX]);
    if (kinds[DFQ_QUANTIZER_ROW] > 0)
        printf("%d of rows and %d of columns of activations, scales found at run time\n",
               kinds[DFQ_QUANTIZER_ROW], kinds[DFQ_QUANTIZER_COLUMN]);
    else if (model_has_heads(i))
        printf("%d uniform and %d logarithmic of activations\n", kinds[DFQ_QUANTIZER_UNIFORM],
               kinds[DFQ_QUANTIZER_LOG]);
    else
        printf("%d of activations\n", kinds[DFQ_QUANTIZER_UNIFORM]);
}

/* Each with what told it. */
static void print_properties(const dfq_graph *g)
{
    for (int32_t i = 0; i < dfq_graph_get_property_count(g); i++) {
        dfq_property_info p = {.struct_size = sizeof p};
        if (dfq_graph_get_property(g, i, &p) != DFQ_OK) continue;
        printf("%-12s %-17s %-26s %s\n", i ? "" : "properties", p.name, p.value,
               model_source_name(p.source));
    }
}

/* Tensors that the network does without. */
static void print_leftover(const dfq_graph *g)
{
    enum { FIRST = 3 };
    const int64_t n = dfq_graph_get_leftover_count(g);
    if (n == 0) return;
    printf("left over    %lld tensor%s: ", (long long)n, n > 1 ? "s" : "");
    for (int64_t k = 0; k < n && k < FIRST; k++) {
        fputs(k ? ", " : "", stdout);
        text_put(stdout, dfq_graph_get_leftover(g, k));
    }
    puts(n > FIRST ? ", ..." : "");
}

/* The first names of classes, where they are known. */
static void print_labels(const dfq_graph *g, const dfq_graph_info *i)
{
    enum { FIRST = 3 };
    if (!*dfq_graph_get_class_name(g, 0)) return;
    fputs("labels       ", stdout);
    for (int64_t k = 0; k < i->classes && k < FIRST; k++) {
        fputs(k ? "; " : "", stdout);
        text_put(stdout, dfq_graph_get_class_name(g, k));
    }
    puts(i->classes > FIRST ? "; ..." : "");
}

/* What the network is built of. */
static void print_blocks(const dfq_graph_info *i)
{
    if (i->family == DFQ_FAMILY_SWIN)
        printf("blocks       %lld in %lld stages, the first of width %lld, %lld heads, MLP %lld; "
               "windows of %lld, patches of %lld\n",
               (long long)i->depth, (long long)i->stages, (long long)i->width, (long long)i->heads,
               (long long)i->hidden, (long long)i->window, (long long)i->patch);
    else if (i->heads > 0)
        printf("blocks       %lld of width %lld, %lld heads, MLP %lld; patches of %lld\n",
               (long long)i->depth, (long long)i->width, (long long)i->heads, (long long)i->hidden,
               (long long)i->patch);
    else if (i->family == DFQ_FAMILY_STAGES)
        printf("blocks       %lld, tokens of width %lld between the stages; patches of %lld\n",
               (long long)i->depth, (long long)i->width, (long long)i->patch);
    else if (i->family != DFQ_FAMILY_IMPORTED)
        printf("layers       %d convolutions with BatchNorm, and the classifier\n",
               (int)i->batchnorms);
}

static void print_text(const dfq_graph *g, const dfq_graph_info *i, const char *path)
{
    char a[TEXT_SHORT];
    fputs("file         ", stdout);
    text_put(stdout, path);
    printf(", %s\n", text_bytes((double)i->file_bytes, a));
    printf("network      %s, %s\n", dfq_graph_get_name(g), family_name(i->family));
    if (*dfq_graph_get_naming(g)) printf("names        those of %s\n", dfq_graph_get_naming(g));
    print_leftover(g);
    printf("input        3 x %lld x %lld, mean %g %g %g, std %g %g %g\n",
           (long long)i->image_height, (long long)i->image_width, (double)i->mean[0],
           (double)i->mean[1], (double)i->mean[2], (double)i->std[0], (double)i->std[1],
           (double)i->std[2]);
    if (*dfq_graph_get_structure(g)) printf("structure    %s\n", dfq_graph_get_structure(g));
    print_blocks(i);
    if (dfq_graph_get_choices(g)[0]) printf("cells        %s\n", dfq_graph_get_choices(g));
    if (i->classes > 0)
        printf("classes      %lld\n", (long long)i->classes);
    else
        printf("outputs      %lld features, no head\n", (long long)i->width);
    print_labels(g, i);
    printf("parameters   %.4g million\n", (double)i->parameters * 1e-6);
    printf("forward      %.4g GMAC an image\n", (double)i->macs * 1e-9);
    if (i->quantized)
        print_quantizers(g, i);
    else
        printf("precision    float\n");
    print_properties(g);
}

int cmd_info(struct session *s)
{
    dfq_graph *g;
    dfq_graph_info info;
    int code = model_load(s, ~0, &g, &info);
    if (code) return code;
    if (s->o->json)
        print_json(g, &info, s->o);
    else
        print_text(g, &info, s->o->input);
    if (s->o->verbose && !s->o->json) layers_print(g);
    dfq_graph_release(g);
    return CODE_DONE;
}
