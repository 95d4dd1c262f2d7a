/* Makes a network from the tensors of a file: the family's row finds the architecture, and every
 * parameter is checked. */
#include "nn/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/json.h"
#include "nn/config.h"
#include "nn/family.h"

/* -- architecture ------------------------------------------------------------------------------ */

dfq_status dfqi_need_tensor(const dfqi_safetensors *st, const char *path, const char *name,
                            int32_t rank, const char *expected, const dfq_tensor **out)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    if (!t)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing; %s", path, name,
                         expected);
    if (t->rank != rank)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE, "%s: tensor %s has rank %d, must have %d", path,
                         name, t->rank, rank);
    *out = t;
    return DFQ_OK;
}

void dfqi_imagenet_statistics(dfqi_arch *a)
{
    memcpy(a->mean, (float[]){0.485f, 0.456f, 0.406f}, sizeof a->mean);
    memcpy(a->std, (float[]){0.229f, 0.224f, 0.225f}, sizeof a->std);
}

static bool is_named_so(const dfqi_family_row *row, const char *name)
{
    for (int k = 0; row->names[k]; k++)
        if (strncmp(name, row->names[k], strlen(row->names[k])) == 0) return true;
    return false;
}

/* Networks without a family here, by a tensor that they have; NULL: none of them. An ONNX file has
 * their structure. */
static const char *known_by(const dfqi_safetensors *st)
{
    static const char *const rows[][2] = {
        {"s1.b1.conv1.conv.weight", "RegNet"},
        {"trunk_output.block1.block1-0.f.a.0.weight", "RegNet"},
        {"features.denseblock1.denselayer1.norm1.weight", "DenseNet"},
        {"stages.0.blocks.0.conv_dw.weight", "ConvNeXt"},
        {"features.0.weight", "VGG"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dfqi_st_find(st, rows[i][0])) return rows[i][1];
    return NULL;
}

/* Does a family with this turn fit? */
static bool goes_first(const dfqi_safetensors *st, dfqi_family_turn turn, dfqi_family *out)
{
    for (int f = 0; f < DFQI_FAMILY_COUNT; f++) {
        const dfqi_family_row *row = dfqi_family_get((dfqi_family)f);
        if (row->turn != turn || !row->fits(st)) continue;
        *out = (dfqi_family)f;
        return true;
    }
    return false;
}

/* The family by the name, or by the tensors where there is no name. */
static dfq_status find_family(const dfqi_safetensors *st, const char *path, const char *name,
                              dfqi_family *out)
{
    int named =
        DFQI_FAMILY_COUNT; /* the first that is named so; the tensors choose among several */
    for (int f = DFQI_FAMILY_COUNT - 1; f >= 0; f--)
        if (name && is_named_so(dfqi_family_get((dfqi_family)f), name)) named = f;
    if (goes_first(st, DFQI_TURN_ALWAYS, out)) return DFQ_OK;
    if (!name && goes_first(st, DFQI_TURN_FIRST, out)) return DFQ_OK;
    for (int f = 0; f < DFQI_FAMILY_COUNT; f++) {
        const dfqi_family_row *row = dfqi_family_get((dfqi_family)f);
        if ((name && !is_named_so(row, name)) || !row->fits(st)) continue;
        *out = (dfqi_family)f;
        return DFQ_OK;
    }
    if (named < DFQI_FAMILY_COUNT) {
        *out = (dfqi_family)named;
        return DFQ_OK;
    }
    if (name)
        return dfqi_fail(
            st->ctx, DFQ_E_UNSUPPORTED,
            "%s: architecture \"%.60s\" is not known; names begin with vit, deit, swin, resnet, "
            "mobilenet or efficientnet",
            path, name);
    const char *space = dfqi_st_meta_find(st, "dfq.supernet.space");
    if (space)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                         "%s: the file holds the supernet of space %.60s, which only an "
                         "exploration reads; give the network that it derived, a file of its own",
                         path, space);
    const char *other = known_by(st);
    if (other)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                         "%s: the tensors are those of a %s, whose structure is read from ONNX "
                         "alone; export it and give the .onnx file",
                         path, other);
    return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                     "%s: the tensors are those of no known architecture; it must have "
                     "patch_embed.proj.weight (vision transformers), or conv1.weight, "
                     "features.init_block.* or features.0.0.weight (ResNet, MobileNetV2), or "
                     "conv_stem.weight (EfficientNet, MobileNetV3)",
                     path);
}

