/* Any bytes as a picture; what is accepted goes through the evaluation transform. */
#include "fuzz/target.h"
#include "io/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dfq_context *ctx = target_context();
    dfqi_image im, fitted;
    if (!ctx) return 0;
    dfq_status status = dfqi_image_decode(ctx, "fuzz", data, size, &im);
    target_check(ctx, status);
    if (status == DFQ_OK) {
        status = dfqi_image_fit(&im, dfqi_square(9), dfqi_square(8),
                                size % 2 ? DFQI_BICUBIC : DFQI_BILINEAR, &fitted);
        target_check(ctx, status);
        if (status == DFQ_OK) dfqi_image_fini(&fitted);
        dfqi_image_fini(&im);
    }
    dfqi_context_release(ctx);
    return 0;
}
