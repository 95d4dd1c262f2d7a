/* Any bytes as the index of two shards, which are good. */
#include <string.h>

#include "fuzz/target.h"
#include "io/safetensors.h"

/* One F32 each, "a" and "b". */
static const char one[] =
    "\x40\0\0\0\0\0\0\0"
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}          "
    "\0\0\0\0";
static const char two[] =
    "\x40\0\0\0\0\0\0\0"
    "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}          "
    "\0\0\0\0";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dfq_context *ctx = target_context();
    dfqi_safetensors st;
    if (!ctx) return 0;
    dfqi_source index = dfqi_source_memory(ctx, "fuzz", data, size);
    dfqi_source shards[2] = {dfqi_source_memory(ctx, "1", one, sizeof one - 1),
                             dfqi_source_memory(ctx, "2", two, sizeof two - 1)};
    dfq_status status = dfqi_st_read_shards(ctx, &index, 2, shards, &st);
    target_check(ctx, status);
    if (status == DFQ_OK) {
        if (!dfqi_st_find(&st, "a") || !dfqi_st_find(&st, "b") || st.n_entries != 2) abort();
        dfqi_st_fini(&st);
    }
    dfqi_context_release(ctx);
    return 0;
}
