/* Bit for bit what Pillow does: tests/golden/make_io.py made the files. */
#include <stdio.h>

#include "io/cases.h"
#include "io/image.h"

static const char *const filters[] = {"bilinear", "bicubic"};

static void load(const char *name, dfqi_image *im)
{
    io_works(dfqi_image_read(io_ctx, io_golden(name), im));
}

/* Compares with a golden file and releases `im`. */
static void check(dfqi_image *im, const char *name)
{
    dfqi_image want;
    int worst = 0, differ = 0;
    load(name, &want);
    ck_assert_int_eq(im->width, want.width);
    ck_assert_int_eq(im->height, want.height);
    for (int32_t i = 0; i < want.width * want.height * 3; i++) {
        int d = im->rgb[i] > want.rgb[i] ? im->rgb[i] - want.rgb[i] : want.rgb[i] - im->rgb[i];
        if (d > worst) worst = d;
        differ += d != 0;
    }
    ck_assert_msg(differ == 0, "%s: %d bytes differ, by up to %d", name, differ, worst);
    dfqi_image_fini(&want);
    dfqi_image_fini(im);
}

START_TEST(test_resize)
{
    static const int32_t sizes[][2] = {{23, 17}, {96, 80}, {61, 30}, {40, 47}, {5, 90}, {1, 1}};
    dfqi_image pic, out;
    char name[64];
    load("pic.png", &pic);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "resize_%dx%d_%s.png", (int)sizes[i][0], (int)sizes[i][1],
                 filters[_i]);
        io_works(dfqi_image_resize(&pic, sizes[i][0], sizes[i][1], (dfqi_filter)_i, &out));
        check(&out, name);
    }
    io_works(dfqi_image_resize(&pic, pic.width, pic.height, (dfqi_filter)_i, &out));
    check(&out, "pic.png");
    dfqi_image_fini(&pic);
}
END_TEST

START_TEST(test_fit)
{
    static const int32_t sizes[][2] = {{36, 32}, {47, 40}, {64, 63}, {47, 46}};
    dfqi_image pic, tall, out;
    char name[64];
    load("pic.png", &pic);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "fit_%d_%d_%s.png", (int)sizes[i][0], (int)sizes[i][1],
                 filters[_i]);
        io_works(dfqi_image_fit(&pic, dfqi_square(sizes[i][0]), dfqi_square(sizes[i][1]),
                                (dfqi_filter)_i, &out));
        check(&out, name);
    }
    io_works(dfqi_image_new(io_ctx, pic.height, pic.width, &tall));
    for (int32_t y = 0; y < tall.height; y++) /* a quarter turn to the left */
        for (int32_t x = 0; x < tall.width; x++)
            for (int c = 0; c < 3; c++)
                tall.rgb[(y * tall.width + x) * 3 + c] =
                    pic.rgb[(x * pic.width + pic.width - 1 - y) * 3 + c];
    io_works(dfqi_image_fit(&tall, dfqi_square(36), dfqi_square(31), DFQI_BICUBIC, &out));
    check(&out, "fit_tall_36_31_bicubic.png");
    dfqi_image_fini(&tall);
    dfqi_image_fini(&pic);
}
END_TEST

/* Inputs that are no squares. */
START_TEST(test_cover)
{
    static const struct {
        dfqi_size to, size;
    } fits[] = {{{30, 20}, {26, 18}}, {{20, 33}, {19, 30}}, {{47, 50}, {40, 50}}};
    dfqi_image pic, out;
    char name[64];
    const dfqi_size to = fits[_i].to, size = fits[_i].size;
    snprintf(name, sizeof name, "cover_%dx%d_%dx%d.png", (int)to.height, (int)to.width,
             (int)size.height, (int)size.width);
    load("pic.png", &pic);
    io_works(dfqi_image_fit(&pic, to, size, DFQI_BICUBIC, &out));
    check(&out, name);
    dfqi_image_fini(&pic);
}
END_TEST

START_TEST(test_jpeg)
{
    static const char *const kinds[] = {"420", "444", "progressive", "grey", "cmyk", "ycck"};
    char in[64], want[64];
    dfqi_image im;
    snprintf(in, sizeof in, "jpeg_%s.jpg", kinds[_i]);
    snprintf(want, sizeof want, "jpeg_%s.png", kinds[_i]);
    load(in, &im);
    check(&im, want);
}
END_TEST

START_TEST(test_png)
{
    static const char *const kinds[] = {"rgba",    "grey",    "grey_alpha",
                                        "palette", "bilevel", "grey16"};
    char in[64], want[64];
    dfqi_image im;
    snprintf(in, sizeof in, "png_%s.png", kinds[_i]);
    snprintf(want, sizeof want, "png_%s_rgb.png", kinds[_i]);
    load(in, &im);
    check(&im, want);
}
END_TEST

START_TEST(test_webp)
{
    static const char *const kinds[] = {"lossy", "lossless", "alpha"};
    char in[64], want[64];
    dfqi_image im;
    snprintf(in, sizeof in, "webp_%s.webp", kinds[_i]);
    snprintf(want, sizeof want, "webp_%s.png", kinds[_i]);
    load(in, &im);
    check(&im, want);
}
END_TEST

TCase *dfqt_golden_case(void)
{
    TCase *tc = io_case("golden");
    tcase_add_loop_test(tc, test_resize, 0, 2);
    tcase_add_loop_test(tc, test_fit, 0, 2);
    tcase_add_loop_test(tc, test_cover, 0, 3);
    tcase_add_loop_test(tc, test_jpeg, 0, 6);
    tcase_add_loop_test(tc, test_png, 0, 6);
    tcase_add_loop_test(tc, test_webp, 0, 3);
    return tc;
}
