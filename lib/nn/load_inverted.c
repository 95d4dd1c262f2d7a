/* Loading networks of inverted residuals: blocks from shapes, strides and activations from the form
 * that the stages' kernels show, padding from the names of parameters or of the network. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "nn/inverted.h"

static const char expected[] =
    "an EfficientNet or MobileNet with the names of timm, torchvision or "
    "efficientnet-pytorch is expected";

static bool has(const dfqi_safetensors *st, const char *layer)
{
    return dfqi_cnn_has(st, "%s.weight", layer);
}

static bool find_keys(const dfqi_safetensors *st, dfqi_inverted_arch *c)
{
    *c = (dfqi_inverted_arch){.keys = DFQI_INVERTED_TIMM, .staged = 1};
    if (has(st, "conv_stem")) return true;
    c->keys = DFQI_INVERTED_LUKEMELAS;
    c->staged = 0;
    if (has(st, "_conv_stem")) return true;
    c->keys = DFQI_INVERTED_TORCHVISION;
    if (has(st, "features.1.block.0.0")) return true;
    c->staged = 1;
    return has(st, "features.1.0.block.0.0");
}

static bool fits(const dfqi_safetensors *st)
{
    dfqi_inverted_arch c;
    return find_keys(st, &c);
}

/* -- blocks ------------------------------------------------------------------------------------ */

static dfq_status weight_of(const dfqi_safetensors *st, const char *path, const char *layer,
                            const dfq_tensor **out)
{
    char name[DFQI_NAME_MAX], shape[96];
    snprintf(name, sizeof name, "%s.weight", layer);
    DFQI_TRY(dfqi_need_tensor(st, path, name, 4, expected, out));
    const int64_t *d = (*out)->dims;
    if (d[0] >= 1 && d[0] <= INT16_MAX && d[1] >= 1 && d[1] <= INT16_MAX && d[2] == d[3] &&
        d[2] >= 1 && d[2] <= 9)
        return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                     "%s: tensor %s is %s, must be [O,C,k,k] with up to %d channels and kernels of "
                     "1 to 9",
                     path, name, dfqi_shape_text(4, d, shape, sizeof shape), INT16_MAX);
}

/* The stem and the last layer of a block have their own rows of names. */
static const char *layer_name(const dfqi_inverted_arch *c, int32_t index,
                              const dfqi_inverted_block *b, dfqi_inverted_layer layer,
                              dfqi_inverted_names *names)
{
    dfqi_inverted_name_layer(c, index, b, layer, names);
    return names->conv;
}

/* Which of the names that depend on it a block has; false: there is no such block. */
static bool find_parts(const dfqi_safetensors *st, const dfqi_inverted_arch *c, int32_t index,
                       dfqi_inverted_block *b)
{
    dfqi_inverted_names n;
    for (b->expands = 1; b->expands >= 0; b->expands--) {
        b->squeeze = 1;
        if (!has(st, layer_name(c, index, b, DFQI_INVERTED_REDUCE, &n))) b->squeeze = 0;
        bool there = has(st, layer_name(c, index, b, DFQI_INVERTED_PROJECT, &n)) &&
                     has(st, layer_name(c, index, b, DFQI_INVERTED_DEPTHWISE, &n));
        if (there && (!b->expands || has(st, layer_name(c, index, b, DFQI_INVERTED_EXPAND, &n))))
            return true;
    }
    return false;
}

static dfq_status read_block(const dfqi_safetensors *st, const char *path,
                             const dfqi_inverted_arch *c, int32_t index, dfqi_inverted_block *b)
{
    dfqi_inverted_names n;
    const dfq_tensor *w;
    DFQI_TRY(weight_of(st, path, layer_name(c, index, b, DFQI_INVERTED_DEPTHWISE, &n), &w));
    b->mid = b->in = (int16_t)w->dims[0];
    b->kernel = (int8_t)w->dims[2];
    DFQI_TRY(weight_of(st, path, layer_name(c, index, b, DFQI_INVERTED_PROJECT, &n), &w));
    b->out = (int16_t)w->dims[0];
    if (b->expands) {
        DFQI_TRY(weight_of(st, path, layer_name(c, index, b, DFQI_INVERTED_EXPAND, &n), &w));
        b->in = (int16_t)w->dims[1];
    }
    if (!b->squeeze) return DFQ_OK;
    DFQI_TRY(weight_of(st, path, layer_name(c, index, b, DFQI_INVERTED_REDUCE, &n), &w));
    b->squeeze = (int16_t)w->dims[0];
    return DFQ_OK;
}

