/* The integer kernel tables of this machine, best first, and the one that goes
 * with the float table. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/int_tables.h"
#include "kernel/int_ref/int_ref.h"
#include "kernel/kernel_config.h"

enum { MAX_TABLES = 4 };

static pthread_once_t once = PTHREAD_ONCE_INIT, once_chosen = PTHREAD_ONCE_INIT;
static const dfqi_int_kernels *tables[MAX_TABLES];
static int32_t n_tables;
static const dfqi_int_kernels *chosen;

static void build(void)
{
#if DFQI_HAVE_INT_X86
    n_tables = dfqi_int_x86_tables(tables);
#endif
    tables[n_tables++] = &dfqi_int_kernels_ref;
}

int32_t dfqi_int_kernels_list(const dfqi_int_kernels **out, int32_t max)
{
    pthread_once(&once, build);
    int32_t n = n_tables < max ? n_tables : max;
    for (int32_t i = 0; i < n; i++) out[i] = tables[i];
    return n;
}

const dfqi_int_kernels *dfqi_int_kernels_find(const char *name)
{
    pthread_once(&once, build);
    for (int32_t i = 0; i < n_tables; i++)
        if (strcmp(tables[i]->name, name) == 0) return tables[i];
    return NULL;
}

/* The one that DFQ_KERNELS names, or the best that needs no more than the float
 * table has. Names of float tables begin with their vector level. */
static void choose(void)
{
    static const char *const levels[] = {"avx512", "avx2"}; /* best first */
    const char *wanted = getenv("DFQ_KERNELS"), *has = dfqi_kernels_get(NULL)->name;
    size_t best = 0, n = sizeof levels / sizeof *levels;
    if (wanted) chosen = dfqi_int_kernels_find(wanted);
    while (best < n && strncmp(has, levels[best], strlen(levels[best])) != 0) best++;
    for (int32_t i = 0; !chosen && i < n_tables; i++)
        for (size_t l = best; !chosen && l < n; l++)
            if (strcmp(tables[i]->level, levels[l]) == 0) chosen = tables[i];
    if (!chosen) chosen = &dfqi_int_kernels_ref;
}

const dfqi_int_kernels *dfqi_int_kernels_get(dfq_context *ctx)
{
    (void)dfqi_kernels_get(ctx); /* warns about a name that it does not know */
    pthread_once(&once, build);
    pthread_once(&once_chosen, choose);
    return chosen;
}
