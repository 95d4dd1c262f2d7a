/* Pictures: PNG round trip, limits, broken files, fitting, floats and back. */
#include "io/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/cases.h"

static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};

static dfq_status pattern(dfq_context *ctx, int32_t width, int32_t height, dfqi_image *im)
{
    DFQI_TRY(dfqi_image_new(ctx, width, height, im));
    for (int32_t i = 0; i < width * height * 3; i++) im->rgb[i] = (uint8_t)(i * 7 + i / 64);
    return DFQ_OK;
}

static bool contains(const unsigned char *bytes, size_t n, const char *part, size_t m)
{
    for (size_t i = 0; i + m <= n; i++)
        if (memcmp(bytes + i, part, m) == 0) return true;
    return false;
}

START_TEST(test_round_trip)
{
    static const char *const text[] = {"Software", "dfq", "seed", "7", NULL};
    dfqi_image im, back;
    size_t n;
    io_works(pattern(io_ctx, 13, 9, &im));
    io_works(dfqi_image_write_png(io_ctx, io_path("a.png"), &im, text));
    io_works(dfqi_image_read(io_ctx, io_path("a.png"), &back));
    ck_assert_int_eq(back.width, 13);
    ck_assert_int_eq(back.height, 9);
    ck_assert_mem_eq(im.rgb, back.rgb, 13 * 9 * 3);
    unsigned char *bytes = io_get(io_path("a.png"), &n);
    ck_assert(contains(bytes, n, "tEXtSoftware\0dfq", 16));
    ck_assert(contains(bytes, n,
                       "tEXtseed\0"
                       "7",
                       10));
    free(bytes);
    ck_assert_int_eq(io_entries(), 1);
    dfqi_image_fini(&back);
    dfqi_image_fini(&back);
    dfqi_image_fini(&im);
}
END_TEST

START_TEST(test_write_errors)
{
    static const char *const empty[] = {"", "x", NULL}, *const lonely[] = {"key", NULL};
    char longest[81] = {0};
    const char *long_key[] = {longest, "x", NULL};
    dfqi_image im;
    struct stat st;
    memset(longest, 'k', 80);
    io_works(pattern(io_ctx, 300, 300, &im));
    io_fails(dfqi_image_write_png(io_ctx, io_path("a"), &im, empty), DFQ_E_INVALID, "1 to 79");
    io_fails(dfqi_image_write_png(io_ctx, io_path("a"), &im, lonely), DFQ_E_INVALID, "value");
    io_fails(dfqi_image_write_png(io_ctx, io_path("a"), &im, long_key), DFQ_E_INVALID, "1 to 79");
    io_fails(dfqi_image_write_png(io_ctx, io_path("no/a"), &im, NULL), DFQ_E_IO, "No such file");
    if (stat("/dev/full", &st) == 0)
        io_fails(dfqi_image_write_png(io_ctx, "/dev/full", &im, NULL), DFQ_E_IO, "No space left");
    ck_assert_int_eq(io_entries(), 0);
    dfqi_image_fini(&im);
}
END_TEST

START_TEST(test_other_files)
{
    dfqi_image im;
    io_fails(dfqi_image_decode(io_ctx, "x", "", 0, &im), DFQ_E_CORRUPT, "x: the file is empty");
    io_fails(dfqi_image_decode(io_ctx, "x", "GIF89a", 6, &im), DFQ_E_UNSUPPORTED, "a GIF picture");
    io_fails(dfqi_image_decode(io_ctx, "x", "hello", 5, &im), DFQ_E_UNSUPPORTED,
             "neither PNG, JPEG nor WebP");
    io_fails(dfqi_image_read(io_ctx, io_golden("webp_moving.webp"), &im), DFQ_E_UNSUPPORTED,
             "is an animation; save one of its pictures");
    io_fails(dfqi_image_read(io_ctx, io_path("none"), &im), DFQ_E_IO, "No such file");
}
END_TEST

START_TEST(test_limits)
{
    static const int32_t sizes[][2] = {{0, 5}, {5, -1}, {16385, 1}, {1, 16385}, {16384, 16384}};
    dfqi_image im = {0}, small;
    io_works(pattern(io_ctx, 3, 2, &small));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *part = i < 2 ? "pixels" : "must be at most 16384 a side and 100000000 in all";
        dfq_status want = i < 2 ? DFQ_E_CORRUPT : DFQ_E_UNSUPPORTED;
        io_fails(dfqi_image_new(io_ctx, sizes[i][0], sizes[i][1], &im), want, part);
        io_fails(dfqi_image_resize(&small, sizes[i][0], sizes[i][1], DFQI_BICUBIC, &im), want,
                 part);
    }
    ck_assert_ptr_null(im.rgb);
    dfqi_image_fini(&small);
}
END_TEST