/* Blocks in their order. Where names have no stages, a stage begins where the channels change. */
static dfq_status find_blocks(const dfqi_safetensors *st, const char *path, dfqi_inverted_arch *c)
{
    dfqi_inverted_block b = {0};
    while (c->n_blocks < DFQI_INVERTED_BLOCKS) {
        if (!find_parts(st, c, c->n_blocks, &b)) {
            if (!c->staged || b.unit == 0 || b.stage + 1 >= INT8_MAX) break;
            b = (dfqi_inverted_block){.stage = (int8_t)(b.stage + 1)};
            continue;
        }
        DFQI_TRY(read_block(st, path, c, c->n_blocks, &b));
        if (!c->staged && c->n_blocks > 0 && b.in != b.out) {
            b.stage++;
            b.unit = 0;
        }
        c->blocks[c->n_blocks++] = b;
        b.unit++;
    }
    if (c->n_blocks > 0) return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: no block has all of its convolutions; %s", path,
                     expected);
}

/* -- form -------------------------------------------------------------------------------------- */

/* The kernel of each stage, and whether it has squeeze-and-excite; '?' where blocks differ. */
static void describe_stages(const dfqi_inverted_arch *c, char *kernels, char *squeeze, int32_t size)
{
    memset(kernels, 0, (size_t)size);
    memset(squeeze, 0, (size_t)size);
    for (int32_t i = 0; i < c->n_blocks; i++) {
        const dfqi_inverted_block *b = &c->blocks[i];
        if (b->stage + 1 >= size) return;
        const char kernel = (char)('0' + b->kernel), has_squeeze = b->squeeze ? '1' : '0';
        kernels[b->stage] = !b->unit || kernels[b->stage] == kernel ? kernel : '?';
        squeeze[b->stage] = !b->unit || squeeze[b->stage] == has_squeeze ? has_squeeze : '?';
    }
}

static dfq_status find_form(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    enum { SIZE = 16 };
    dfqi_inverted_arch *c = &a->of.inverted;
    char kernels[SIZE], squeeze[SIZE];
    describe_stages(c, kernels, squeeze, SIZE);
    c->form = dfqi_inverted_find_form(kernels, squeeze);
    if (c->form == DFQI_INVERTED_FORMS)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                         "%s: stages of blocks with kernels %s, squeeze-and-excite in %s: no such "
                         "network is known, and tensors do not tell its strides; export it to ONNX",
                         path, kernels, squeeze);
    const dfqi_inverted_row *form = dfqi_inverted_form_of(a);
    for (int32_t i = 0; i < c->n_blocks; i++) {
        dfqi_inverted_block *b = &c->blocks[i];
        b->stride = (int8_t)(b->unit ? 1 : form->strides[b->stage] - '0');
        b->curved = form->relu[b->stage] == '0';
    }
    return DFQ_OK;
}

static dfq_status find_ends(const dfqi_safetensors *st, const char *path, dfqi_inverted_arch *c)
{
    dfqi_inverted_names names;
    const dfq_tensor *w;
    char name[DFQI_NAME_MAX];
    dfqi_inverted_name_stem(c, &names);
    DFQI_TRY(weight_of(st, path, names.conv, &w));
    c->stem = (int32_t)w->dims[0];
    dfqi_inverted_name_last(c, &names);
    DFQI_TRY(weight_of(st, path, names.conv, &w));
    c->features = (int32_t)w->dims[0];
    if (c->form < DFQI_INVERTED_MOBILENETV3_LARGE) return DFQ_OK;
    snprintf(name, sizeof name, "%s.weight", dfqi_inverted_hidden_name(c));
    DFQI_TRY(dfqi_need_tensor(st, path, name, c->keys == DFQI_INVERTED_TIMM ? 4 : 2,
                              "it is the layer before the classifier", &w));
    c->hidden = w->dims[0] >= 1 && w->dims[0] <= DFQI_EXTENT_MAX ? (int32_t)w->dims[0] : 1;
    return DFQ_OK;
}

/* -- the whole --------------------------------------------------------------------------------- */

static void name_it(dfqi_arch *a)
{
    const dfqi_inverted_row *form = dfqi_inverted_form_of(a);
    const int32_t size = dfqi_inverted_size(a);
    const char *begin =
        a->of.inverted.form == DFQI_INVERTED_EFFICIENTNET && size < 0 ? "efficientnet" : form->name;
    if (size >= 0)
        snprintf(a->name, sizeof a->name, "%s%d", begin, (int)size);
    else
        snprintf(a->name, sizeof a->name, "%s", begin);
}

/* efficientnet-pytorch has TensorFlow's padding and eps, torchvision its own; timm's names have
 * networks of both kinds, which the network's name tells (names.c). */
