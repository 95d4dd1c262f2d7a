/* Checks of a caller's images and labels: the image size and the classes of the network. */
#include "quant/model.h"

#include <stdio.h>

dfq_status dfqi_model_check_images(const dfqi_model *m, const dfq_tensor *images, int64_t n)
{
    char text[96], count[32] = "n";
    const dfqi_arch *a = &m->net.arch;
    if (images->dtype == DFQI_F32 && images->rank == 4 && images->dims[0] >= 1 &&
        (n == 0 || images->dims[0] == n) && images->dims[1] == a->channels &&
        images->dims[2] == a->image.height && images->dims[3] == a->image.width)
        return DFQ_OK;
    if (n > 0) snprintf(count, sizeof count, "%lld", (long long)n);
    return dfqi_fail(
        m->ctx, DFQ_E_SHAPE, "images are %s %s, must be F32 [%s,%lld,%lld,%lld] for %s",
        dfqi_dtype_name(images->dtype),
        dfqi_shape_text(images->rank, images->dims, text, sizeof text), count,
        (long long)a->channels, (long long)a->image.height, (long long)a->image.width, a->name);
}

dfq_status dfqi_model_check_labels(const dfqi_model *m, const dfq_tensor *labels, int64_t n)
{
    char text[96];
    const dfqi_arch *a = &m->net.arch;
    if (labels->dtype != DFQI_I32 || labels->rank != 1 || labels->dims[0] != n)
        return dfqi_fail(
            m->ctx, DFQ_E_SHAPE, "labels are %s %s, must be I32 [%lld], one for each image",
            dfqi_dtype_name(labels->dtype),
            dfqi_shape_text(labels->rank, labels->dims, text, sizeof text), (long long)n);
    const int32_t *label = labels->data;
    for (int64_t i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= a->classes)
            return dfqi_fail(m->ctx, DFQ_E_INVALID,
                             "label %lld is %d, must be 0 to %lld, a class of %s", (long long)i,
                             (int)label[i], (long long)(a->classes - 1), a->name);
    return DFQ_OK;
}
