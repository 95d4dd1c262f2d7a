/* Interpolates position embeddings. */
#include "nn/positions.h"

#include <string.h>

#include "nn/vit.h"

/* [1,prefix + Y X,D] -> the same of the grid `to`; the rows of tokens in front of the patches
 * stay. */
static dfq_status resample(const dfq_tensor *t, int64_t prefix, dfqi_size from, dfqi_size to,
                           dfq_tensor **out)
{
    dfq_tensor *in = NULL, *made = NULL;
    int64_t width = t->dims[2], dims[3] = {1, dfqi_area(to) + prefix, width};
    DFQI_TRY(dfqi_tensor_to_f32(t, &in));
    dfq_status status = dfqi_tensor_new(t->ctx, DFQI_F32, 3, dims, &made);
    if (status == DFQ_OK) {
        const float *x = dfqi_tensor_f32(in);
        float *y = dfqi_tensor_f32(made);
        memcpy(y, x, (size_t)(prefix * width) * sizeof *y);
        status = dfqi_grid_resize(t->ctx, x + prefix * width, from, (size_t)width, to, DFQI_BICUBIC,
                                  y + prefix * width);
    }
    dfqi_tensor_release(in);
    if (status == DFQ_OK)
        *out = made;
    else
        dfqi_tensor_release(made);
    return status;
}

dfq_status dfqi_positions_fit(dfqi_safetensors *view, const dfqi_arch *arch)
{
    const dfqi_family_row *row = dfqi_family_get(arch->family);
    return row->fit ? row->fit(view, arch) : DFQ_OK;
}

dfq_status dfqi_vit_fit(dfqi_safetensors *view, const dfqi_arch *arch)
{
    const int64_t prefix = dfqi_vit_prefix(arch);
    const dfqi_size from = arch->of.vit.grid, to = dfqi_size_over(arch->image, arch->of.vit.patch);
    for (int64_t i = 0; i < view->n_entries; i++) {
        const dfq_tensor *t = view->entries[i].tensor;
        dfq_tensor *fitted;
        if (strcmp(view->entries[i].name, "pos_embed") != 0 || t->rank != 3 || t->dims[0] != 1)
            continue;
        if (t->dims[1] - prefix != dfqi_area(from) || dfqi_same_size(from, to) || t->dims[2] < 1)
            return DFQ_OK;
        DFQI_TRY(resample(t, prefix, from, to, &fitted));
        dfqi_tensor_release(view->entries[i].tensor);
        view->entries[i].tensor = fitted;
    }
    return DFQ_OK;
}
