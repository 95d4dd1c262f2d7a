/* Any bytes as labels.csv; accepted names must stay inside the folder. */
#include <string.h>

#include "fuzz/target.h"
#include "io/dataset_priv.h"

static void check_rows(const dfqi_dataset *d)
{
    for (int64_t i = 0; i < d->count; i++) {
        const char *name = dfqi_dataset_name(d, i);
        int32_t label = dfqi_dataset_label(d, i);
        if (label < 0 || label > 9 || name[0] == '/' || name[0] == '\0') abort();
        if (strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 || strstr(name, "/../"))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dfq_context *ctx = target_context();
    dfqi_dataset *d = NULL;
    char *text = malloc(size + 1);
    if (ctx && text && dfqi_dataset_new(ctx, "folder", 10, &d) == DFQ_OK) {
        if (size > 0) memcpy(text, data, size);
        text[size] = '\0';
        dfq_status status = dfqi_dataset_parse_csv(d, "labels.csv", text, size, false);
        target_check(ctx, status);
        if (status == DFQ_OK) check_rows(d);
        dfqi_dataset_release(d);
    }
    free(text);
    dfqi_context_release(ctx);
    return 0;
}
