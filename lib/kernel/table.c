/* The kernel tables of this machine, best first: each usable vector level, with each usable source
 * of matrix products unless it has its own. Where no level needs them, the sources go with plain
 * C. The plain C table is last. They are built once per process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/int_tables.h"
#include "kernel/kernel_config.h"
#include "kernel/tables.h"

typedef struct part {
    const char *name;
    bool (*use)(dfqi_kernels *t);
} part;

/* Best first. */
static const part vector_parts[] = {
#if DFQI_HAVE_X86
    {"avx512", dfqi_kernels_use_avx512},
    {"avx2", dfqi_kernels_use_avx2},
#endif
    {NULL, NULL},
};
static const part product_parts[] = {
#if DFQI_HAVE_XSMM
    {"libxsmm", dfqi_kernels_use_xsmm},
#endif
#if DFQI_HAVE_BLIS
    {"blis", dfqi_kernels_use_blis},
#endif
    {NULL, NULL},
};

enum { MAX_TABLES = 8, MAX_NAME = 24 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dfqi_kernels tables[MAX_TABLES];
static char names[MAX_TABLES][MAX_NAME];
static int32_t n_tables;
static const dfqi_kernels *chosen;
static char refused[64]; /* the unknown or unusable name in DFQ_KERNELS */

/* Appends ref + a + b; either part may be absent. */
static bool append(const part *a, const part *b)
{
    dfqi_kernels t = dfqi_kernels_ref;
    if (n_tables == MAX_TABLES - 1) return false; /* one place is kept for "ref" */
    if (a && !a->use(&t)) return false;
    if (b && !b->use(&t)) return false;
    char *name = names[n_tables];
    snprintf(name, MAX_NAME, "%s%s%s", a ? a->name : "", a && b ? "+" : "", b ? b->name : "");
    t.name = name;
    tables[n_tables++] = t;
    return true;
}

static bool has_products(const part *level)
{
    dfqi_kernels t = dfqi_kernels_ref;
    return level && level->use(&t) && t.gemm != dfqi_kernels_ref.gemm;
}

/* One vector level (NULL: none) with all sources of products; alone if there is none or it has its
 * own. */
static bool append_level(const part *level)
{
    bool any = false;
    if (has_products(level)) return append(level, NULL);
    for (const part *p = product_parts; p->use; p++) any = append(level, p) || any;
    return any || (level && append(level, NULL));
}

/* Is `word` one of the names in "word+word"? */
static bool names_part(const char *name, const char *word, size_t length)
{
    for (const char *at = name;; at++) {
        const char *end = strchr(at, '+');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        if (n == length && strncmp(at, word, n) == 0) return true;
        if (!end) return false;
        at = end;
    }
}

static const dfqi_kernels *find(const char *wanted)
{
    size_t length = strlen(wanted);
    for (int32_t i = 0; i < n_tables; i++)
        if (strcmp(tables[i].name, wanted) == 0) return &tables[i];
    for (int32_t i = 0; i < n_tables; i++)
        if (length && names_part(tables[i].name, wanted, length)) return &tables[i];
    const dfqi_int_kernels *integer = dfqi_int_kernels_find(wanted);
    return integer && strcmp(integer->level, wanted) != 0 ? find(integer->level) : NULL;
}

static void build(void)
{
    bool joined = false; /* a level with a source of products */
    for (const part *p = vector_parts; p->use; p++)
        if (append_level(p) && !has_products(p)) joined = true;
    if (!joined) append_level(NULL);
    tables[n_tables++] = dfqi_kernels_ref;

    const char *wanted = getenv("DFQ_KERNELS");
    chosen = &tables[0];
    if (!wanted || !*wanted) return;
    const dfqi_kernels *t = find(wanted);
    if (t)
        chosen = t;
    else
        snprintf(refused, sizeof refused, "%s", wanted);
}

const dfqi_kernels *dfqi_kernels_get(dfq_context *ctx)
{
    pthread_once(&once, build);
    if (ctx && refused[0] && !ctx->kernels_refused) {
        ctx->kernels_refused = true;
        dfqi_log(ctx, DFQ_LOG_WARNING,
                 "DFQ_KERNELS is \"%s\", which this machine or build lacks; %s is used", refused,
                 chosen->name);
    }
    return chosen;
}

int32_t dfqi_kernels_list(const dfqi_kernels **out, int32_t max)
{
    pthread_once(&once, build);
    int32_t n = n_tables < max ? n_tables : max;
    for (int32_t i = 0; i < n; i++) out[i] = &tables[i];
    return n;
}

#if !DFQI_HAVE_X86
double dfqi_fma_burst(int64_t rounds)
{
    (void)rounds;
    return 0.0;
}
#endif
