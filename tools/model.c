/* Loads models, and evaluates them on labelled images. */
#include "model.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

/* -- what the network is ----------------------------------------------------------------------- */

int model_has_heads(const dfq_graph_info *info)
{
    return info->family == DFQ_FAMILY_VIT || info->family == DFQ_FAMILY_SWIN;
}

const char *model_source_name(int32_t source)
{
    static const char *const names[] = {"library", "tensors",   "metadata", "option",
                                        "name",    "file name", "assumed"};
    return source >= 0 && source <= DFQ_SOURCE_ASSUMED ? names[source] : "unknown";
}

/* 0: of a square. */
static int64_t width_of(const int64_t size[2])
{
    return size[1] == size[0] ? 0 : size[1];
}

static dfq_load_options said(const struct options *o)
{
    dfq_load_options l;
    dfq_load_options_init(&l, sizeof l);
    l.arch = o->arch;
    l.mean = option_given(o, OPT_MEAN) ? o->mean : NULL;
    l.std = option_given(o, OPT_STD) ? o->std : NULL;
    l.heads = o->heads;
    l.image = o->image[0];
    l.image_width = width_of(o->image);
    l.image_size = o->image_size[0];
    l.image_size_width = width_of(o->image_size);
    l.crop = option_given(o, OPT_CROP) ? o->crop : 0;
    l.resize = o->resize[0] == 0 ? -1 : o->resize[0] < 0 ? 0 : (int32_t)o->resize[0];
    l.resize_width = width_of(o->resize);
    l.stem = o->stem + 1;
    l.interpolation = o->interpolation + 1;
    l.activation = o->activation + 1;
    l.pooling = o->pooling + 1;
    l.class_names = o->labels;
    return l;
}

enum { TEXT_THREE = 64 };

static void three(const struct options *o, enum option_id id, const float *v, char out[TEXT_THREE])
{
    snprintf(out, TEXT_THREE, "none");
    if (option_given(o, id))
        snprintf(out, TEXT_THREE, "%.9g,%.9g,%.9g", (double)v[0], (double)v[1], (double)v[2]);
}

char *model_describe(const struct options *o)
{
    char mean[TEXT_THREE], std[TEXT_THREE], crop[TEXT_SHORT] = "none";
    char image[TEXT_SHORT], size[TEXT_SHORT], resize[TEXT_SHORT];
    three(o, OPT_MEAN, o->mean, mean);
    three(o, OPT_STD, o->std, std);
    if (option_given(o, OPT_CROP)) snprintf(crop, sizeof crop, "%.17g", o->crop);
    return text_format(
        "--arch %s\n--heads %lld\n--image %s\n--image-size %s\n--stem %s\n--mean %s\n--std %s\n"
        "--resize %s\n--crop %s\n--interpolation %s\n--activation %s\n--pooling %s\n",
        o->arch ? o->arch : "none", (long long)o->heads, text_size(o->image[0], o->image[1], image),
        text_size(o->image_size[0], o->image_size[1], size),
        o->stem < 0 ? "none" : option_stem_name(o->stem), mean, std,
        text_size(o->resize[0], o->resize[1], resize), crop,
        o->interpolation < 0 ? "none" : option_interpolation_name(o->interpolation),
        o->activation < 0 ? "none" : option_activation_name(o->activation),
        o->pooling < 0 ? "none" : option_pooling_name(o->pooling));
}

/* Does the verb have an option for this property? Those without are said by metadata. */
static int has_option(const struct options *o, const char *name)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (i != OPT_PICTURE && option_table[i].verbs >> o->verb & 1 &&
            strcmp(option_table[i].name, name) == 0)
            return 1;
    return 0;
}

/* "heads 3, mean 0.5,0.5,0.5": what matters and comes from `source`; how many. */
static int list(const struct options *o, const dfq_graph *g, int32_t decides, int32_t source,
                char *text, size_t size)
{
    int n = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < dfq_graph_get_property_count(g); i++) {
        dfq_property_info p = {.struct_size = sizeof p};
        if (dfq_graph_get_property(g, i, &p) != DFQ_OK || p.source != source ||
            !(p.decides & decides))
            continue;
        size_t at = strlen(text);
        snprintf(text + at, size - at, "%s%s%s %s", n++ ? ", " : "",
                 has_option(o, p.name) ? "--" : "", p.name, p.value);
    }
    return n;
}

/* Warns of assumed properties: a wrong guess changes the result. */
static void warn(struct session *s, const dfq_graph *g, int32_t decides)
{
    char assumed[1024], by_file[1024];
    const char *arch = s->o->arch, *name = dfq_graph_get_name(g);
    int a = list(s->o, g, decides, DFQ_SOURCE_ASSUMED, assumed, sizeof assumed);
    int b = list(s->o, g, decides, DFQ_SOURCE_FILE_NAME, by_file, sizeof by_file);
    /* what a network is called where nothing calls it otherwise; a ResNet's is of its layers */
    int nameless = b || strcmp(name, "vit") == 0 || strcmp(name, "mobilenetv2") == 0;
    if (a && (arch || !nameless))
        session_error(s, 0,
                      "warning: %s: name %s does not tell everything, assumed: %s; change it by "
                      "these options or metadata keys, or by %s",
                      s->o->input, arch ? arch : name, assumed,
                      arch ? "another name" : "--arch NAME");
    else if (a || b)
        session_error(s, 0,
                      "warning: %s does not tell its architecture; %s%s%s%s%s; change it by these "
                      "options or metadata keys, or by --arch NAME",
                      s->o->input, a ? "assumed: " : "", assumed, a && b ? "; " : "",
                      b ? "by the file's name: " : "", by_file);
}

