/* Making and listing folders. */
#include "io/folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/cases.h"

START_TEST(test_make)
{
    char slash[600];
    io_works(dfqi_folder_make(io_ctx, io_path("a/b/c")));
    ck_assert(dfqi_path_is_folder(io_path("a/b/c")));
    io_works(dfqi_folder_make(io_ctx, io_path("a/b/c")));
    snprintf(slash, sizeof slash, "%s", io_path("a//d/"));
    io_works(dfqi_folder_make(io_ctx, slash));
    ck_assert(dfqi_path_is_folder(io_path("a/d")));
    io_put_text(io_path("file"), "");
    io_fails(dfqi_folder_make(io_ctx, io_path("file/x")), DFQ_E_IO, "file");
    io_fails(dfqi_folder_make(io_ctx, ""), DFQ_E_INVALID, "name");
    ck_assert(dfqi_path_exists(io_path("file")) && dfqi_path_is_file(io_path("file")));
    ck_assert(!dfqi_path_is_folder(io_path("file")) && !dfqi_path_exists(io_path("nothing")));
}
END_TEST

START_TEST(test_list)
{
    static const char *const names[] = {"b.png",       "a.PNG", "c.jpg", "d.JPEG",
                                        ".hidden.png", ".png",  "e.txt", "png"};
    dfqi_names list;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) io_put_text(io_path(names[i]), "");
    ck_assert_int_eq(mkdir(io_path("z"), 0777), 0);
    ck_assert_int_eq(mkdir(io_path("y"), 0777), 0);
    io_works(dfqi_folder_list(io_ctx, io_path(NULL), DFQI_LIST_PNG, &list));
    ck_assert_int_eq(list.count, 2);
    ck_assert_str_eq(list.names[0], "a.PNG");
    ck_assert_str_eq(list.names[1], "b.png");
    dfqi_names_fini(&list);
    io_works(dfqi_folder_list(io_ctx, io_path(NULL), DFQI_LIST_PICTURES, &list));
    ck_assert_int_eq(list.count, 4);
    ck_assert_str_eq(list.names[3], "d.JPEG");
    dfqi_names_fini(&list);
    io_works(dfqi_folder_list(io_ctx, io_path(NULL), DFQI_LIST_FOLDERS, &list));
    ck_assert_int_eq(list.count, 2);
    ck_assert_str_eq(list.names[0], "y");
    dfqi_names_fini(&list);
    io_fails(dfqi_folder_list(io_ctx, io_path("none"), DFQI_LIST_PNG, &list), DFQ_E_IO,
             "No such file");
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_names list;
    DFQI_TRY(dfqi_folder_make(ctx, arg));
    DFQI_TRY(dfqi_folder_list(ctx, arg, DFQI_LIST_FOLDERS, &list));
    dfqi_names_fini(&list);
    return DFQ_OK;
}

START_TEST(test_memory)
{
    char path[512];
    snprintf(path, sizeof path, "%s", io_path("x"));
    io_works(dfqi_folder_make(io_ctx, io_path("x/1")));
    io_works(dfqi_folder_make(io_ctx, io_path("x/2")));
    io_sweep(scenario, path, 1);
}
END_TEST

TCase *dfqt_folder_case(void)
{
    TCase *tc = io_case("folder");
    tcase_add_test(tc, test_make);
    tcase_add_test(tc, test_list);
    tcase_add_test(tc, test_memory);
    return tc;
}
