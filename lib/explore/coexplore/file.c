/* Writes the derived network and the supernet to files. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "explore/coexplore/coexplore_priv.h"
#include "nn/load.h"
#include "nn/supernet_file.h"

enum { TEXT = 80, META = DFQI_ARCH_META + DFQ_METRICS_MAX + 1 };

static dfq_status add(dfqi_arena *arena, const char *key, const char *text, dfqi_st_meta *out)
{
    out->key = dfqi_arena_strdup(arena, key);
    out->value = dfqi_arena_strdup(arena, text);
    return out->key && out->value ? DFQ_OK : DFQ_E_NOMEM;
}

static void arch_of(const dfqi_coexplore *e, dfqi_arch *out)
{
    dfqi_arch_derive(e->space.net, e->s->path, out);
    memcpy(out->mean, e->o.mean, sizeof out->mean);
    memcpy(out->std, e->o.std, sizeof out->std);
}

/* What the network is, what it costs, and on which accelerator of the template. */
static dfq_status fill_meta(const dfqi_coexplore *e, dfqi_arena *arena, dfqi_st_meta out[META],
                            int64_t *n)
{
    const dfqi_solver *s = e->s->solver;
    dfqi_solver_info found;
    char text[TEXT], key[TEXT];
    dfqi_arch arch;
    dfqi_solver_result(s, &found);
    arch_of(e, &arch);
    DFQI_TRY(dfqi_arch_meta(&arch, arena, out, n));
    for (int32_t j = 0; j < e->space.n_metrics; j++) {
        dfqi_print(text, sizeof text, "%.9g", found.costs[j]);
        snprintf(key, sizeof key, e->space.custom ? "dfq.cost.%.60s" : "dfq.%.60s",
                 e->space.metrics[j]);
        DFQI_TRY(add(arena, key, text, &out[(*n)++]));
    }
    snprintf(text, sizeof text, "%lld",
             (long long)dfqi_domain_config(dfqi_solver_space(s), dfqi_solver_best(s)));
    return add(arena, "dfq.config", text, &out[(*n)++]);
}

dfq_status dfqi_coexplore_save_network(const dfqi_coexplore *e, const char *path)
{
    dfqi_st_meta meta[META];
    dfqi_arena arena;
    int64_t n;
    DFQI_TRY(dfqi_coexplore_need_derived(e));
    dfqi_arena_init(&arena, e->ctx);
    dfq_status status = fill_meta(e, &arena, meta, &n);
    if (status == DFQ_OK) status = dfqi_supernet_save(&e->s->derived, path, n, meta);
    dfqi_arena_fini(&arena);
    return status;
}

dfq_status dfqi_coexplore_save_supernet(const dfqi_coexplore *e, const char *path)
{
    static char keys[2][24] = {"dfq.supernet.mean", "dfq.supernet.std"};
    const float *v[2] = {e->o.mean, e->o.std};
    char text[2][TEXT];
    dfqi_st_meta meta[2];
    for (int i = 0; i < 2; i++) {
        dfqi_print(text[i], TEXT, "%.9g %.9g %.9g", (double)v[i][0], (double)v[i][1],
                   (double)v[i][2]);
        meta[i] = (dfqi_st_meta){keys[i], text[i]};
    }
    return dfqi_supernet_save(&e->s->net, path, 2, meta);
}
