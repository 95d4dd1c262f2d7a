/* Any bytes as a safetensors file; what is accepted is looked at whole. */
#include "fuzz/target.h"
#include "io/safetensors.h"

static volatile unsigned char sink; /* every byte is read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dfq_context *ctx = target_context();
    dfqi_safetensors st;
    if (!ctx) return 0;
    dfq_status status = dfqi_st_parse(ctx, "fuzz", data, size, &st);
    target_check(ctx, status);
    if (status == DFQ_OK) {
        for (int64_t i = 0; i < st.n_entries; i++) {
            const dfq_tensor *t = st.entries[i].tensor;
            const unsigned char *p = t->data;
            size_t n = (size_t)dfqi_tensor_count(t) * dfqi_dtype_bytes(t->dtype);
            for (size_t k = 0; k < n; k++) sink = p[k];
            if (dfqi_st_find(&st, st.entries[i].name) != t) abort();
        }
        dfqi_st_fini(&st);
    }
    dfqi_context_release(ctx);
    return 0;
}
