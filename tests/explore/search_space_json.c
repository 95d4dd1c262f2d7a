/* Search spaces in JSON: what the built-in ones are in a file, an example, and files that are
 * wrong. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore/cases.h"
#include "explore/coexplore/search_space.h"

enum { TEXT = 2048 };

static const char small[] =
    "{\"dfq_space\": 1, \"name\": \"mine\", \"network\": \"mbconv\", \"image_px\": 32,"
    " \"classes\": 10, \"stem\": 24, \"first\": 8, \"head\": 1280,"
    " \"stages\": [{\"width\": 16, \"cells\": 2, \"stride\": 2},"
    " {\"width\": 24, \"cells\": 3, \"stride\": 2}, {\"width\": 48, \"cells\": 4, \"stride\": 1}],"
    " \"choices\": [{\"kernel\": 3, \"expand\": 3}, {\"kernel\": 3, \"expand\": 6},"
    " {\"kernel\": 5, \"expand\": 3}, {\"kernel\": 5, \"expand\": 6},"
    " {\"kernel\": 7, \"expand\": 3}, {\"kernel\": 7, \"expand\": 6}]}";

static const char vit[] =
    "{\"dfq_space\": 1, \"name\": \"mine\", \"network\": \"vit\", \"image_px\": 32, \"classes\": "
    "10,"
    " \"patch_px\": 4, \"tokens\": 64, \"head\": 32, \"stages\": 3, \"optional\": true,"
    " \"width\": [48, 64, 80], \"depth\": [1, 2], \"heads\": [1, 2], \"ratio\": [2, 3]}";

static dfq_status read_text(dfq_context *ctx, const char *text, dfqi_search_space *out)
{
    char file[] = "/tmp/dfq-space-XXXXXX", name[64];
    int fd = mkstemp(file);
    size_t size = strlen(text);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
    close(fd);
    snprintf(name, sizeof name, "%s", file);
    dfq_status status = dfqi_search_space_read(ctx, name, "hdx-space", out);
    if (status != DFQ_OK) ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), file));
    remove(file);
    return status;
}

START_TEST(files_say_what_built_in_spaces_do)
{
    static const char *const texts[] = {small, vit};
    const dfqi_supernet_space *const want[] = {&dfqi_super_cifar_small, &dfqi_super_vit_small};
    dfq_context *ctx = dfqt_explore_context();
    dfqi_search_space s;
    ck_assert_msg(read_text(ctx, texts[_i], &s) == DFQ_OK, "%s", dfq_context_get_error(ctx));
    ck_assert_str_eq(s.net.name, "mine");
    ck_assert_int_eq(s.accel.pe_x.n * s.accel.pe_y.n * s.accel.rf_words.n * s.accel.dataflow.n,
                     4335);
    strcpy(s.net.name, want[_i]->name);
    ck_assert_int_eq(s.net.family, want[_i]->family);
    ck_assert_int_eq(s.net.n_stages, want[_i]->n_stages);
    ck_assert_int_eq(s.net.n_choices, want[_i]->n_choices);
    ck_assert_int_eq(s.net.image, want[_i]->image);
    ck_assert_int_eq(s.net.classes, want[_i]->classes);
    ck_assert_int_eq(s.net.stem, want[_i]->stem);
    ck_assert_int_eq(s.net.first, want[_i]->first);
    ck_assert_int_eq(s.net.head, want[_i]->head);
    ck_assert_mem_eq(s.net.stages, want[_i]->stages, sizeof s.net.stages);
    ck_assert_mem_eq(s.net.choices, want[_i]->choices, sizeof s.net.choices);
    ck_assert_mem_eq(&s.net.vit.width, &want[_i]->vit.width, sizeof s.net.vit.width);
    ck_assert_mem_eq(&s.net.vit.ratio, &want[_i]->vit.ratio, sizeof s.net.vit.ratio);
    ck_assert_mem_eq(&s.net.vit.depth, &want[_i]->vit.depth, sizeof s.net.vit.depth);
    ck_assert_mem_eq(&s.net.vit.heads, &want[_i]->vit.heads, sizeof s.net.vit.heads);
    ck_assert_int_eq(s.net.vit.patch, want[_i]->vit.patch);
    ck_assert_int_eq(s.net.vit.tokens, want[_i]->vit.tokens);
    ck_assert_int_eq(s.net.vit.head, want[_i]->vit.head);
    ck_assert_int_eq(s.net.vit.optional, want[_i]->vit.optional);
    dfq_context_release(ctx);
}
END_TEST

/* The example: all cells there, it spans 10 to 20 million multiply-accumulates. */
START_TEST(the_example_spans_a_factor_of_two)
{
    dfq_context *ctx = dfqt_explore_context();
    const char *golden = getenv("DFQ_TEST_GOLDEN");
    char file[1024];
    int32_t path[DFQI_SUPER_CELLS] = {0};
    dfqi_search_space s;
    dfqi_supernet net;
    ck_assert_ptr_nonnull(golden);
    snprintf(file, sizeof file, "%s/../../examples/space.json", golden);
    ck_assert_msg(dfqi_search_space_read(ctx, file, "eyeriss-chip", &s) == DFQ_OK, "%s",
                  dfq_context_get_error(ctx));
    ck_assert_int_eq(dfqi_supernet_new(ctx, &s.net, NULL, 1, &net), DFQ_OK);
    double least, most;
    ck_assert_int_eq(dfqi_supernet_macs(&net, path, &least), DFQ_OK);
    dfqi_supernet_largest(&net, path);
    ck_assert_int_eq(dfqi_supernet_macs(&net, path, &most), DFQ_OK);
    ck_assert_msg(least > 9.9e6 && least < 10.1e6, "%g", least);
    ck_assert_msg(most > 19.8e6 && most < 20.2e6, "%g", most);
    dfqi_supernet_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static const struct {
    const char *in, *from, *to, *error; /* `from` in `in` becomes `to` */
} wrong[] = {
    {small, "\"dfq_space\": 1, ", "", "\"dfq_space\" is missing"},
    {small, "\"dfq_space\": 1", "\"dfq_space\": 2", "\"dfq_space\" is 2, must be 1"},
    {small, "\"dfq_space\": 1", "\"dfq_space\": 0", "\"dfq_space\""},
    {small, "\"mine\"", "\"\"", "\"name\" must be"},
    {small, "\"mine\"", "\"a\\nb\"", "\"name\" must be"},
    {small, "\"mine\"", "7", "\"name\" is an integer"},
    {small, "\"mine\"", "\"cifar10-small\"", "\"cifar10-small\", that of a built-in space"},
    {small, "\"mine\"", "\"0123456789012345678901234567890123456789012345678901234567890123\"",
     "1 to 63 bytes"},
    {small, "mbconv", "resnet", "\"network\" is \"resnet\", must be mbconv or vit"},
    {small, "\"image_px\"", "\"image\"", "\"image_px\" is missing"},
    {small, "\"classes\": 10", "\"classes\": 1e99", "\"classes\""},
    {small, "\"classes\": 10", "\"classes\": 99999999999999999999999", "line 1"},
    {small, "\"stem\": 24", "\"stem\": 0", "\"stem\" is 0"},
    {small, "\"head\": 1280", "\"head\": -1", "\"head\" is -1"},
    {small, "\"first\": 8", "\"first\": 8, \"fist\": 8", "key \"fist\" is not known"},
    {small, "\"width\": 24", "\"width\": 0", "\"width\" of \"stages\" is 0"},
    {small, "\"width\": 24, ", "", "\"width\" of \"stages\" is missing"},
    {small, "\"width\": 24", "\"widths\": 40", "key \"widths\""},
    {small, "\"cells\": 3", "\"cells\": 27", "make 33, must be at most 32"},
    {small, "\"stride\": 2", "\"stride\": 0", "\"stride\" of \"stages\" is 0"},
    {small, "\"kernel\": 5", "\"kernel\": 4", "\"kernel\" of \"choices\" is 4, must be odd"},
    {small, "\"kernel\": 5", "\"kernel\": 3", "kernel 3 with expand 3 twice"},
    {small, "\"expand\": 6", "\"expand\": 17", "\"expand\" of \"choices\" is 17"},
    {small, "\"choices\": [{\"kernel\": 3, \"expand\": 3}, ", "\"choices\": [7, ", "\"choices\""},
    {small, "\"choices\": [", "\"choices\": [], \"more\": [", "key \"more\" is not known"},
    {small, "\"width\": 48", "\"width\": 4096",
     "space mine has 10.2 GiB of weights, must have at most 4"},
    {small, "}]}", "}]", "line 1"},
    {vit, "[1, 2]", "[]", "\"depth\" has 0 entries, must be 1 to 4"},
    {vit, "[48, 64, 80]", "[48, 64, 64]", "\"width\" must ascend, and does not at 64"},
    {vit, "[48, 64, 80]", "[0, 64, 80]", "\"width\" is 0"},
    {vit, "[48, 64, 80]", "48", "\"width\" is an integer, must be an array"},
    {vit, "[48, 64, 80]", "[1, 2, 3, 4, 5]", "\"width\" has 5 entries"},
    {vit, "\"depth\": [1, 2]", "\"depth\": [1, 2, 3, 4, 5, 6]", "\"depth\" has 6"},
    {vit, "\"patch_px\": 4", "\"patch_px\": 5", "\"patch_px\" is 5, must divide 32"},
    {vit, "\"optional\": true", "\"optional\": 1", "\"optional\" is an integer"},
    {vit, "\"stages\": 3", "\"stages\": 33", "\"stages\" is 33"},
    {vit, "\"tokens\"", "\"stem\"", "key \"stem\" is not known"},
};
enum { WRONG = sizeof wrong / sizeof *wrong };

/* Each is refused with one line that names the file, and leaves what was there. */
START_TEST(wrong_files_are_refused)
{
    dfq_context *ctx = dfqt_explore_context();
    dfqi_search_space s = {.net = {.classes = 77}};
    char text[TEXT];
    const char *in = wrong[_i].in, *at = strstr(in, wrong[_i].from);
    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - in), in, wrong[_i].to,
             at + strlen(wrong[_i].from));
    dfq_status status = read_text(ctx, text, &s);
    const char *error = dfq_context_get_error(ctx);
    ck_assert_msg(status == DFQ_E_CORRUPT || status == DFQ_E_UNSUPPORTED, "%d: %s", (int)status,
                  text);
    ck_assert_msg(strstr(error, wrong[_i].error) != NULL, "%s", error);
    ck_assert_ptr_null(strchr(error, '\n'));
    ck_assert_int_eq(s.net.classes, 77);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(names_are_no_files)
{
    dfq_context *ctx = dfqt_explore_context();
    dfqi_search_space s;
    ck_assert_int_eq(dfqi_search_space_read(ctx, "mine", "eyeriss-chip", &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "cifar10-vit-small"));
    ck_assert_int_eq(dfqi_search_space_read(ctx, "./nowhere.json", "eyeriss-chip", &s), DFQ_E_IO);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "nowhere.json"));
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_space_json_case(void)
{
    TCase *c = tcase_create("space in JSON");
    tcase_add_loop_test(c, files_say_what_built_in_spaces_do, 0, 2);
    tcase_add_test(c, the_example_spans_a_factor_of_two);
    tcase_add_loop_test(c, wrong_files_are_refused, 0, WRONG);
    tcase_add_test(c, names_are_no_files);
    return c;
}
