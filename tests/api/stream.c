/* dfq/stream.h and the calls of dfq/graph.h that take readers and writers. */
#include <dfq/dfq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cases.h"
#include "support/fail_alloc.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))

enum { CUTS = 257 };

static dfq_context *ctx;
static dfq_graph *made;
static dfq_tensor *bytes;

static dfq_status make(dfq_context *context, dfq_graph **out)
{
    dfq_vit_options o;
    dfq_vit_options_init(&o, sizeof o);
    o.image = 8;
    o.patch = 4;
    o.width = 8;
    o.depth = 1;
    o.heads = 2;
    o.hidden = 8;
    o.classes = 3;
    return dfq_graph_create(context, &o, out);
}

static void setup(void)
{
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    OK(make(ctx, &made));
    OK(dfq_graph_save_to_memory(made, 0, &bytes));
}

static void teardown(void)
{
    dfq_tensor_release(bytes);
    dfq_graph_release(made);
    dfq_context_release(ctx);
}

static dfq_reader whole(const char *name)
{
    return (dfq_reader){.struct_size = sizeof(dfq_reader),
                        .size = dfq_tensor_get_bytes(bytes),
                        .data = dfq_tensor_get_data(bytes),
                        .name = name};
}

static int same(const dfq_graph *a, const dfq_graph *b)
{
    dfq_tensor *one, *two;
    OK(dfq_graph_save_to_memory(a, 0, &one));
    OK(dfq_graph_save_to_memory(b, 0, &two));
    int equal =
        dfq_tensor_get_bytes(one) == dfq_tensor_get_bytes(two) &&
        memcmp(dfq_tensor_get_data(one), dfq_tensor_get_data(two), dfq_tensor_get_bytes(one)) == 0;
    dfq_tensor_release(one);
    dfq_tensor_release(two);
    return equal;
}

/* The bytes are borrowed: they may go before the network does. */
START_TEST(test_memory)
{
    size_t n = dfq_tensor_get_bytes(bytes);
    unsigned char *copy = malloc(n);
    dfq_graph *g;
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, dfq_tensor_get_data(bytes), n);
    OK(dfq_graph_load_from_memory(ctx, copy, n, NULL, &g));
    memset(copy, 0xff, n);
    free(copy);
    ck_assert(same(g, made));
    dfq_graph_release(g);
}
END_TEST

/* The reader's name tells what a file's would, and options win. */
START_TEST(test_options)
{
    dfq_load_options o;
    dfq_reader r = whole("folder/vit_x.safetensors");
    dfq_graph *g;
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_load_options_init(&o, sizeof o);
    o.arch = "vit_mine";
    o.heads = 4;
    OK(dfq_graph_load_from_reader(ctx, &r, &o, &g));
    OK(dfq_graph_get_info(g, &info));
    ck_assert_str_eq(dfq_graph_get_name(g), "vit_mine");
    ck_assert_int_eq(info.heads, 4);
    dfq_graph_release(g);
    o.heads = -1;
    g = NULL;
    ck_assert_int_eq(dfq_graph_load_from_reader(ctx, &r, &o, &g), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "folder/vit_x.safetensors"));
    ck_assert_ptr_null(g);
}
END_TEST

/* Hostile bytes are refused as in a file: cut anywhere, or damaged. */
START_TEST(test_hostile)
{
    size_t n = dfq_tensor_get_bytes(bytes);
    unsigned char *copy = malloc(n);
    dfq_graph *g = NULL;
    ck_assert_ptr_nonnull(copy);
    for (int i = 0; i < CUTS; i++) {
        size_t cut = n * (size_t)i / CUTS;
        memcpy(copy, dfq_tensor_get_data(bytes), cut);
        ck_assert_int_eq(dfq_graph_load_from_memory(ctx, copy, cut, NULL, &g), DFQ_E_CORRUPT);
        ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "memory"));
    }
    memcpy(copy, dfq_tensor_get_data(bytes), n);
    memset(copy + n - 4, 0xff, 4);
    ck_assert_int_eq(dfq_graph_load_from_memory(ctx, copy, n, NULL, &g), DFQ_E_NUMERIC);
    ck_assert_ptr_null(g);
    free(copy);
}
END_TEST

