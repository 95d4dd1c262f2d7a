/* Reading and writing checkpoints as lists of named arrays. */
#include "io/arrays.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/json.h"

enum { MARKS_MAX = 8 };

void dfqi_arrays_add(dfqi_arrays *a, const char *prefix, const char *name, dfqi_dtype dtype,
                     int64_t count, void *data, int32_t finite)
{
    if (a->status != DFQ_OK || !data || count == 0) return;
    if (a->n == a->room) {
        int64_t room = a->room ? 2 * a->room : 64;
        dfqi_array *items = dfqi_realloc(a->ctx, a->items, (size_t)room * sizeof *items);
        if (!items) {
            a->status = DFQ_E_NOMEM;
            return;
        }
        a->items = items;
        a->room = room;
    }
    dfqi_array *to = &a->items[a->n++];
    *to = (dfqi_array){.dtype = dtype, .count = count, .data = data, .finite = finite};
    snprintf(to->name, sizeof to->name, "%s%s", prefix, name);
}

void dfqi_arrays_fini(dfqi_arrays *a)
{
    dfqi_free(a->ctx, a->items);
    a->items = NULL;
    a->n = a->room = 0;
}

/* -- writing ----------------------------------------------------------------------------------- */

dfq_status dfqi_arrays_write(const dfqi_arrays *a, const char *path, int32_t n_marks,
                             const dfqi_mark *marks)
{
    dfqi_st_meta meta[MARKS_MAX];
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(a->status);
    dfq_tensor *tensors = dfqi_calloc(a->ctx, (size_t)a->n, sizeof *tensors);
    dfqi_st_entry *entries = dfqi_calloc(a->ctx, (size_t)a->n, sizeof *entries);
    if (!tensors || !entries) goto out;
    for (int64_t i = 0; i < a->n; i++) { /* views: borrowed memory, never retained */
        tensors[i] = (dfq_tensor){.ctx = a->ctx,
                                  .refs = 1,
                                  .dtype = a->items[i].dtype,
                                  .rank = 1,
                                  .dims = {a->items[i].count},
                                  .data = a->items[i].data};
        entries[i] = (dfqi_st_entry){.name = a->items[i].name, .tensor = &tensors[i]};
    }
    for (int32_t i = 0; i < n_marks; i++) /* which are read alone */
        meta[i] = (dfqi_st_meta){(char *)(uintptr_t)marks[i].key, (char *)(uintptr_t)marks[i].text};
    status = dfqi_st_write(a->ctx, path, a->n, entries, n_marks, meta);
out:
    dfqi_free(a->ctx, entries);
    dfqi_free(a->ctx, tensors);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status check_marks(dfq_context *ctx, const char *path, const char *kind, int32_t n,
                              const dfqi_mark *marks, const dfqi_safetensors *st)
{
    char show[DFQI_SHOW_MAX];
    for (int32_t i = 0; i < n; i++)
        if (!dfqi_st_meta_find(st, marks[i].key))
            return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the file is not %s", path, kind);
    const char *version = dfqi_st_meta_find(st, marks[0].key);
    if (strcmp(version, marks[0].text) != 0)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "%s: the checkpoint's version is %s, must be %s; start the job anew, or "
                         "finish it with the library that wrote it",
                         path, dfqi_show(version, show), marks[0].text);
    for (int32_t i = 1; i < n; i++) {
        const char *made = dfqi_st_meta_find(st, marks[i].key);
        if (strcmp(made, marks[i].text) != 0)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "%s: the checkpoint was made with other %s (%s), this job has: %s",
                             path, marks[i].what, dfqi_show(made, show), marks[i].text);
    }
    return DFQ_OK;
}

dfq_status dfqi_arrays_open(dfq_context *ctx, const char *path, const char *kind, int32_t n_marks,
                            const dfqi_mark *marks, dfqi_safetensors *out)
{
    dfqi_safetensors st;
    DFQI_TRY(dfqi_st_read(ctx, path, &st));
    dfq_status status = check_marks(ctx, path, kind, n_marks, marks, &st);
    if (status != DFQ_OK)
        dfqi_st_fini(&st);
    else
        *out = st;
    return status;
}

static dfq_status check_one(const dfqi_array *a, const dfqi_safetensors *st, const char *path)
{
    const dfq_tensor *t = dfqi_st_find(st, a->name);
    if (!t || t->dtype != a->dtype || t->rank != 1 || t->dims[0] != a->count)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s is missing, or is not %s [%lld]; the checkpoint is damaged",
                         path, a->name, dfqi_dtype_name(a->dtype), (long long)a->count);
    for (int64_t i = 0; a->finite && i < a->count; i++)
        if (!isfinite(dfqi_tensor_f32(t)[i]))
            return dfqi_fail(st->ctx, DFQ_E_NUMERIC,
                             "%s: tensor %s holds %g at element %lld, must be finite", path,
                             a->name, (double)dfqi_tensor_f32(t)[i], (long long)i);
    return DFQ_OK;
}

dfq_status dfqi_arrays_check(const dfqi_arrays *a, const dfqi_safetensors *st, const char *path)
{
    DFQI_TRY(a->status);
    for (int64_t i = 0; i < a->n; i++) DFQI_TRY(check_one(&a->items[i], st, path));
    return DFQ_OK;
}

void dfqi_arrays_take(const dfqi_arrays *a, const dfqi_safetensors *st)
{
    for (int64_t i = 0; i < a->n; i++)
        memcpy(a->items[i].data, dfqi_st_find(st, a->items[i].name)->data,
               (size_t)a->items[i].count * dfqi_dtype_bytes(a->items[i].dtype));
}
