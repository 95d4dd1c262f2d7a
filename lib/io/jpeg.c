/* JPEG decoding by libjpeg-turbo: 8-bit grey, colour or print colours (CMYK, YCCK) to RGB, with the
 * accurate integer DCT and smooth upsampling, so that pixels equal Pillow's. Damage of which
 * libjpeg only warns is an error here. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/memory.h"
#include "io/image_priv.h"

/* A progressive file may repeat scans without end at a few bytes each. */
enum { SCANS_MAX = 500, JPEG_MEMORY_MAX = 1 << 30 };

/* The state that must survive longjmp. */
typedef struct job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    dfq_context *ctx;
    const char *name;
    dfqi_image image;
    uint8_t *inks; /* a row of CMYK; NULL: there is none */
    dfq_status status;
} job;

static void leave(j_common_ptr jpeg)
{
    job *j = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    j->status = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? DFQ_E_NOMEM : DFQ_E_CORRUPT;
    (void)dfqi_fail(j->ctx, j->status, "%s: the JPEG file is damaged: %s", j->name, text);
    longjmp(j->jump, 1);
}

/* Warnings that mean lost pixels are errors; those of harmless markers are ignored. */
static void message(j_common_ptr jpeg, int level)
{
    if (level >= 0) return;
    switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
        break;
    default:
        leave(jpeg);
    }
}

static void count_scans(j_common_ptr jpeg)
{
    job *j = jpeg->client_data;
    if (jpeg->is_decompressor && ((j_decompress_ptr)jpeg)->input_scan_number > SCANS_MAX) {
        j->status =
            dfqi_fail(j->ctx, DFQ_E_UNSUPPORTED,
                      "%s: the JPEG file has more than %d scans; save it again as an ordinary JPEG",
                      j->name, SCANS_MAX);
        longjmp(j->jump, 1);
    }
}

/* v * w / 255, rounded as Pillow does */
static int scaled(int v, int w)
{
    int t = v * w + 128;
    return ((t >> 8) + t) >> 8;
}

/* Adobe's programs store inks inverted. */
static void from_inks(const uint8_t *inks, bool inverted, size_t n, uint8_t *rgb)
{
    for (size_t i = 0; i < 4 * n; i += 4, rgb += 3) {
        int light = inverted ? inks[i + 3] : 255 - inks[i + 3];
        for (size_t c = 0; c < 3; c++) {
            int ink = inverted ? 255 - inks[i + c] : inks[i + c];
            rgb[c] = (uint8_t)(light - scaled(ink, light));
        }
    }
}

static void read_row(job *j)
{
    struct jpeg_decompress_struct *jpeg = &j->jpeg;
    uint8_t *rgb = j->image.rgb + (size_t)jpeg->output_scanline * jpeg->output_width * 3;
    JSAMPROW row = j->inks ? j->inks : rgb;
    jpeg_read_scanlines(jpeg, &row, 1);
    if (j->inks) from_inks(j->inks, jpeg->saw_Adobe_marker, jpeg->output_width, rgb);
}

/* -- EXIF -------------------------------------------------------------------------------------- */

typedef struct exif {
    const uint8_t *bytes; /* from the TIFF header on */
    size_t size;
    bool little;
} exif;

/* A number of n bytes; 0 behind the end. */
static uint32_t number_at(const exif *e, size_t at, size_t n)
{
    uint32_t v = 0;
    if (at > e->size || n > e->size - at) return 0;
    for (size_t i = 0; i < n; i++) v = v << 8 | e->bytes[at + (e->little ? n - 1 - i : i)];
    return v;
}

/* The orientation among the entries of the first directory; 0: it is not said. */
static int32_t orientation_of(const jpeg_saved_marker_ptr marker)
{
    enum { HEAD = 6, ENTRY = 12, ORIENTATION = 0x0112 };
    exif e = {.bytes = marker->data + HEAD, .size = marker->data_length};
    if (e.size < HEAD + 8 || memcmp(marker->data, "Exif\0\0", HEAD) != 0) return 0;
    e.size -= HEAD;
    e.little = e.bytes[0] == 'I';
    const size_t first = number_at(&e, 4, 4);
    const uint32_t n = number_at(&e, first, 2);
    for (uint32_t i = 0; i < n; i++) {
        const size_t entry = first + 2 + (size_t)ENTRY * i;
        if (number_at(&e, entry, 2) != ORIENTATION) continue;
        const uint32_t v = number_at(&e, entry + 8, 2);
        return v <= 8 ? (int32_t)v : 0;
    }
    return 0;
}

static void find_orientation(job *j)
{
    for (jpeg_saved_marker_ptr m = j->jpeg.marker_list; m && !j->image.orientation; m = m->next)
        j->image.orientation = orientation_of(m);
}

/* -- decoding ---------------------------------------------------------------------------------- */

static dfq_status decode(job *j, const void *bytes, size_t size)
{
    enum { MARKER_MAX = 0xFFFF };
    struct jpeg_decompress_struct *jpeg = &j->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &j->progress;
    jpeg->mem->max_memory_to_use = JPEG_MEMORY_MAX;
    jpeg_mem_src(jpeg, bytes, (unsigned long)size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, MARKER_MAX);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4)
        return dfqi_fail(
            j->ctx, DFQ_E_UNSUPPORTED,
            "%s: the JPEG file has %d colour components, must have 1, 3 or 4; convert it to RGB",
            j->name, jpeg->num_components);
    DFQI_TRY(dfqi_image_check(j->ctx, j->name, jpeg->image_width, jpeg->image_height));
    jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->do_fancy_upsampling = TRUE;
    DFQI_TRY(
        dfqi_image_new(j->ctx, (int32_t)jpeg->image_width, (int32_t)jpeg->image_height, &j->image));
    find_orientation(j);
    if (jpeg->num_components == 4) {
        j->inks = dfqi_calloc(j->ctx, jpeg->image_width, 4);
        if (!j->inks) return DFQ_E_NOMEM;
    }
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) read_row(j);
    jpeg_finish_decompress(jpeg);
    return DFQ_OK;
}

/* A separate function, because longjmp leaves the locals of the function that called setjmp
 * undefined. */
static dfq_status decode_guarded(job *j, const void *bytes, size_t size)
{
    if (setjmp(j->jump) != 0) return j->status;
    return decode(j, bytes, size);
}

dfq_status dfqi_jpeg_decode(dfq_context *ctx, const char *name, const void *bytes, size_t size,
                            dfqi_image *out)
{
    job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.name = name;
    j.jpeg.err = jpeg_std_error(&j.errors);
    j.errors.error_exit = leave;
    j.errors.emit_message = message;
    j.progress.progress_monitor = count_scans;
    j.jpeg.client_data = &j;
    j.status = decode_guarded(&j, bytes, size);
    dfqi_free(ctx, j.inks);
    jpeg_destroy_decompress(&j.jpeg); /* fine on a struct that was never created, being zeroed */
    if (j.status == DFQ_OK)
        *out = j.image;
    else
        dfqi_image_fini(&j.image);
    return j.status;
}