static void assume_norms(dfqi_arch *a)
{
    dfqi_inverted_arch *c = &a->of.inverted;
    const bool large = c->n_blocks >= 39; /* torchvision's B5 to B7 */
    c->same = c->keys == DFQI_INVERTED_LUKEMELAS;
    if (c->same || (c->keys == DFQI_INVERTED_TORCHVISION &&
                    (large || c->form >= DFQI_INVERTED_MOBILENETV3_LARGE)))
        a->eps = 1e-3f;
    if (c->keys == DFQI_INVERTED_TIMM && c->form != DFQI_INVERTED_MOBILENETV2) return;
    a->source[DFQI_PROP_CONV_PADDING] = a->source[DFQI_PROP_EPS] = DFQ_SOURCE_TENSOR;
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    dfqi_inverted_arch *c = &a->of.inverted;
    if (!find_keys(st, c))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT, "%s: tensor conv_stem.weight is missing; %s", path,
                         expected);
    DFQI_TRY(find_blocks(st, path, c));
    DFQI_TRY(find_form(st, path, a));
    DFQI_TRY(find_ends(st, path, c));
    if (a->name[0] == '\0') name_it(a);
    DFQI_TRY(dfqi_cnn_find(st, path, 224, a));
    a->image = dfqi_square(dfqi_inverted_image(dfqi_inverted_size(a), &a->crop));
    a->filter = c->keys == DFQI_INVERTED_TORCHVISION ? DFQI_BILINEAR : DFQI_BICUBIC;
    if (c->form == DFQI_INVERTED_LITE && c->keys == DFQI_INVERTED_LUKEMELAS)
        for (int i = 0; i < 3; i++) { /* pixels less 127, divided by 128 */
            a->mean[i] = 0.498f;
            a->std[i] = 0.502f;
        }
    assume_norms(a);
    return DFQ_OK;
}

static dfq_status check(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    if (a->source[DFQI_PROP_CONV_PADDING] != DFQ_SOURCE_ASSUMED) return DFQ_OK;
    const char *form = dfqi_inverted_form_of(a)->name;
    const bool sized =
        strcmp(form, "efficientnet_b") == 0 || strcmp(form, "efficientnet_lite") == 0;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "%s: tensors do not tell TensorFlow's padding from PyTorch's; give --arch "
                     "tf_%s%s (SAME, eps 0.001) or %s%s (symmetric, eps 0.00001), or the metadata "
                     "key conv_padding",
                     path, form, sized ? "0" : "", form, sized ? "0" : "");
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    dfqi_inverted_names names;
    const dfqi_inverted_arch *c = &a->of.inverted;
    dfqi_inverted_name_layer(c, 0, &c->blocks[0], DFQI_INVERTED_DEPTHWISE, &names);
    snprintf(text, size, "a network of %d inverted residuals with names like %.40s",
             (int)c->n_blocks, names.conv);
}

static uint64_t hash(uint64_t seed, const dfqi_arch *a)
{
    const dfqi_inverted_arch *c = &a->of.inverted;
    const int32_t values[2] = {(int32_t)c->form, c->same};
    return dfqi_hash(seed, values, sizeof values);
}

static dfq_status alike(dfq_context *ctx, const dfqi_arch *teacher, const dfqi_arch *student)
{
    const dfqi_inverted_arch *a = &teacher->of.inverted, *b = &student->of.inverted;
    return dfqi_need_same(ctx, teacher, student, a->form == b->form && a->same == b->same);
}

static const char *keys(const dfqi_arch *a)
{
    static const char *const words[] = {[DFQI_INVERTED_TIMM] = "timm",
                                        [DFQI_INVERTED_LUKEMELAS] = "efficientnet-pytorch",
                                        [DFQI_INVERTED_TORCHVISION] = "torchvision"};
    return words[a->of.inverted.keys];
}

static const char *activation(const dfqi_arch *a)
{
    return dfqi_inverted_form_of(a)->word;
}

static dfqi_units units(const dfqi_arch *a)
{
    (void)a;
    return DFQI_UNITS_INVERTED;
}

const dfqi_family_row dfqi_family_efficientnet = {
    .properties = DFQI_PROP_BIT(CONV_PADDING),
    .activation = activation,
    .keys = keys,
    .names = {"efficientnet", "tf_efficientnet", "mobilenet", "tf_mobilenet", "tinynet"},
    .fits = fits,
    .find = find,
    .name = dfqi_inverted_name,
    .contradicts = dfqi_inverted_contradicts,
    .check = check,
    .describe = describe,
    .units = units,
    .hash = hash,
    .alike = alike,
    .norms = dfqi_inverted_norms,
    .layer = dfqi_inverted_layer_at,
    .head = dfqi_inverted_head,
    .biased = dfqi_inverted_biased,
    .biased_layer = dfqi_inverted_biased_at,
    .count = dfqi_cnn_count,
    .expect = dfqi_cnn_expect,
    .forward = dfqi_inverted_forward};
