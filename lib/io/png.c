/* PNG by libpng's full interface. The simplified interface applies the file's gamma and blends
 * alpha, while Pillow, and the networks trained with it, use the stored values. Memory comes from
 * the context, so that its limit and its allocator apply. */
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/image_priv.h"

/* The state that must survive longjmp. */
typedef struct job {
    png_structp png;
    png_infop info;
    dfq_context *ctx;
    const char *name;
    const unsigned char *bytes; /* reading */
    size_t size, at;
    dfqi_out out; /* writing */
    png_bytepp rows;
    dfqi_image image;
    dfq_status status;
} job;

static void on_error(png_structp png, png_const_charp text)
{
    job *j = png_get_error_ptr(png);
    /* A failure of ours (memory, disk) was described where it happened. */
    if (j->status == DFQ_OK)
        j->status =
            dfqi_fail(j->ctx, DFQ_E_CORRUPT, "%s: the PNG file is damaged: %s", j->name, text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp take_memory(png_structp png, png_alloc_size_t size)
{
    job *j = png_get_mem_ptr(png);
    void *p = dfqi_alloc(j->ctx, size);
    if (!p) j->status = DFQ_E_NOMEM;
    return p;
}

static void give_memory(png_structp png, png_voidp p)
{
    job *j = png_get_mem_ptr(png);
    dfqi_free(j->ctx, p);
}

static void read_bytes(png_structp png, png_bytep dst, size_t n)
{
    job *j = png_get_io_ptr(png);
    if (n > j->size - j->at) png_error(png, "the file ends too early");
    memcpy(dst, j->bytes + j->at, n);
    j->at += n;
}

static void write_bytes(png_structp png, png_bytep src, size_t n)
{
    job *j = png_get_io_ptr(png);
    j->status = dfqi_out_write(&j->out, src, n);
    if (j->status != DFQ_OK) png_error(png, "write failed");
}

static void flush_bytes(png_structp png)
{
    (void)png; /* committing flushes */
}

static dfq_status take_rows(job *j)
{
    j->rows = dfqi_calloc(j->ctx, (size_t)j->image.height, sizeof *j->rows);
    if (!j->rows) return DFQ_E_NOMEM;
    for (size_t y = 0; y < (size_t)j->image.height; y++)
        j->rows[y] = j->image.rgb + y * (size_t)j->image.width * 3;
    return DFQ_OK;
}

/* 16-bit grey as Pillow's conversion to RGB has it, and so the networks that were trained with it:
 * what is above 255 is white. A row grows, so it is converted from its end. */
static void clip_grey(png_structp png, png_row_infop row, png_bytep data)
{
    (void)png;
    for (size_t i = row->width; i-- > 0;) {
        png_byte v = data[2 * i] ? 255 : data[2 * i + 1];
        data[3 * i] = data[3 * i + 1] = data[3 * i + 2] = v;
    }
}

static void set_format(png_structp png, png_infop info)
{
    bool grey = png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY;
    if (grey && png_get_bit_depth(png, info) == 16) {
        png_set_read_user_transform_fn(png, clip_grey);
        png_set_user_transform_info(png, NULL, 8, 3);
        return;
    }
    png_set_strip_16(png);
    png_set_expand(png); /* palette, 1, 2 and 4 bits, transparency chunk */
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
}

static dfq_status decode(job *j)
{
    png_structp png = j->png;
    png_set_read_fn(png, j, read_bytes);
    png_set_user_limits(png, PNG_UINT_31_MAX,
                        PNG_UINT_31_MAX); /* ours come next, with a better text */
    png_read_info(png, j->info);
    DFQI_TRY(dfqi_image_check(j->ctx, j->name, png_get_image_width(png, j->info),
                              png_get_image_height(png, j->info)));
    set_format(png, j->info);
    png_set_interlace_handling(png);
    png_read_update_info(png, j->info);
    if (png_get_channels(png, j->info) != 3 || png_get_bit_depth(png, j->info) != 8)
        return dfqi_fail(j->ctx, DFQ_E_UNSUPPORTED,
                         "%s: the PNG file has an unknown pixel format; convert it to RGB",
                         j->name);
    DFQI_TRY(dfqi_image_new(j->ctx, (int32_t)png_get_image_width(png, j->info),
                            (int32_t)png_get_image_height(png, j->info), &j->image));
    DFQI_TRY(take_rows(j));
    png_read_image(png, j->rows);
    png_read_end(png, NULL); /* reads the end marker: a file truncated after its pixels is an error
                              * too */
    return j->status;
}

/* A separate function, because longjmp leaves the locals of the function that called setjmp
 * undefined. */
static dfq_status decode_guarded(job *j)
{
    if (setjmp(png_jmpbuf(j->png)) != 0) return j->status;
    return decode(j);
}

dfq_status dfqi_png_decode(dfq_context *ctx, const char *name, const void *bytes, size_t size,
                           dfqi_image *out)
{
    job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.name = name;
    j.bytes = bytes;
    j.size = size;
    j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j,
                                     take_memory, give_memory);
    j.info = j.png ? png_create_info_struct(j.png) : NULL;
    j.status = j.info ? decode_guarded(&j)
                      : dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: the PNG file %s", name);
    png_destroy_read_struct(&j.png, &j.info, NULL);
    dfqi_free(ctx, j.rows);
    if (j.status == DFQ_OK)
        *out = j.image;
    else
        dfqi_image_fini(&j.image);
    return j.status;
}

static dfq_status put_text(job *j, const char *const *text)
{
    for (; text && text[0]; text += 2) {
        size_t length = strlen(text[0]);
        if (length < 1 || length > 79 || !text[1])
            return dfqi_fail(j->ctx, DFQ_E_INVALID,
                             "%s: PNG text key \"%s\" must have 1 to 79 characters and a value",
                             j->name, text[0]);
        png_text t;
        memset(&t, 0, sizeof t);
        t.compression = PNG_TEXT_COMPRESSION_NONE;
        t.key = (png_charp)text[0];
        t.text = (png_charp)text[1];
        png_set_text(j->png, j->info, &t, 1);
    }
    return DFQ_OK;
}

static dfq_status encode(job *j, const char *const *text)
{
    png_set_write_fn(j->png, j, write_bytes, flush_bytes);
    png_set_IHDR(j->png, j->info, (png_uint_32)j->image.width, (png_uint_32)j->image.height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    DFQI_TRY(put_text(j, text));
    DFQI_TRY(take_rows(j));
    png_write_info(j->png, j->info);
    png_write_image(j->png, j->rows);
    png_write_end(j->png, NULL);
    return j->status;
}

static dfq_status encode_guarded(job *j, const char *const *text)
{
    if (setjmp(png_jmpbuf(j->png)) != 0) return j->status;
    return encode(j, text);
}

dfq_status dfqi_image_write_png(dfq_context *ctx, const char *path, const dfqi_image *im,
                                const char *const *text)
{
    job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.name = path;
    j.image = *im;
    DFQI_TRY(dfqi_out_open(ctx, path, &j.out));
    j.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j,
                                      take_memory, give_memory);
    j.info = j.png ? png_create_info_struct(j.png) : NULL;
    j.status = j.info ? encode_guarded(&j, text)
                      : dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: the PNG file %s", path);
    png_destroy_write_struct(&j.png, &j.info);
    dfqi_free(ctx, j.rows);
    if (j.status == DFQ_OK) return dfqi_out_commit(&j.out);
    dfqi_out_abandon(&j.out);
    return j.status;
}

/* What deflate cannot shrink grows by 5 bytes in 16 KiB, and each chunk of 8 KiB has 12 bytes of
 * its own. */
double dfqi_png_file_bytes(double width, double height)
{
    enum { FRAME = 128 };
    return FRAME + height * (3 * width + 1) * (1 + 5.0 / 16384 + 12.0 / 8192);
}

/* The compressor, five rows for the choice of a filter, and a pointer to each row. */
double dfqi_png_work_bytes(double width, double height)
{
    enum { COMPRESSOR = 288 * 1024, ROWS = 5 };
    return COMPRESSOR + ROWS * (3 * width + 64) + height * (double)sizeof(void *);
}
