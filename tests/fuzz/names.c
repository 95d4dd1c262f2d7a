/* Any bytes as names of classes; what is accepted can be found, and written and read back. */
#include <string.h>

#include "base/memory.h"
#include "fuzz/target.h"
#include "io/class_names.h"

static void check_names(dfq_context *ctx, const dfqi_class_names *n)
{
    dfqi_class_names *again;
    char *text;
    for (int64_t i = 0; i < dfqi_class_names_count(n); i++) {
        int64_t two[2], class = dfqi_class_names_find(n, dfqi_class_names_get(n, i), two);
        if (class != i && class != -2) abort();
    }
    dfq_status status = dfqi_class_names_json(n, &text);
    target_check(ctx, status);
    if (status != DFQ_OK) return;
    status =
        dfqi_class_names_parse(ctx, "again", text, strlen(text), dfqi_class_names_count(n), &again);
    if (status == DFQ_E_CORRUPT) abort(); /* its own text */
    if (status == DFQ_OK) dfqi_class_names_release(again);
    dfqi_free(ctx, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dfq_context *ctx = target_context();
    dfqi_class_names *n;
    if (!ctx) return 0;
    dfq_status status = dfqi_class_names_parse(ctx, "names", (const char *)data, size, 0, &n);
    target_check(ctx, status);
    if (status == DFQ_OK) {
        check_names(ctx, n);
        dfqi_class_names_release(n);
    }
    dfqi_context_release(ctx);
    return 0;
}
