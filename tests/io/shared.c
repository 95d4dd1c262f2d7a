/* The fixture and helpers of the io suite. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/cases.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

dfq_context *io_ctx;
static fail_alloc memory;
static char folder[256];

static void setup(void)
{
    const char *tmp = getenv("TMPDIR");
    dfq_allocator a = fail_alloc_init(&memory, -1);
    dfq_context_options o;
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 3;
    ck_assert_int_eq(dfq_context_create(&o, &io_ctx), DFQ_OK);
    snprintf(folder, sizeof folder, "%s/dfq-io-XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    if (dir) {
        const struct dirent *e;
        while ((e = readdir(dir)) != NULL) {
            char inner[1024];
            struct stat st;
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
            snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
            if (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode))
                remove_all(inner);
            else
                unlink(inner);
        }
        closedir(dir);
    }
    rmdir(path);
}

static void teardown(void)
{
    remove_all(folder);
    dfq_context_release(io_ctx);
    ck_assert_int_eq(memory.live_blocks, 0);
    ck_assert_int_eq(memory.live_bytes, 0);
}

TCase *io_case(const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    return tc;
}

const char *io_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *p = paths[next++ % 8];
    if (name)
        snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    else
        snprintf(p, sizeof paths[0], "%s", folder);
    return p;
}

void io_put(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

void io_put_text(const char *path, const char *text)
{
    io_put(path, text, strlen(text));
}

unsigned char *io_get(const char *path, size_t *out_size)
{
    FILE *f = fopen(path, "rb");
    unsigned char *bytes;
    long size;
    ck_assert_msg(f != NULL, "cannot open %s", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    rewind(f);
    bytes = malloc((size_t)size + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, (size_t)size, f), (size_t)size);
    bytes[size] = 0;
    fclose(f);
    *out_size = (size_t)size;
    return bytes;
}

int io_entries(void)
{
    DIR *dir = opendir(folder);
    const struct dirent *e;
    int n = 0;
    ck_assert_ptr_nonnull(dir);
    while ((e = readdir(dir)) != NULL)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

const char *io_golden(const char *name)
{
    static char path[512];
    char inner[128];
    snprintf(inner, sizeof inner, "io/%s", name);
    ck_assert_msg(dfqt_path("DFQ_TEST_GOLDEN", inner, path, sizeof path) != NULL,
                  "no golden file %s", name);
    return path;
}

void io_asset(const char *name, char *buf, size_t cap)
{
    if (!dfqt_path("DFQ_TEST_ASSETS", name, buf, cap)) remove_all(folder);
    dfqt_asset(name, buf, cap);
}

void io_fails(dfq_status got, dfq_status want, const char *part)
{
    const char *text = dfq_context_get_error(io_ctx);
    ck_assert_msg(got == want, "status %s, expected %s (\"%s\")", dfq_status_name(got),
                  dfq_status_name(want), text);
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not say \"%s\"", text, part);
    ck_assert_msg(strpbrk(text, "\n\r\t") == NULL && text[0] && text[strlen(text) - 1] != '.',
                  "\"%s\" is not one line without a dot", text);
}

void io_works(dfq_status got)
{
    ck_assert_msg(got == DFQ_OK, "%s: %s", dfq_status_name(got), dfq_context_get_error(io_ctx));
}

void io_sweep(dfq_status (*scenario)(dfq_context *ctx, void *arg), void *arg, int32_t threads)
{
    fail_alloc_sweep(scenario, arg, threads);
}
