/* Loading convolutional networks: code that all families use to find the architecture. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "nn/cnn.h"

bool dfqi_cnn_has(const dfqi_safetensors *st, const char *fmt, ...)
{
    char name[DFQI_NAME_MAX];
    va_list args;
    va_start(args, fmt);
    dfqi_vprint(name, sizeof name, fmt, args);
    va_end(args);
    return dfqi_st_find(st, name) != NULL;
}

/* Without running statistics anywhere there is no BatchNorm: it was left out or folded away. */
static dfq_status check_norms(const dfqi_safetensors *st, const char *path)
{
    static const char end[] = ".running_var";
    size_t m = sizeof end - 1;
    for (int64_t i = 0; i < st->n_entries; i++) {
        size_t n = strlen(st->entries[i].name);
        if (n > m && strcmp(st->entries[i].name + n - m, end) == 0) return DFQ_OK;
    }
    return dfqi_fail(
        st->ctx, DFQ_E_UNSUPPORTED,
        "%s: no tensor ends in running_var, so this convolutional network has no BatchNorm, from "
        "whose statistics images are made; give the weights from before BatchNorm was folded",
        path);
}

/* CIFAR's own statistics, as the published runs have them. */
static void cifar_statistics(dfqi_arch *a)
{
    static const float mean[2][3] = {{0.49139968f, 0.48215827f, 0.44653124f},
                                     {0.50705882f, 0.48666667f, 0.44078431f}};
    static const float std[2][3] = {{0.24703233f, 0.24348505f, 0.26158768f},
                                    {0.26745098f, 0.25568627f, 0.27607843f}};
    int hundred = a->classes == 100;
    memcpy(a->mean, mean[hundred], sizeof a->mean);
    memcpy(a->std, std[hundred], sizeof a->std);
}

dfq_status dfqi_cnn_find(const dfqi_safetensors *st, const char *path, int64_t image, dfqi_arch *a)
{
    dfqi_cnn_head head;
    const dfq_tensor *w;
    char name[DFQI_NAME_MAX];
    dfqi_cnn_head_of(a, &head);
    snprintf(name, sizeof name, "%s.weight", head.name);
    DFQI_TRY(check_norms(st, path));
    DFQI_TRY(dfqi_need_tensor(st, path, name, head.conv ? 4 : 2, "it is the classifier", &w));
    a->classes = w->dims[0];
    if (a->classes < 1 || a->classes > DFQI_EXTENT_MAX)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s has %lld rows, the classes, must have 1 to %d", path, name,
                         (long long)a->classes, DFQI_EXTENT_MAX);
    a->eps = 1e-5f;
    a->image = dfqi_square(image);
    /* ImageNet's are brought to 256 before the crop to 224; small ones are taken whole */
    a->crop = a->of.cnn.small ? 1.0 : 0.875;
    if (a->of.cnn.small && a->of.cnn.keys == DFQI_KEYS_PYTORCHCV)
        cifar_statistics(a);
    else /* also akamaster's for CIFAR-10 */
        dfqi_imagenet_statistics(a);
    dfqi_prop_from(a, DFQ_SOURCE_ASSUMED);
    return DFQ_OK;
}
