/* What a file says of a network beside its graph: the metadata that this library writes, and the
 * configurations of other libraries beside it. */
#include <string.h>

#include "exchange/import_family_priv.h"
#include "nn/config.h"
#include "nn/load.h"
#include "nn/property.h"

bool dfqi_im_is_ours(const im *m)
{
    return m->model->producer_name && strcmp(m->model->producer_name, "libdfq") == 0;
}

/* Of a structure: mean and what is behind it, the name, and the names of classes. */
static bool is_wanted(const char *key, bool structure)
{
    if (strcmp(key, "architecture") == 0 || strcmp(key, DFQI_META_NAMES) == 0 ||
        strcmp(key, "crop_pct") == 0)
        return true;
    if (strncmp(key, DFQI_CONFIG_KEYS, strlen(DFQI_CONFIG_KEYS)) == 0) return true;
    for (int p = 0; p < DFQI_PROP_COUNT; p++)
        if (strcmp(key, dfqi_prop_name((dfqi_prop)p)) == 0)
            return !structure || p >= DFQI_PROP_MEAN;
    return false;
}

/* The metadata of others mean other things. */
static dfq_status read_all(const im *m, dfqi_safetensors *all)
{
    const Onnx__ModelProto *p = m->model;
    for (size_t i = 0; dfqi_im_is_ours(m) && i < p->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *e = p->metadata_props[i];
        if (e->key && e->value) DFQI_TRY(dfqi_st_meta_add(all, e->key, e->value));
    }
    return m->folder ? dfqi_config_add(m->path, all) : DFQ_OK;
}

dfq_status dfqi_im_read_about(const im *m, bool structure, dfqi_safetensors *st)
{
    dfqi_safetensors all = {.ctx = m->ctx};
    dfq_status status = read_all(m, &all);
    for (int64_t i = 0; i < all.n_meta && status == DFQ_OK; i++)
        if (is_wanted(all.meta[i].key, structure))
            status = dfqi_st_meta_add(st, all.meta[i].key, all.meta[i].value);
    dfqi_st_fini(&all);
    return status;
}