static uint32_t crc(const unsigned char *p, size_t n)
{
    uint32_t c = 0xFFFFFFFFu;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
    }
    return ~c;
}

static void put_be(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* An EXIF segment behind the first two bytes of a JPEG: pixels stay as they are. */
START_TEST(test_orientation)
{
    static const unsigned char little[] = "\xFF\xE1\0\x22"
                                          "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0"
                                          "\0\x06\0\0\0\0\0\0\0";
    static const unsigned char big[] = "\xFF\xE1\0\x22"
                                       "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
                                       "\0\x03\0\0\0\0\0\0";
    enum { SEGMENT = sizeof little - 1 };
    dfqi_image plain, im;
    size_t n;
    unsigned char *jpeg = io_get(io_golden("jpeg_420.jpg"), &n), *odd = malloc(n + SEGMENT);
    io_works(dfqi_image_decode(io_ctx, "plain", jpeg, n, &plain));
    ck_assert_int_eq(plain.orientation, 0);
    memcpy(odd, jpeg, 2);
    memcpy(odd + 2 + SEGMENT, jpeg + 2, n - 2);
    for (int i = 0; i < 2; i++) {
        memcpy(odd + 2, i ? big : little, SEGMENT);
        io_works(dfqi_image_decode(io_ctx, "turned", odd, n + SEGMENT, &im));
        ck_assert_int_eq(im.orientation, i ? 3 : 6);
        ck_assert_mem_eq(im.rgb, plain.rgb, (size_t)im.width * (size_t)im.height * 3);
        dfqi_image_fini(&im);
    }
    odd[2 + 4 + 6 + 4 + 1] = 0x7F; /* a directory far behind the end */
    io_works(dfqi_image_decode(io_ctx, "broken", odd, n + SEGMENT, &im));
    ck_assert_int_eq(im.orientation, 0);
    dfqi_image_fini(&im);
    dfqi_image_fini(&plain);
    free(odd);
    free(jpeg);
}
END_TEST

START_TEST(test_huge_headers)
{
    static const uint32_t sizes[][2] = {{16385, 1}, {1, 2000000000}, {16384, 16384}};
    dfqi_image im;
    size_t n;
    unsigned char *png = io_get(io_golden("png_grey.png"), &n);
    for (int i = 0; i < 3; i++) {
        put_be(png + 16, sizes[i][0]);
        put_be(png + 20, sizes[i][1]);
        put_be(png + 29, crc(png + 12, 17));
        io_fails(dfqi_image_decode(io_ctx, "x.png", png, n, &im), DFQ_E_UNSUPPORTED,
                 "must be at most");
    }
    put_be(png + 16, 0);
    put_be(png + 29, crc(png + 12, 17));
    io_fails(dfqi_image_decode(io_ctx, "x.png", png, n, &im), DFQ_E_CORRUPT,
             "x.png: the PNG file is damaged");
    free(png);
    unsigned char *jpeg = io_get(io_golden("jpeg_420.jpg"), &n);
    size_t at = 2;
    while (jpeg[at + 1] != 0xC0) at += 2 + 256u * jpeg[at + 2] + jpeg[at + 3];
    memcpy(jpeg + at + 5, "\x50\0\x50\0", 4); /* 20480 x 20480 */
    io_fails(dfqi_image_decode(io_ctx, "x.jpg", jpeg, n, &im), DFQ_E_UNSUPPORTED, "20480 x 20480");
    memcpy(jpeg + at + 5, "\x40\0\x40\0", 4);
    io_fails(dfqi_image_decode(io_ctx, "x.jpg", jpeg, n, &im), DFQ_E_UNSUPPORTED, "16384 x 16384");
    memcpy(jpeg + at + 5, "\0\x20\0\0", 4);
    io_fails(dfqi_image_decode(io_ctx, "x.jpg", jpeg, n, &im), DFQ_E_CORRUPT,
             "the JPEG file is damaged");
    free(jpeg);
}
END_TEST

/* A progressive file may name the same scan again; 600 times is an attack on the clock. */
START_TEST(test_many_scans)
{
    dfqi_image im;
    size_t n, first = 0, end = 0, tables = 0;
    unsigned char *jpeg = io_get(io_golden("jpeg_progressive.jpg"), &n);
    for (size_t at = 2; jpeg[at + 1] != 0xD9;) {
        size_t next = at + 2 + 256u * jpeg[at + 2] + jpeg[at + 3];
        if (jpeg[at + 1] == 0xDA) { /* a scan: up to the next marker */
            while (jpeg[next] != 0xFF || jpeg[next + 1] == 0) next++;
            size_t bits = at + 2 + 256u * jpeg[at + 2] + jpeg[at + 3] - 1;
            if (jpeg[bits] < 0x10 &&
                jpeg[bits - 2] > 0) { /* coefficients 1.., first approximation */
                first = tables ? tables : at;
                end = next;
                jpeg[bits] = 0; /* all bits: may be said again and again */
            }
            tables = 0;
        } else if (jpeg[at + 1] == 0xC4 && !tables) {
            tables = at;
        }
        at = next;
    }
    ck_assert_uint_gt(first, 0);
    size_t one = end - first, size = n - 2 + 600 * one + 2;
    unsigned char *bomb = malloc(size);
    /* The original scans stay as the file has them, with their bits put back by reading it anew. */
    free(jpeg);
    unsigned char *clean = io_get(io_golden("jpeg_progressive.jpg"), &n);
    memcpy(bomb, clean, n - 2);
    for (size_t i = 0; i < 600; i++) {
        unsigned char *copy = bomb + n - 2 + i * one;
        memcpy(copy, clean + first, one);
        size_t at = 0;
        while (copy[at + 1] != 0xDA) at += 2 + 256u * copy[at + 2] + copy[at + 3];
        copy[at + 2 + 256u * copy[at + 2] + copy[at + 3] - 1] = 0;
    }
    memcpy(bomb + size - 2, "\xFF\xD9", 2);
    free(clean);
    io_fails(dfqi_image_decode(io_ctx, "x.jpg", bomb, size, &im), DFQ_E_UNSUPPORTED, "500 scans");
    free(bomb);
}
END_TEST

static const char *const pictures[] = {"png_palette.png", "png_grey_alpha.png",   "jpeg_grey.jpg",
                                       "jpeg_420.jpg",    "jpeg_progressive.jpg", "jpeg_cmyk.jpg",
                                       "webp_lossy.webp", "webp_lossless.webp"};
enum { PICTURES = sizeof pictures / sizeof pictures[0] };

START_TEST(test_truncated)
{
    size_t size;
    unsigned char *bytes = io_get(io_golden(pictures[_i]), &size);
    for (size_t n = 0; n < size; n++) {
        dfqi_image im;
        unsigned char *exact = malloc(n ? n : 1);
        memcpy(exact, bytes, n);
        dfq_status status = dfqi_image_decode(io_ctx, "cut", exact, n, &im);
        io_fails(status, n >= 12 ? DFQ_E_CORRUPT : status, "cut: "); /* of WebP, 12 tell */
        ck_assert_int_ne(status, DFQ_OK);
        free(exact);
    }
    free(bytes);
}
END_TEST

START_TEST(test_flipped_bits)
{
    size_t size;
    unsigned char *bytes = io_get(io_golden(pictures[_i]), &size);
    for (size_t i = 0; i < size * 8; i += 5) {
        dfqi_image im;
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        dfq_status status = dfqi_image_decode(io_ctx, "bent", bytes, size, &im);
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        if (status == DFQ_OK)
            dfqi_image_fini(&im);
        else
            io_fails(status, status == DFQ_E_UNSUPPORTED ? status : DFQ_E_CORRUPT, "bent: ");
    }
    free(bytes);
}
END_TEST

START_TEST(test_jpeg_warnings)
{
    /* Rubbish between markers is harmless, a marker amid the scan is not. */
    size_t n;
    dfqi_image im;
    unsigned char *jpeg = io_get(io_golden("jpeg_420.jpg"), &n), *odd = malloc(n + 3);
    size_t at = 4 + 256u * jpeg[4] + jpeg[5]; /* behind the first segment */
    memcpy(odd, jpeg, at);
    memcpy(odd + at, "abc", 3);
    memcpy(odd + at + 3, jpeg + at, n - at);
    io_works(dfqi_image_decode(io_ctx, "odd", odd, n + 3, &im));
    dfqi_image_fini(&im);
    memcpy(jpeg + n - 150, "\xFF\xD0", 2);
    io_fails(dfqi_image_decode(io_ctx, "bad", jpeg, n, &im), DFQ_E_CORRUPT,
             "bad: the JPEG file is damaged");
    free(odd);
    free(jpeg);
}
END_TEST

START_TEST(test_fit)
{
    dfqi_image im, out;
    io_works(pattern(io_ctx, 13, 10, &im));
    io_works(dfqi_image_fit(&im, dfqi_square(0), dfqi_square(9), DFQI_BICUBIC, &out));
    /* 2 to the left; (10 - 9) / 2 = 0.5 rounds to 0 above. */
    for (int32_t y = 0; y < 9; y++)
        ck_assert_mem_eq(out.rgb + y * 27, im.rgb + (y * 13 + 2) * 3, 27);
    dfqi_image_fini(&out);
    io_fails(dfqi_image_fit(&im, dfqi_square(0), dfqi_square(11), DFQI_BICUBIC, &out), DFQ_E_SHAPE,
             "must be at least the crop");
    io_fails(dfqi_image_fit(&im, dfqi_square(10), dfqi_square(11), DFQI_BICUBIC, &out), DFQ_E_SHAPE,
             "must be at least the crop");
    io_fails(dfqi_image_fit(&im, dfqi_square(10), dfqi_square(0), DFQI_BICUBIC, &out),
             DFQ_E_INVALID, "must be 1 or more");
    io_fails(dfqi_image_fit(&im, dfqi_square(-1), dfqi_square(4), DFQI_BICUBIC, &out),
             DFQ_E_INVALID, "must be 1 or more");
    io_fails(dfqi_image_fit(&im, dfqi_square(16385), dfqi_square(4), DFQI_BICUBIC, &out),
             DFQ_E_INVALID, "at most 16384");
    dfqi_image_fini(&im);
}
END_TEST

/* What the crop leaves out is not computed; what it takes is the same bits. */
START_TEST(test_fit_of_long_pictures)
{
    dfqi_image im, whole, out;
    io_works(pattern(io_ctx, 61, 3, &im));
    io_works(dfqi_image_resize(&im, 854, 42, (dfqi_filter)_i, &whole));
    io_works(dfqi_image_fit(&im, dfqi_square(42), dfqi_square(37), (dfqi_filter)_i, &out));
    for (int32_t y = 0; y < 37; y++) /* 408.5 and 2.5, half to even */
        ck_assert_mem_eq(out.rgb + y * 37 * 3, whole.rgb + ((y + 2) * 854 + 408) * 3, 37 * 3);
    dfqi_image_fini(&out);
    dfqi_image_fini(&whole);
    dfqi_image_fini(&im);
    io_works(pattern(io_ctx, 5000, 20, &im));
    io_works(dfqi_image_fit(&im, dfqi_square(248), dfqi_square(224), (dfqi_filter)_i, &out));
    ck_assert(out.width == 224 && out.height == 224);
    dfqi_image_fini(&out);
    dfqi_image_fini(&im);
    io_works(pattern(io_ctx, 20, 5000, &im));
    io_works(dfqi_image_fit(&im, dfqi_square(248), dfqi_square(224), (dfqi_filter)_i, &out));
    dfqi_image_fini(&out);
    dfqi_image_fini(&im);
}
END_TEST

/* Two pixels of 16 bits, 12FF 0080 FEFF and 7F80 80FF FFFF, with a gamma of 1: the high bytes are
 * what Pillow shows, neither rounded nor corrected. */
START_TEST(test_sixteen_bits)
{
    static const unsigned char png[] = {
        0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48,
        0x44, 0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x10, 0x02, 0x00, 0x00,
        0x00, 0x2B, 0xD0, 0x34, 0x9E, 0x00, 0x00, 0x00, 0x04, 0x67, 0x41, 0x4D, 0x41, 0x00,
        0x01, 0x86, 0xA0, 0x31, 0xE8, 0x96, 0x5F, 0x00, 0x00, 0x00, 0x15, 0x49, 0x44, 0x41,
        0x54, 0x78, 0xDA, 0x63, 0x10, 0xFA, 0xCF, 0xD0, 0xF0, 0xEF, 0x7F, 0x7D, 0x43, 0xC3,
        0xFF, 0xFF, 0xFF, 0x01, 0x2C, 0xB7, 0x08, 0x0B, 0x88, 0x9B, 0x00, 0x9A, 0x00, 0x00,
        0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82};
    static const uint8_t want[6] = {0x12, 0x00, 0xFE, 0x7F, 0x80, 0xFF};
    dfqi_image im;
    io_works(dfqi_image_decode(io_ctx, "x.png", png, sizeof png, &im));
    ck_assert_int_eq(im.width, 2);
    ck_assert_mem_eq(im.rgb, want, sizeof want);
    dfqi_image_fini(&im);
}
END_TEST

START_TEST(test_floats)
{
    dfqi_image im, back;
    float planes[16 * 16 * 3];
    io_works(pattern(io_ctx, 16, 16, &im));
    io_works(dfqi_image_new(io_ctx, 16, 16, &back));
    for (int i = 0; i < 256; i++)
        im.rgb[3 * i] = im.rgb[3 * i + 1] = im.rgb[3 * i + 2] = (uint8_t)i;
    dfqi_image_normalise(&im, mean, std, planes);
    for (int c = 0; c < 3; c++) {
        ck_assert_float_eq(planes[256 * c], (0.0f - mean[c]) / std[c]);
        ck_assert_float_eq(planes[256 * c + 51], (51 / 255.0f - mean[c]) / std[c]);
    }
    dfqi_image_denormalise(planes, mean, std, &back);
    ck_assert_mem_eq(im.rgb, back.rgb, 256 * 3);
    static const float none[3] = {0, 0, 0}, unit[3] = {1.0f / 255, 1.0f / 255, 1.0f / 255};
    static const float odd[] = {NAN, -INFINITY, INFINITY, -1, 300, 2.5f, 3.5f, 254.6f};
    static const uint8_t want[] = {0, 0, 255, 0, 255, 2, 4, 255};
    for (int i = 0; i < 8; i++) planes[i] = odd[i];
    dfqi_image_denormalise(planes, none, unit, &back);
    for (int i = 0; i < 8; i++) ck_assert_int_eq(back.rgb[3 * i], want[i]);
    dfqi_image_fini(&im);
    dfqi_image_fini(&back);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    static const char *const text[] = {"key", "value", NULL};
    dfqi_image im = {0}, back = {0}, small = {0};
    dfq_status status;
    DFQI_GOTO(pattern(ctx, 20, 10, &im), out);
    DFQI_GOTO(dfqi_image_write_png(ctx, arg, &im, text), out);
    DFQI_GOTO(dfqi_image_read(ctx, arg, &back), out);
    status = dfqi_image_fit(&back, dfqi_square(8), dfqi_square(7), DFQI_BICUBIC, &small);
out:
    dfqi_image_fini(&im);
    dfqi_image_fini(&back);
    dfqi_image_fini(&small);
    return status;
}

START_TEST(test_memory)
{
    char path[512];
    snprintf(path, sizeof path, "%s", io_path("swept"));
    io_sweep(scenario, path, 1);
    ck_assert_int_eq(io_entries(), 1);
}
END_TEST

static dfq_status read_only(dfq_context *ctx, void *arg)
{
    dfqi_image im;
    DFQI_TRY(dfqi_image_read(ctx, arg, &im));
    dfqi_image_fini(&im);
    return DFQ_OK;
}

START_TEST(test_memory_of_readers)
{
    char path[512];
    snprintf(path, sizeof path, "%s", io_golden(pictures[_i]));
    io_sweep(read_only, path, 1);
}
END_TEST

TCase *dfqt_image_case(void)
{
    TCase *tc = io_case("image");
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_write_errors);
    tcase_add_test(tc, test_other_files);
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_orientation);
    tcase_add_test(tc, test_huge_headers);
    tcase_add_test(tc, test_many_scans);
    tcase_add_loop_test(tc, test_truncated, 0, PICTURES);
    tcase_add_loop_test(tc, test_flipped_bits, 0, PICTURES);
    tcase_add_test(tc, test_jpeg_warnings);
    tcase_add_test(tc, test_fit);
    tcase_add_loop_test(tc, test_fit_of_long_pictures, 0, 2);
    tcase_add_test(tc, test_sixteen_bits);
    tcase_add_test(tc, test_floats);
    tcase_add_test(tc, test_memory);
    tcase_add_loop_test(tc, test_memory_of_readers, 0, PICTURES);
    return tc;
}
