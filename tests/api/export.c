/* dfq/export.h: what the file has and what the memory has is the same. */
#include <dfq/dfq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cases.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))

static dfq_context *ctx;
static dfq_graph *net;

static void setup(void)
{
    dfq_vit_options o;
    dfq_vit_options_init(&o, sizeof o);
    o.image = 8;
    o.patch = 4;
    o.width = 8;
    o.depth = 1;
    o.heads = 2;
    o.hidden = 8;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    OK(dfq_graph_create(ctx, &o, &net));
}

static void teardown(void)
{
    dfq_graph_release(net);
    dfq_context_release(ctx);
}

START_TEST(test_file_and_memory)
{
    char path[] = "/tmp/dfq-export-XXXXXX";
    dfq_export_options o;
    dfq_export_info file = {.struct_size = sizeof file}, memory = file;
    dfq_tensor *bytes;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    dfq_export_options_init(&o, sizeof o);
    o.opset = 18;
    OK(dfq_graph_export(net, path, &o, &file));
    OK(dfq_graph_export_to_memory(net, &o, &bytes, &memory));
    ck_assert_mem_eq(&file, &memory, sizeof file);
    ck_assert_int_eq(file.opset, 18);
    ck_assert_int_eq(file.ir_version, 8);
    ck_assert_int_eq(file.bytes, (int64_t)dfq_tensor_get_bytes(bytes));
    FILE *f = fopen(path, "rb");
    char *content = malloc((size_t)file.bytes + 1);
    ck_assert(f && content);
    ck_assert_uint_eq(fread(content, 1, (size_t)file.bytes + 1, f), (size_t)file.bytes);
    ck_assert_mem_eq(content, dfq_tensor_get_data(bytes), (size_t)file.bytes);
    fclose(f);
    free(content);
    unlink(path);
    dfq_tensor_release(bytes);
    OK(dfq_graph_export_to_memory(net, NULL, &bytes, NULL));
    dfq_tensor_release(bytes);
}
END_TEST

START_TEST(test_arguments)
{
    dfq_tensor *bytes = NULL;
    dfq_export_info info = {.struct_size = 0};
    ck_assert_int_eq(dfq_graph_export(NULL, "x", NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_export(net, NULL, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_export_to_memory(net, NULL, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_export_to_memory(net, NULL, &bytes, &info), DFQ_E_INVALID);
    ck_assert_msg(strstr(dfq_context_get_error(ctx), "struct_size"), "%s",
                  dfq_context_get_error(ctx));
    dfq_export_options o;
    dfq_export_options_init(&o, sizeof o);
    o.integer = 1;
    ck_assert_int_eq(dfq_graph_export_to_memory(net, &o, &bytes, NULL), DFQ_E_INVALID);
    ck_assert_msg(strstr(dfq_context_get_error(ctx), "integer is for convolutional"), "%s",
                  dfq_context_get_error(ctx));
    ck_assert_ptr_null(bytes);
}
END_TEST

TCase *dfqt_api_export_case(void)
{
    TCase *c = tcase_create("export");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_file_and_memory);
    tcase_add_test(c, test_arguments);
    return c;
}
