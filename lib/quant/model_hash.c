/* Fingerprints of models. A checkpoint stores one to recognise the model it belongs to. */
#include <string.h>

#include "base/hash.h"
#include "quant/model.h"

static uint64_t hash_floats(uint64_t hash, const dfq_tensor *t)
{
    if (!t) return dfqi_hash(hash, "none", 4);
    return dfqi_hash(hash, t->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
}

static uint64_t hash_scheme(uint64_t hash, const dfqi_scheme *s)
{
    if (s->grids.rotation) hash = dfqi_hash(hash, &s->grids.rotation, sizeof s->grids.rotation);
    for (int32_t i = 0; i < s->n_sites; i++) {
        const dfqi_site *site = &s->sites[i];
        hash = dfqi_hash(hash, site->name, strlen(site->name));
        hash = dfqi_hash(hash, &site->kind, sizeof site->kind);
        hash = dfqi_hash(hash, &site->bits, sizeof site->bits);
        if (site->group) hash = dfqi_hash(hash, &site->group, sizeof site->group);
        hash = dfqi_hash(hash, &site->qmin, sizeof site->qmin);
        hash = dfqi_hash(hash, &site->qmax, sizeof site->qmax);
        hash = hash_floats(hash, site->scale);
        hash = hash_floats(hash, site->zero_point);
        if (site->groups) hash = hash_floats(hash, site->groups);
    }
    return hash;
}

uint64_t dfqi_model_outline_hash(const dfqi_model *m)
{
    uint64_t hash = dfqi_arch_hash(DFQI_HASH_START, &m->net.arch);
    for (int32_t i = 0; i < m->net.n_params; i++) {
        const dfqi_param *p = &m->net.params[i];
        hash = dfqi_hash(hash, p->name, strlen(p->name));
        hash = dfqi_hash(hash, p->tensor->dims, (size_t)p->tensor->rank * sizeof *p->tensor->dims);
    }
    return hash_scheme(hash, &m->scheme);
}

uint64_t dfqi_model_hash(const dfqi_model *m)
{
    return hash_scheme(dfqi_network_hash(&m->net), &m->scheme);
}
