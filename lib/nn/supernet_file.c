/* Reading and writing files of supernets (supernet_file.h). */
#include "nn/supernet_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { OWN_META = 2 };

void dfqi_super_layer_name(const dfqi_super_layer *l, char out[DFQI_SUPER_NAME])
{
    if (l->cell >= 0 && l->choice < 0)
        snprintf(out, DFQI_SUPER_NAME, "cells.%d.shared.%d", (int)l->cell, (int)l->index);
    else if (l->cell >= 0)
        snprintf(out, DFQI_SUPER_NAME, "cells.%d.%d.%d", (int)l->cell, (int)l->choice,
                 (int)l->index);
    else
        snprintf(out, DFQI_SUPER_NAME, "%s.%d", l->tail ? "head" : "stem", (int)l->index);
}

void dfqi_super_tensor_name(const dfqi_super_layer *l, int32_t k, char out[DFQI_SUPER_NAME])
{
    static const char *const conv[DFQI_SUPER_TENSORS] = {"weight", "norm.weight", "norm.bias",
                                                         "norm.running_mean", "norm.running_var"};
    dfqi_super_layer_name(l, out);
    size_t at = strlen(out);
    const char *name = l->kind == DFQI_SUPER_CONV ? conv[k] : k == 0 ? "weight" : "bias";
    snprintf(out + at, DFQI_SUPER_NAME - at, ".%s", name);
}

/* -- writing ----------------------------------------------------------------------------------- */

static int64_t count_tensors(const dfqi_supernet *net)
{
    int64_t n = 0;
    for (int32_t i = 0; i < net->n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++) n += net->layers[i].t[k] != NULL;
    return n;
}

static void fill_entries(const dfqi_supernet *net, dfqi_st_entry *entries,
                         char (*names)[DFQI_SUPER_NAME])
{
    for (int32_t i = 0; i < net->n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++) {
            if (!net->layers[i].t[k]) continue;
            dfqi_super_tensor_name(&net->layers[i], k, *names);
            *entries++ = (dfqi_st_entry){.name = *names++, .tensor = net->layers[i].t[k]};
        }
}

dfq_status dfqi_supernet_save(const dfqi_supernet *net, const char *file, int64_t n_meta,
                              const dfqi_st_meta *meta)
{
    dfq_context *ctx = net->ctx;
    int64_t n = count_tensors(net), n_own = net->derived ? 0 : OWN_META;
    char space[DFQI_SUPERNET_SPACE_NAME];
    static char keys[OWN_META][32] = {"dfq.supernet", "dfq.supernet.space"}, version[] = "1";
    dfq_status status = DFQ_E_NOMEM;
    dfqi_st_entry *entries = dfqi_calloc(ctx, (size_t)n, sizeof *entries);
    dfqi_st_meta *all = dfqi_calloc(ctx, (size_t)(n_meta + OWN_META), sizeof *all);
    char(*names)[DFQI_SUPER_NAME] = dfqi_calloc(ctx, (size_t)n, sizeof *names);
    if (!entries || !all || !names) goto out;
    fill_entries(net, entries, names);
    snprintf(space, sizeof space, "%s", net->space.name);
    all[0] = (dfqi_st_meta){keys[0], version};
    all[1] = (dfqi_st_meta){keys[1], space};
    for (int64_t i = 0; i < n_meta; i++) all[n_own + i] = meta[i];
    status = dfqi_st_write(ctx, file, n, entries, n_own + n_meta, all);
out:
    dfqi_free(ctx, entries);
    dfqi_free(ctx, all);
    dfqi_free(ctx, names);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status check_tensor(const dfqi_safetensors *st, const char *file, const char *name,
                               const dfq_tensor *want)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    char have[96], need[96];
    if (!t)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s is missing; give a supernet of this space", file, name);
    if (t->dtype != DFQI_F32 || t->rank != want->rank ||
        memcmp(t->dims, want->dims, (size_t)want->rank * sizeof *want->dims) != 0)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s is %s %s, must be F32 %s; give a supernet of this space",
                         file, name, dfqi_dtype_name(t->dtype),
                         dfqi_shape_text(t->rank, t->dims, have, sizeof have),
                         dfqi_shape_text(want->rank, want->dims, need, sizeof need));
    const float *v = t->data;
    for (int64_t i = 0; i < dfqi_tensor_count(t); i++)
        if (!isfinite(v[i]))
            return dfqi_fail(st->ctx, DFQ_E_NUMERIC,
                             "%s: tensor %s holds %g at element %lld, must be finite", file, name,
                             (double)v[i], (long long)i);
    return DFQ_OK;
}

/* All are checked, then all are copied. */
dfq_status dfqi_supernet_load(dfqi_supernet *net, const char *file)
{
    dfqi_safetensors st;
    dfq_status status = DFQ_OK;
    DFQI_TRY(dfqi_st_read(net->ctx, file, &st));
    for (int copy = 0; copy < 2 && status == DFQ_OK; copy++)
        for (int32_t i = 0; i < net->n_layers; i++)
            for (int32_t k = 0; k < DFQI_SUPER_TENSORS && status == DFQ_OK; k++) {
                char name[DFQI_SUPER_NAME];
                dfq_tensor *t = net->layers[i].t[k];
                if (!t) continue;
                dfqi_super_tensor_name(&net->layers[i], k, name);
                if (copy)
                    memcpy(t->data, dfqi_st_find(&st, name)->data,
                           (size_t)dfqi_tensor_count(t) * sizeof(float));
                else
                    status = check_tensor(&st, file, name, t);
            }
    dfqi_st_fini(&st);
    return status;
}