int model_load(struct session *s, int32_t decides, dfq_graph **out_graph, dfq_graph_info *out_info)
{
    dfq_graph *g;
    dfq_graph_info info = {.struct_size = sizeof info};
    const dfq_load_options o = said(s->o);
    dfq_status status = dfq_graph_load_with(s->ctx, s->o->input, &o, &g);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    status = dfq_graph_get_info(g, &info);
    if (status != DFQ_OK) {
        dfq_graph_release(g);
        return session_fail(s, status, PHASE_READ);
    }
    warn(s, g, decides);
    *out_graph = g;
    *out_info = info;
    return CODE_DONE;
}

const char *model_quantizer_kind(const dfq_quantizer_info *q)
{
    static const char *const names[6][2] = {
        {"weight, per tensor", "weight, per channel"},
        {"activation, per tensor", "activation, per channel"},
        {"activation, logarithmic", "activation, logarithmic, per row"},
        {"weight, per channel, min-max range", "weight, per channel, min-max range"},
        {"activation, per row at run time", "activation, per row at run time"},
        {"activation, per column at run time", "activation, per column at run time"}};
    if (q->kind < 0 || q->kind > 5) return "unknown";
    if (q->group > 0) return "activation, per group of a row at run time";
    return names[q->kind][q->scales > 1];
}

int tally_holds(const struct tally *t)
{
    return t->correct >= 0 && t->correct <= t->correct5 && t->not_finite >= 0 &&
           t->not_finite <= t->n && t->correct5 <= t->n - t->not_finite;
}

int model_need_classes(struct session *s, int64_t classes)
{
    if (classes > 0) return CODE_DONE;
    return session_error(s, CODE_INPUT,
                         "%s: the network has no head, its outputs are features; only a network "
                         "with classes can be judged",
                         s->o->input);
}

int model_open_data(struct session *s, const dfq_graph *g, int64_t classes, dfq_dataset **out)
{
    int code = model_need_classes(s, classes);
    if (code) return code;
    dfq_dataset_options o;
    dfq_dataset_options_init(&o, sizeof o);
    o.classes = (int32_t)classes;
    o.labels_from = s->o->labels_from;
    o.graph = g;
    dfq_status status = dfq_dataset_open_with(s->ctx, s->o->data, &o, out);
    return status == DFQ_OK ? CODE_DONE : session_fail(s, status, PHASE_READ);
}

void model_say_pictures(struct session *s, const dfq_dataset *d)
{
    dfq_dataset_info info = {.struct_size = sizeof info};
    if (dfq_dataset_get_info(d, &info) != DFQ_OK) return;
    if (info.turned > 0)
        session_say(s,
                    "%lld of %lld pictures are turned or mirrored by their EXIF orientation, which "
                    "is not followed, as PyTorch does not; turn their pixels where that is wrong",
                    (long long)info.turned, (long long)info.count);
    if (info.cropped > 0)
        session_say(s,
                    "%lld of %lld pictures are larger than the crop and are not resized, so that "
                    "only their middle counts; --resize or --crop scales them first",
                    (long long)info.cropped, (long long)info.count);
}

static dfq_status evaluate(struct evaluated net, const dfq_dataset *d, int64_t first, int64_t n,
                           dfq_accuracy *out)
{
    return net.runtime ? dfq_runtime_evaluate(net.runtime, d, first, n, out)
                       : dfq_graph_evaluate(net.graph, d, first, n, out);
}

int model_measure(struct session *s, struct evaluated net, const dfq_dataset *d,
                  double *out_seconds)
{
    enum { FEW = 8 };
    int64_t n = dfq_dataset_get_count(d);
    dfq_accuracy a = {.struct_size = sizeof a};
    if (n > FEW) n = FEW;
    dfq_status status = evaluate(net, d, 0, n, &a); /* packs weights, fills caches */
    double start = text_now();
    if (status == DFQ_OK) status = evaluate(net, d, 0, n, &a);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_READ);
    *out_seconds = (text_now() - start) / (double)n;
    return CODE_DONE;
}

void model_say_not_finite(struct session *s, const char *network, int64_t n, int64_t not_finite)
{
    if (not_finite > 0)
        session_error(s, 0,
                      "warning: %s: %lld of %lld images have logits that are NaN or infinite; they "
                      "count as wrong",
                      network, (long long)not_finite, (long long)n);
}

int model_judge(struct session *s, struct evaluated net, const dfq_dataset *d, int64_t count,
                const char *label, double later, struct tally *t)
{
    enum { FIRST_CHUNK = 64 };
    int64_t chunk = FIRST_CHUNK;
    int code = CODE_DONE;
    progress_begin(&s->progress, label, (uint64_t)count, later);
    while (t->n < count && code == CODE_DONE) {
        dfq_accuracy a = {.struct_size = sizeof a};
        double start = text_now();
        s->progress.base = (uint64_t)t->n;
        if (chunk > count - t->n) chunk = count - t->n;
        dfq_status status =
            session_interrupted() ? DFQ_E_CANCELLED : evaluate(net, d, t->n, chunk, &a);
        if (status == DFQ_E_CANCELLED) {
            code = CODE_INTERRUPTED;
        } else if (status != DFQ_OK) {
            code = session_fail(s, status, PHASE_READ);
        } else {
            t->n += a.n;
            t->correct += a.correct;
            t->correct5 += a.correct5;
            t->not_finite += a.not_finite;
            /* An interruption loses one chunk, a second or two of work. */
            if (text_now() - start < 1 && chunk < 4096) chunk *= 2;
        }
    }
    progress_end(&s->progress);
    if (!code) model_say_not_finite(s, dfq_graph_get_name(net.graph), t->n, t->not_finite);
    return code;
}