START_TEST(test_refused)
{
    dfq_reader r = whole(NULL);
    const dfq_reader *list[2] = {&r, NULL};
    dfq_writer w = {.struct_size = sizeof w};
    dfq_tensor *t = NULL;
    dfq_graph *g = NULL;
    ck_assert_int_eq(dfq_graph_load_from_memory(NULL, "x", 1, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_memory(ctx, NULL, 1, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_reader(NULL, &r, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_reader(ctx, NULL, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_reader(ctx, &r, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_shards(NULL, NULL, list, 1, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_shards(ctx, NULL, NULL, 1, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_shards(ctx, NULL, list, 0, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_shards(ctx, NULL, list, 2, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_shards(ctx, NULL, list, 1, NULL, NULL), DFQ_E_INVALID);
    r.reserved = 1;
    ck_assert_int_eq(dfq_graph_load_from_reader(ctx, &r, NULL, &g), DFQ_E_UNSUPPORTED);
    r.reserved = 0;
    r.data = NULL;
    ck_assert_int_eq(dfq_graph_load_from_reader(ctx, &r, NULL, &g), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "neither data nor a function"));
    r.struct_size = 0;
    ck_assert_int_eq(dfq_graph_load_from_reader(ctx, &r, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_save_to_memory(NULL, 0, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_save_to_memory(made, 0, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_save_to_writer(NULL, &w, 0), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_save_to_writer(made, NULL, 0), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_save_to_writer(made, &w, 0), DFQ_E_INVALID);
    ck_assert(g == NULL && t == NULL);
}
END_TEST

/* -- shards ------------------------------------------------------------------------------------ */

/* The network's tensors in two files, alternately; made of the one file by its own header, whose
 * offsets are read here as text. */
typedef struct shard {
    char *bytes;
    size_t size;
} shard;

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

/* Appends the entry of `name` with new offsets to `head`, and its bytes to `data`. */
static void split(shard out[2], char *index, size_t room)
{
    const char *file = dfq_tensor_get_data(bytes);
    uint64_t header = 0;
    for (int i = 7; i >= 0; i--) header = header << 8 | (unsigned char)file[i];
    char *text = calloc(1, (size_t)header + 1);
    char *head[2], *data[2];
    size_t n[2] = {0, 0}, used[2] = {0, 0};
    int which = 0;
    memcpy(text, file + 8, (size_t)header);
    for (int k = 0; k < 2; k++) {
        head[k] = calloc(1, (size_t)header + 4096);
        data[k] = calloc(1, dfq_tensor_get_bytes(bytes));
        n[k] =
            (size_t)sprintf(head[k], "{\"__metadata__\":{\"architecture\":\"%s\",\"heads\":\"2\"}",
                            dfq_graph_get_name(made));
    }
    size_t at = (size_t)snprintf(index, room, "{\"weight_map\": {");
    for (char *p = strstr(text, "{\"dtype\""); p; p = strstr(p, "{\"dtype\"")) {
        char *quote = p - 2, *name, *offsets = strstr(p, "\"data_offsets\":[");
        for (name = quote - 1; *name != '"';) name--;
        name++;
        uint64_t begin = number(offsets + 16), end = number(strchr(offsets, ',') + 1);
        int k = which++ % 2, length = (int)(quote - name);
        memcpy(data[k] + used[k], file + 8 + header + begin, (size_t)(end - begin));
        n[k] +=
            (size_t)sprintf(head[k] + n[k], ",\"%.*s\":%.*s\"data_offsets\":[%d,%d]}", length, name,
                            (int)(offsets - p), p, (int)used[k], (int)(used[k] + end - begin));
        used[k] += (size_t)(end - begin);
        at += (size_t)snprintf(index + at, room - at, "%s\"%.*s\": \"part-%d\"",
                               which > 1 ? ", " : "", length, name, k);
        p = offsets;
    }
    snprintf(index + at, room - at, "}}");
    for (int k = 0; k < 2; k++) {
        n[k] += (size_t)sprintf(head[k] + n[k], "}");
        out[k].size = 8 + n[k] + used[k];
        out[k].bytes = calloc(1, out[k].size);
        for (int i = 0; i < 8; i++) out[k].bytes[i] = (char)(n[k] >> (8 * i) & 255);
        memcpy(out[k].bytes + 8, head[k], n[k]);
        memcpy(out[k].bytes + 8 + n[k], data[k], used[k]);
        free(head[k]);
        free(data[k]);
    }
    free(text);
}

static void put(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert(f != NULL && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

/* What info tells is the size of all that was read, without the index. */
static void check_size(const dfq_graph *g, const shard parts[2])
{
    dfq_graph_info info = {.struct_size = sizeof info};
    OK(dfq_graph_get_info(g, &info));
    ck_assert_int_eq(info.file_bytes, parts ? (int64_t)(parts[0].size + parts[1].size) : 0);
}

static void check_disk(const shard parts[2], const char *index)
{
    char folder[] = "/tmp/dfq_shards_XXXXXX", path[3][80];
    dfq_graph *g = NULL;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (int k = 0; k < 2; k++) {
        snprintf(path[k], sizeof path[k], "%s/part-%d", folder, k);
        put(path[k], parts[k].bytes, parts[k].size);
    }
    snprintf(path[2], sizeof path[2], "%s/model.safetensors.index.json", folder);
    put(path[2], index, strlen(index));
    OK(dfq_graph_load(ctx, path[2], NULL, &g));
    ck_assert(same(g, made));
    check_size(g, parts);
    dfq_graph_release(g);
    g = NULL;
    remove(path[1]);
    ck_assert_int_eq(dfq_graph_load(ctx, path[2], NULL, &g), DFQ_E_IO);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "part-1"));
    ck_assert_ptr_null(g);
    remove(path[0]);
    remove(path[2]);
    rmdir(folder);
}

START_TEST(test_shards)
{
    static char index[1 << 14];
    shard parts[2];
    dfq_reader r[2], map = {.struct_size = sizeof map, .data = index, .name = "index"};
    const dfq_reader *list[2] = {&r[0], &r[1]};
    dfq_graph *g;
    split(parts, index, sizeof index);
    map.size = strlen(index);
    for (int k = 0; k < 2; k++)
        r[k] = (dfq_reader){.struct_size = sizeof r[k],
                            .size = parts[k].size,
                            .data = parts[k].bytes,
                            .name = k ? "part-1" : "part-0"};
    for (int with = 0; with < 2; with++) {
        OK(dfq_graph_load_from_shards(ctx, with ? &map : NULL, list, 2, NULL, &g));
        ck_assert(same(g, made));
        check_size(g, parts);
        dfq_graph_release(g);
    }
    check_size(made, NULL);
    g = NULL;
    ck_assert_int_eq(dfq_graph_load_from_shards(ctx, &map, list, 1, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_from_shards(ctx, NULL, list, 1, NULL, &g), DFQ_E_CORRUPT);
    ck_assert_ptr_null(g);
    check_disk(parts, index);
    for (int k = 0; k < 2; k++) free(parts[k].bytes);
}
END_TEST

/* -- memory ------------------------------------------------------------------------------------ */

static int32_t count(const void *data, size_t size, void *user)
{
    (void)data;
    *(size_t *)user += size;
    return 0;
}

static dfq_status life(dfq_context *context, void *arg)
{
    dfq_graph *g = NULL, *again = NULL;
    dfq_tensor *file = NULL;
    size_t written = 0;
    const dfq_writer w = {.struct_size = sizeof w, .write = count, .user = &written};
    (void)arg;
    dfq_status status = make(context, &g);
    if (status == DFQ_OK) status = dfq_graph_save_to_memory(g, 1, &file);
    if (status == DFQ_OK) status = dfq_graph_save_to_writer(g, &w, 1);
    if (status == DFQ_OK) {
        ck_assert_uint_eq(written, dfq_tensor_get_bytes(file));
        status =
            dfq_graph_load_from_memory(context, dfq_tensor_get_data(file), written, NULL, &again);
    }
    dfq_tensor_release(file);
    dfq_graph_release(again);
    dfq_graph_release(g);
    return status;
}

START_TEST(test_allocation)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_api_stream_case(void)
{
    TCase *c = tcase_create("stream");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_memory);
    tcase_add_test(c, test_options);
    tcase_add_test(c, test_hostile);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_shards);
    tcase_add_test(c, test_allocation);
    return c;
}