/* Whether the name is one of a network with such tensors, as the row's `name`. */
static bool ask_name(dfqi_arch *a, const char *name, int32_t source)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    char plain[DFQI_NAME_MAX];
    dfqi_name_plain(name, plain);
    return !row->name || row->name(a, plain, source);
}

/* The file's name without folders and ending: people keep the architecture's. */
static void take_file_name(const char *path, dfqi_arch *a)
{
    static const char *const endings[] = {".index.json", ".safetensors", ".onnx"};
    char name[sizeof a->name];
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = strlen(base);
    for (int k = 0; k < 3; k++) {
        size_t m = strlen(endings[k]);
        if (n > m && memcmp(base + n - m, endings[k], m) == 0) n -= m;
    }
    if (n >= sizeof name) return;
    snprintf(name, sizeof name, "%.*s", (int)n, base);
    dfqi_arch before = *a;
    (void)ask_name(a, name, DFQ_SOURCE_FILE_NAME);
    if (memcmp(before.source, a->source, sizeof a->source) != 0)
        snprintf(a->name, sizeof a->name, "%s", name);
    dfqi_printable(a->name);
}

/* The file calls the network `name`, which has other tensors: it gets the name that its tensors
 * give. */
static dfq_status drop_name(const dfqi_safetensors *st, const char *path, const char *name,
                            dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    dfqi_arch plain = {.channels = a->channels, .family = a->family};
    char what[96], show[DFQI_SHOW_MAX];
    DFQI_TRY(row->find(st, path, &plain));
    memcpy(a->name, plain.name, sizeof a->name);
    row->describe(a, what, sizeof what);
    dfqi_log(st->ctx, DFQ_LOG_WARNING,
             "%s: metadata architecture is \"%s\", which does not fit the tensors, those of %s",
             path, dfqi_show(name, show), what);
    return DFQ_OK;
}

/* Warnings for callers who read no properties. */
static void log_assumed(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    char text[1280] = "", value[DFQI_PROP_TEXT];
    size_t at = 0;
    for (int p = 0; p < DFQI_PROP_COUNT; p++)
        if (a->source[p] == DFQ_SOURCE_ASSUMED && dfqi_prop_decides((dfqi_prop)p))
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %s", at ? ", " : "",
                                   dfqi_prop_name((dfqi_prop)p),
                                   dfqi_prop_text(a, (dfqi_prop)p, value));
    if (at) dfqi_log(ctx, DFQ_LOG_INFO, "%s: assumed %s", path, text);
}

static dfq_status check_resize(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    char told[DFQI_SIZE_TEXT], least[DFQI_SIZE_TEXT];
    if (a->source[DFQI_PROP_RESIZE] != DFQ_SOURCE_OPTION || a->resize.height == 0 ||
        (a->resize.height >= a->image.height && a->resize.width >= a->image.width))
        return DFQ_OK;
    dfqi_size_text(a->image, least);
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "%s: resize is %s, must be at least the input of %s; give --resize %s or "
                     "more, or --resize 0 for none",
                     path, dfqi_size_text(a->resize, told), least, least);
}

