/* WebP decoding by libwebp: the first and only frame to RGB, alpha dropped, so that pixels equal
 * Pillow's. Its memory is the system's, bounded by the limits on sizes. */
#include <string.h>

#include <webp/decode.h>

#include "io/image_priv.h"

static dfq_status failed(dfq_context *ctx, const char *name, VP8StatusCode code)
{
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return dfqi_fail(ctx, DFQ_E_NOMEM, "%s: out of memory while the WebP file is decoded",
                         name);
    if (code == VP8_STATUS_NOT_ENOUGH_DATA)
        return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the WebP file is damaged: it ends too early",
                         name);
    return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the WebP file is damaged", name);
}

dfq_status dfqi_webp_decode(dfq_context *ctx, const char *name, const void *bytes, size_t size,
                            dfqi_image *out)
{
    WebPDecoderConfig config;
    dfqi_image im;
    if (!WebPInitDecoderConfig(&config))
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "libwebp is not the one of the headers");
    VP8StatusCode code = WebPGetFeatures(bytes, size, &config.input);
    if (code != VP8_STATUS_OK) return failed(ctx, name, code);
    if (config.input.has_animation)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "%s: the WebP file is an animation; save one of its pictures", name);
    DFQI_TRY(dfqi_image_check(ctx, name, config.input.width, config.input.height));
    DFQI_TRY(dfqi_image_new(ctx, config.input.width, config.input.height, &im));
    size_t row = (size_t)im.width * 3;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = im.rgb;
    config.output.u.RGBA.stride = (int)row;
    config.output.u.RGBA.size = row * (size_t)im.height;
    code = WebPDecode(bytes, size, &config);
    if (code != VP8_STATUS_OK) {
        dfqi_image_fini(&im);
        return failed(ctx, name, code);
    }
    *out = im;
    return DFQ_OK;
}
