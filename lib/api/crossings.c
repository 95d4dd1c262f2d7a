/* The functions of dfq/crossings.h. */
#include <dfq/crossings.h>

#include "api/api.h"
#include "base/memory.h"
#include "tune/codes.h"

struct dfq_crossings {
    dfq_context *ctx; /* kept by c */
    dfqi_crossings *c;
};

dfq_status dfq_crossings_create(const dfq_graph *student, dfq_crossings **out_crossings)
{
    if (student == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = student->ctx;
    DFQI_NEED(ctx, out_crossings);
    dfq_crossings *crossings = dfqi_calloc(ctx, 1, sizeof *crossings);
    if (crossings == NULL) return DFQ_E_NOMEM;
    crossings->ctx = ctx;
    dfq_status status = dfqi_crossings_new(student, &crossings->c);
    if (status != DFQ_OK)
        dfqi_free(ctx, crossings);
    else
        *out_crossings = crossings;
    return status;
}

void dfq_crossings_release(dfq_crossings *crossings)
{
    if (crossings == NULL) return;
    dfqi_crossings *c = crossings->c;
    dfqi_free(crossings->ctx, crossings);
    dfqi_crossings_release(c); /* last: it keeps the context */
}

int32_t dfq_crossings_get_count(const dfq_crossings *crossings)
{
    return crossings ? dfqi_crossings_count(crossings->c) : 0;
}

const char *dfq_crossings_get_name(const dfq_crossings *crossings, int32_t i)
{
    if (i < 0 || i >= dfq_crossings_get_count(crossings)) return NULL;
    return dfqi_crossings_name(crossings->c, i);
}

dfq_status dfq_crossings_measure(dfq_crossings *crossings, dfq_tensor **out_rows)
{
    if (crossings == NULL) return DFQ_E_INVALID;
    DFQI_NEED(crossings->ctx, out_rows);
    return dfqi_crossings_measure(crossings->c, out_rows);
}
