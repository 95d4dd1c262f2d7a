/* The drawn image set: the same bytes everywhere, balanced classes, visible figures. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"
#include "suite.h"

START_TEST(bytes_are_those_of_every_machine)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (uint64_t i = 0; i < 300; i++) {
        uint8_t rgb[FIGURES_BYTES];
        int32_t label;
        figures_draw(1, i * i * i, rgb, &label);
        for (int k = 0; k < FIGURES_BYTES; k++) hash = (hash ^ rgb[k]) * UINT64_C(0x100000001b3);
        hash = (hash ^ (uint64_t)label) * UINT64_C(0x100000001b3);
    }
    ck_assert_msg(hash == UINT64_C(0x1ea567b0832ee658), "hash is 0x%llx", (unsigned long long)hash);
}
END_TEST

START_TEST(every_ten_hold_each_class_once)
{
    int first[FIGURES_CLASSES] = {0};
    for (uint64_t block = 0; block < 200; block++) {
        unsigned seen = 0;
        for (uint64_t i = 0; i < 10; i++) {
            uint8_t rgb[FIGURES_BYTES];
            int32_t label;
            figures_draw(5, block * 10 + i, rgb, &label);
            ck_assert(label >= 0 && label < FIGURES_CLASSES);
            seen |= 1u << label;
            if (i == 0) first[label]++;
        }
        ck_assert_uint_eq(seen, 1023);
    }
    for (int c = 0; c < FIGURES_CLASSES; c++) ck_assert(first[c] > 5 && first[c] < 40);
}
END_TEST

START_TEST(images_differ_and_are_not_flat)
{
    uint8_t a[FIGURES_BYTES], b[FIGURES_BYTES];
    int32_t la, lb;
    for (uint64_t i = 0; i < 200; i++) {
        figures_draw(2, i, a, &la);
        figures_draw(3, i, b, &lb);
        ck_assert(memcmp(a, b, sizeof a) != 0);
        figures_draw(2, i + 1, b, &lb);
        ck_assert(memcmp(a, b, sizeof a) != 0);
        int lowest = 255 * 3, highest = 0;
        for (int p = 0; p < FIGURES_BYTES; p += 3) {
            int v = a[p] + a[p + 1] + a[p + 2];
            lowest = v < lowest ? v : lowest;
            highest = v > highest ? v : highest;
        }
        ck_assert_int_gt(highest - lowest, 40);
    }
    figures_draw(UINT64_MAX, UINT64_MAX, a, &la);
    ck_assert(la >= 0 && la < FIGURES_CLASSES);
}
END_TEST

START_TEST(classes_have_names)
{
    ck_assert_str_eq(figures_class_name(0), "disc");
    ck_assert_str_eq(figures_class_name(FIGURES_CLASSES - 1), "spiral");
    ck_assert_ptr_null(figures_class_name(-1));
    ck_assert_ptr_null(figures_class_name(FIGURES_CLASSES));
}
END_TEST

Suite *figures_suite(void)
{
    Suite *s = suite_create("figures");
    TCase *c = tcase_create("draw");
    tcase_add_test(c, bytes_are_those_of_every_machine);
    tcase_add_test(c, every_ten_hold_each_class_once);
    tcase_add_test(c, images_differ_and_are_not_flat);
    tcase_add_test(c, classes_have_names);
    suite_add_tcase(s, c);
    return s;
}
