/* Networks that a co-exploration leaves behind. */
#include <stdio.h>

#include "explore/coexplore_priv.h"
#include "explore/solver_priv.h"
#include "nn/supernet_file.h"

enum { META = 6, TEXT = 80 };

typedef struct notes {
    dfqi_st_meta meta[META];
    char keys[META][32], text[META][TEXT];
    int32_t n;
} notes;

static char *add(notes *m, const char *key)
{
    snprintf(m->keys[m->n], sizeof m->keys[0], "%s", key);
    m->meta[m->n] = (dfqi_st_meta){m->keys[m->n], m->text[m->n]};
    return m->text[m->n++];
}

/* How images must be prepared. */
static void add_norms(const dfqi_coexplore *e, notes *m)
{
    const float *mean = e->o.mean, *std = e->o.std;
    snprintf(add(m, "dfq.supernet.mean"), TEXT, "%.9g %.9g %.9g", (double)mean[0], (double)mean[1],
             (double)mean[2]);
    snprintf(add(m, "dfq.supernet.std"), TEXT, "%.9g %.9g %.9g", (double)std[0], (double)std[1],
             (double)std[2]);
}

dfq_status dfqi_coexplore_save_network(const dfqi_coexplore *e, const char *path)
{
    static const char *const keys[DFQ_EXPLORE_METRICS] = {"dfq.latency_ms", "dfq.energy_mj",
                                                          "dfq.area_mm2"};
    const dfqi_found *f = &e->s->solver->best;
    notes m = {.n = 0};
    DFQI_TRY(dfqi_coexplore_need_derived(e));
    add_norms(e, &m);
    for (int32_t j = 0; j < DFQ_EXPLORE_METRICS; j++)
        snprintf(add(&m, keys[j]), TEXT, "%.9g", f->costs[j]);
    return dfqi_supernet_save(&e->s->derived, e->s->path, path, m.n, m.meta);
}

dfq_status dfqi_coexplore_save_supernet(const dfqi_coexplore *e, const char *path)
{
    notes m = {.n = 0};
    add_norms(e, &m);
    return dfqi_supernet_save(&e->s->net, NULL, path, m.n, m.meta);
}