/* Fills *a, also on failure. */
static dfq_status find_arch(const dfqi_safetensors *st, const char *path, const dfqi_naming *naming,
                            const dfq_load_options *o, dfqi_arch *a)
{
    const char *name = o && o->arch ? o->arch : dfqi_st_meta_find(st, "architecture");
    DFQI_TRY(find_family(st, path, name, &a->family));
    const dfqi_family_row *row = dfqi_family_get(a->family);
    if (name) snprintf(a->name, sizeof a->name, "%s", name);
    dfqi_printable(a->name);
    DFQI_TRY(row->find(st, path, a));
    dfqi_naming_assume(naming, a);
    if (row->name && !name) take_file_name(path, a);
    const bool unfit = name && !ask_name(a, name, DFQ_SOURCE_NAME);
    DFQI_TRY(dfqi_prop_read_meta(st, path, a));
    DFQI_TRY(dfqi_config_check(st, path, a));
    if (o) DFQI_TRY(dfqi_prop_read_options(st->ctx, path, o, a));
    if (o && o->arch) DFQI_TRY(dfqi_name_check(st->ctx, path, name, a));
    if (row->check) DFQI_TRY(row->check(st->ctx, path, a));
    dfqi_resize_settle(a);
    DFQI_TRY(check_resize(st->ctx, path, a));
    a->source[DFQI_PROP_CROP] = a->source[DFQI_PROP_IMAGE];
    if (dfqi_prop_applies(a, DFQI_PROP_GRID))
        a->source[DFQI_PROP_GRID] = a->source[DFQI_PROP_IMAGE];
    /* logged after all steps that may fail, so that an error stands alone */
    if (unfit) DFQI_TRY(drop_name(st, path, name, a));
    dfqi_prop_warn_unheard(st, path, a);
    log_assumed(st->ctx, path, a);
    return DFQ_OK;
}

dfq_status dfqi_arch_find(const dfqi_safetensors *st, const char *path, const dfqi_naming *naming,
                          const dfq_load_options *o, dfqi_arch *out)
{
    dfqi_arch a = {.channels = 3};
    dfq_status status = find_arch(st, path, naming, o, &a);
    if (status == DFQ_OK)
        *out = a;
    else
        dfqi_arch_fini(&a);
    return status;
}

void dfqi_arch_read(dfqi_arch *a)
{
    dfqi_swin_arch *w = &a->of.swin;
    a->of.vit.grid = dfqi_square(0);
    a->of.vit.patches = 0;
    memset(w->rows, 0, sizeof w->rows);
    memset(w->table, 0, sizeof w->table);
    w->joint_fit = 0;
}

/* -- parameters -------------------------------------------------------------------------------- */

/* Squares of what is larger leave the range of floats, and no trained network has it. */
static const float largest_value = 1e15f;

static dfq_status check_values(dfq_context *ctx, const char *path, const dfqi_expect *e,
                               const dfq_tensor *t)
{
    const float *v = dfqi_tensor_f32(t);
    if (t->fill) return DFQ_OK; /* who made it has looked */
    const int64_t n = dfqi_tensor_count(t);
    int64_t zeros = 0;
    for (int64_t i = 0; i < n; i++) {
        zeros += v[i] == 0.0f;
        if (!(fabsf(v[i]) <= largest_value) || (e->variance && v[i] < 0.0f))
            return dfqi_fail(ctx, DFQ_E_NUMERIC,
                             "%s: tensor %s holds %g at element %lld, must be %s; the file is "
                             "damaged or the network was never trained",
                             path, e->name, (double)v[i], (long long)i,
                             isfinite(v[i]) && fabsf(v[i]) > largest_value
                                 ? "at most 1e15 in magnitude"
                             : e->variance ? "finite and not below 0"
                                           : "finite");
    }
    if (!e->variance || zeros < n) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_NUMERIC,
                     "%s: tensor %s holds 0 everywhere, must have a variance above 0; the network "
                     "was never trained",
                     path, e->name);
}

/* Is `t` what parameter e must be? *out is then the same as F32, one reference. */
static dfq_status convert(dfq_context *ctx, const char *path, const dfqi_expect *e,
                          const dfq_tensor *t, dfq_tensor **out)
{
    char have[96], want[96];
    if (t->rank != e->rank || memcmp(t->dims, e->dims, (size_t)e->rank * sizeof *e->dims) != 0)
        return dfqi_fail(ctx, DFQ_E_SHAPE, "%s: tensor %s is %s, must be %s", path, e->name,
                         dfqi_shape_text(t->rank, t->dims, have, sizeof have),
                         dfqi_shape_text(e->rank, e->dims, want, sizeof want));
    if (t->dtype != DFQI_F32 && t->dtype != DFQI_F16 && t->dtype != DFQI_BF16)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "%s: tensor %s is %s, must be F32, F16 or BF16",
                         path, e->name, dfqi_dtype_name(t->dtype));
    DFQI_TRY(dfqi_tensor_to_f32(t, out));
    dfq_status status = check_values(ctx, path, e, *out);
    if (status != DFQ_OK) {
        dfqi_tensor_release(*out);
        *out = NULL;
    }
    return status;
}

