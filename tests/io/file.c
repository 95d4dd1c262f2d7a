/* Reading, writing beside and renaming, full disks. */
#include "io/file.h"

#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/cases.h"

START_TEST(test_round_trip)
{
    const char *path = io_path("a.bin");
    unsigned char *bytes;
    size_t size;
    io_works(dfqi_file_write(io_ctx, path, "one\0two", 7));
    io_works(dfqi_file_read(io_ctx, path, 7, &bytes, &size));
    ck_assert_uint_eq(size, 7);
    ck_assert_mem_eq(bytes, "one\0two\0", 8);
    dfqi_free(io_ctx, bytes);
    io_works(dfqi_file_write(io_ctx, path, "", 0)); /* replaces */
    io_works(dfqi_file_read(io_ctx, path, 0, &bytes, &size));
    ck_assert_uint_eq(size, 0);
    dfqi_free(io_ctx, bytes);
    ck_assert_int_eq(io_entries(), 1);
}
END_TEST

START_TEST(test_read_errors)
{
    unsigned char *bytes = NULL;
    size_t size = 5;
    io_fails(dfqi_file_read(io_ctx, io_path("none"), 9, &bytes, &size), DFQ_E_IO, "No such file");
    io_fails(dfqi_file_read(io_ctx, io_path(NULL), 9, &bytes, &size), DFQ_E_IO, "a folder");
    io_fails(dfqi_file_read(io_ctx, "/dev/zero", 9, &bytes, &size), DFQ_E_IO, "regular file");
    io_put_text(io_path("long"), "0123456789");
    io_fails(dfqi_file_read(io_ctx, io_path("long"), 9, &bytes, &size), DFQ_E_UNSUPPORTED,
             "the file has 10 bytes, must be at most 9");
    ck_assert_ptr_null(bytes);
    ck_assert_uint_eq(size, 5);
}
END_TEST

START_TEST(test_write_errors)
{
    io_fails(dfqi_file_write(io_ctx, io_path("no/folder"), "x", 1), DFQ_E_IO, "No such file");
    io_fails(dfqi_file_write(io_ctx, io_path(NULL), "x", 1), DFQ_E_IO, "is a folder");
    ck_assert_int_eq(io_entries(), 0);
}
END_TEST

START_TEST(test_full_disk)
{
    static char big[100000];
    struct stat st;
    if (stat("/dev/full", &st) != 0) return;
    /* Small content fails when flushed, large content while written. */
    io_fails(dfqi_file_write(io_ctx, "/dev/full", "x", 1), DFQ_E_IO, "No space left");
    io_fails(dfqi_file_write(io_ctx, "/dev/full", big, sizeof big), DFQ_E_IO, "No space left");
    io_works(dfqi_file_write(io_ctx, "/dev/null", big, sizeof big));
    ck_assert_int_eq(stat("/dev/full", &st), 0); /* still the device, not renamed over */
    ck_assert(S_ISCHR(st.st_mode));
}
END_TEST

START_TEST(test_no_room)
{
    /* A regular file that may not grow: nothing is left, the old content stays. */
    static char big[100000];
    struct rlimit old, small;
    size_t size;
    io_put_text(io_path("kept"), "old");
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 5000;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    dfq_status status = dfqi_file_write(io_ctx, io_path("kept"), big, sizeof big);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    io_fails(status, DFQ_E_IO, "too large");
    ck_assert_int_eq(io_entries(), 1);
    unsigned char *bytes = io_get(io_path("kept"), &size);
    ck_assert_str_eq((char *)bytes, "old");
    free(bytes);
}
END_TEST

START_TEST(test_abandon)
{
    dfqi_out out;
    io_put_text(io_path("kept"), "old");
    io_works(dfqi_out_open(io_ctx, io_path("kept"), &out));
    io_works(dfqi_out_write(&out, "new", 3));
    ck_assert_int_eq(io_entries(), 2);
    dfqi_out_abandon(&out);
    dfqi_out_abandon(&out);
    ck_assert_int_eq(io_entries(), 1);
    size_t size;
    unsigned char *bytes = io_get(io_path("kept"), &size);
    ck_assert_str_eq((char *)bytes, "old");
    free(bytes);
}
END_TEST

