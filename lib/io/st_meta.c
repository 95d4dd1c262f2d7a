/* Metadata of safetensors: texts by key. */
#include <string.h>

#include "base/memory.h"
#include "io/safetensors.h"

const char *dfqi_st_meta_find(const dfqi_safetensors *st, const char *key)
{
    for (int64_t i = 0; i < st->n_meta; i++)
        if (strcmp(st->meta[i].key, key) == 0) return st->meta[i].value;
    return NULL;
}

dfq_status dfqi_st_meta_add(dfqi_safetensors *st, const char *key, const char *value)
{
    if (dfqi_st_meta_find(st, key)) return DFQ_OK;
    size_t n = (size_t)st->n_meta + 1;
    dfqi_st_meta *meta = dfqi_realloc(st->ctx, st->meta, n * sizeof *meta);
    if (!meta) return DFQ_E_NOMEM;
    st->meta = meta;
    meta[n - 1].key = dfqi_strdup(st->ctx, key);
    meta[n - 1].value = dfqi_strdup(st->ctx, value);
    st->n_meta++; /* also of half an entry, which dfqi_st_fini() frees */
    return meta[n - 1].key && meta[n - 1].value ? DFQ_OK : DFQ_E_NOMEM;
}