static dfq_status take_one(const dfqi_safetensors *st, const char *path, const dfqi_expect *e,
                           dfqi_param *out)
{
    const dfq_tensor *t = dfqi_st_find(st, e->name);
    if (!t) return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing", path, e->name);
    return convert(st->ctx, path, e, t, &out->tensor);
}

dfq_status dfqi_network_set(dfqi_network *net, const char *name, const dfq_tensor *t)
{
    const dfqi_family_row *row = dfqi_family_get(net->arch.family);
    dfq_tensor *own = NULL, *to = dfqi_network_find(net, name);
    char show[DFQI_SHOW_MAX];
    int32_t i = 0;
    if (!to)
        return dfqi_fail(net->ctx, DFQ_E_INVALID, "%s has no parameter \"%s\"", net->arch.name,
                         dfqi_show(name, show));
    dfqi_expect *e = dfqi_calloc(net->ctx, (size_t)net->n_params, sizeof *e);
    if (!e) return DFQ_E_NOMEM;
    row->expect(&net->arch, e);
    while (net->params[i].tensor != to) i++;
    dfq_status status = convert(net->ctx, net->arch.name, &e[i], t, &own);
    if (status == DFQ_OK && own != to)
        memcpy(to->data, own->data, (size_t)dfqi_tensor_count(to) * sizeof(float));
    dfqi_tensor_release(own);
    dfqi_free(net->ctx, e);
    return status;
}

static dfq_status check_leftover(const dfqi_safetensors *st, const char *path,
                                 const dfqi_network *net)
{
    const dfqi_family_row *row = dfqi_family_get(net->arch.family);
    char what[96];
    for (int64_t i = 0; i < st->n_entries; i++) {
        const char *name = st->entries[i].name;
        if (dfqi_network_find(net, name) || (row->needless && row->needless(name))) continue;
        row->describe(&net->arch, what, sizeof what);
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor %.80s does not belong to %s", path,
                         name, what);
    }
    return DFQ_OK;
}

dfq_status dfqi_network_take(const dfqi_safetensors *st, const char *path, const dfqi_arch *arch,
                             dfqi_network *out)
{
    dfqi_network net;
    dfqi_expect *e;
    dfq_status status = dfqi_network_begin(st->ctx, arch, &net, &e);
    if (status != DFQ_OK) return status;
    for (int32_t i = 0; i < net.n_params && status == DFQ_OK; i++)
        status = take_one(st, path, &e[i], &net.params[i]);
    dfqi_free(st->ctx, e);
    if (status == DFQ_OK) status = check_leftover(st, path, &net);
    if (status == DFQ_OK)
        *out = net;
    else
        dfqi_network_fini(&net);
    return status;
}

dfq_status dfqi_network_take_names(const dfqi_safetensors *st, const char *path, dfqi_network *net)
{
    const char *text = dfqi_st_meta_find(st, DFQI_META_NAMES);
    dfqi_class_names *names;
    if (!text) return DFQ_OK;
    char *where = dfqi_format(st->ctx, "%s: metadata " DFQI_META_NAMES, path);
    if (!where) return DFQ_E_NOMEM;
    dfq_status status = dfqi_class_names_parse(st->ctx, where, text, strlen(text), 0, &names);
    dfqi_free(st->ctx, where);
    if (status != DFQ_OK) return status;
    const int64_t n = dfqi_class_names_count(names);
    if (!dfqi_arch_is_backbone(&net->arch) && n == net->arch.classes) {
        net->names = names;
        return DFQ_OK;
    }
    dfqi_class_names_release(names);
    dfqi_log(st->ctx, DFQ_LOG_WARNING,
             "%s: metadata " DFQI_META_NAMES " has %lld names, the network has %lld classes; they "
             "are left out",
             path, (long long)n,
             dfqi_arch_is_backbone(&net->arch) ? 0 : (long long)net->arch.classes);
    return DFQ_OK;
}