START_TEST(test_rename_fails)
{
    dfqi_out out;
    io_works(dfqi_out_open(io_ctx, io_path("name"), &out));
    ck_assert_int_eq(mkdir(io_path("name"), 0777), 0); /* somebody was faster */
    io_works(dfqi_out_write(&out, "new", 3));
    io_fails(dfqi_out_commit(&out), DFQ_E_IO, "name");
    ck_assert_int_eq(io_entries(), 1);
}
END_TEST

START_TEST(test_links_and_modes)
{
    struct stat st;
    io_put_text(io_path("target"), "old");
    ck_assert_int_eq(chmod(io_path("target"), 0640), 0);
    ck_assert_int_eq(symlink("target", io_path("link")), 0);
    io_works(dfqi_file_write(io_ctx, io_path("link"), "new", 3));
    ck_assert_int_eq(lstat(io_path("link"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(stat(io_path("target"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0640);
    ck_assert_int_eq(st.st_size, 3);
    ck_assert_int_eq(symlink("nowhere", io_path("dangling")), 0);
    io_works(dfqi_file_write(io_ctx, io_path("dangling"), "new", 3));
}
END_TEST

START_TEST(test_names_taken)
{
    /* The first temporary names are taken: others are found, these are not touched. */
    char temp[600];
    for (int i = 0; i < 3; i++) {
        snprintf(temp, sizeof temp, "%s.tmp%ld-%d", io_path("f"), (long)getpid(), i);
        io_put_text(temp, "mine");
    }
    io_works(dfqi_file_write(io_ctx, io_path("f"), "new", 3));
    ck_assert_int_eq(io_entries(), 4);
}
END_TEST

/* All that a file system takes as a name, also where characters have two bytes. */
START_TEST(test_long_names)
{
    char path[600];
    const char *folder = io_path("");
    size_t at = strlen(folder);
    for (size_t n = 240; n <= 256; n++) {
        memset(path, 0, sizeof path);
        memcpy(path, folder, at);
        memset(path + at, 'n', n);
        if (n < 256)
            io_works(dfqi_file_write(io_ctx, path, "new", 3));
        else
            io_fails(dfqi_file_write(io_ctx, path, "new", 3), DFQ_E_IO, "File name too long");
    }
    ck_assert_int_eq(io_entries(), 16);
    for (size_t i = 0; i < 254; i += 2) memcpy(path + at + i, "\xC3\xA4", 2);
    path[at + 254] = '\0';
    io_works(dfqi_file_write(io_ctx, path, "new", 3));
    io_works(dfqi_file_write(io_ctx, path, "new", 3));
    ck_assert_int_eq(io_entries(), 17);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    unsigned char *bytes;
    size_t size;
    DFQI_TRY(dfqi_file_write(ctx, arg, "abc", 3));
    DFQI_TRY(dfqi_file_read(ctx, arg, 100, &bytes, &size));
    dfqi_free(ctx, bytes);
    return DFQ_OK;
}

START_TEST(test_memory)
{
    char path[512];
    snprintf(path, sizeof path, "%s", io_path("swept"));
    io_sweep(scenario, path, 1);
    ck_assert_int_eq(io_entries(), 1);
}
END_TEST

TCase *dfqt_file_case(void)
{
    TCase *tc = io_case("file");
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_read_errors);
    tcase_add_test(tc, test_write_errors);
    tcase_add_test(tc, test_full_disk);
    tcase_add_test(tc, test_no_room);
    tcase_add_test(tc, test_abandon);
    tcase_add_test(tc, test_rename_fails);
    tcase_add_test(tc, test_links_and_modes);
    tcase_add_test(tc, test_names_taken);
    tcase_add_test(tc, test_long_names);
    tcase_add_test(tc, test_memory);
    return tc;
}
