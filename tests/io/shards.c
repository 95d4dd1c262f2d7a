/* Several safetensors as one: indices on disk and in memory, what must not pass, and memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/cases.h"
#include "io/safetensors.h"

enum { N = 3 };
static const char *const names[N] = {"a", "b", "c"};
static const char *const files[2] = {"m-1.safetensors", "m-2.safetensors"};
static const char good[] = "{\"metadata\": {\"total_size\": 24, \"heads\": \"3\"}, \"weight_map\": "
                           "{\"a\": \"m-1.safetensors\", \"c\": \"m-1.safetensors\","
                           " \"b\": \"m-2.safetensors\"}}";

static dfq_status write_one(dfq_context *ctx, const dfqi_st_target *to, int n, const int *which,
                            const char *format)
{
    dfqi_st_entry e[N];
    char key[] = "format", value[16];
    dfqi_st_meta meta = {key, value};
    dfq_status status = DFQ_OK;
    int made = 0;
    snprintf(value, sizeof value, "%s", format);
    for (; made < n && status == DFQ_OK; made++) {
        e[made] = (dfqi_st_entry){.name = (char *)names[which[made]], .tensor = NULL};
        status = dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){2}, &e[made].tensor);
        if (status == DFQ_OK) dfqi_tensor_f32(e[made].tensor)[1] = (float)which[made] + 0.5f;
    }
    if (status == DFQ_OK) status = dfqi_st_write_to(ctx, to, n, e, 1, &meta);
    for (int i = 0; i < made; i++) dfqi_tensor_release(e[i].tensor);
    return status;
}

/* a and c in the first shard, b in the second. */
static dfq_status write_shards(dfq_context *ctx, const char *const paths[2],
                               dfq_tensor **const bytes[2], const char *const formats[2])
{
    static const int first[2] = {0, 2}, second[1] = {1};
    for (int i = 0; i < 2; i++) {
        const dfqi_st_target to = {.path = paths ? paths[i] : NULL,
                                   .bytes = bytes ? bytes[i] : NULL};
        DFQI_TRY(write_one(ctx, &to, i ? 1 : 2, i ? second : first, formats[i]));
    }
    return DFQ_OK;
}

static const char *const plain[2] = {"pt", "pt"};

static const char *write_disk(const char *index)
{
    const char *paths[2] = {io_path(files[0]), io_path(files[1])};
    const char *path = io_path("m.index.json");
    io_works(write_shards(io_ctx, paths, NULL, plain));
    io_put_text(path, index);
    return path;
}

static void check_whole(const dfqi_safetensors *st)
{
    ck_assert_int_eq(st->n_entries, N);
    for (int i = 0; i < N; i++) {
        const dfq_tensor *t = dfqi_st_find(st, names[i]);
        ck_assert_ptr_nonnull(t);
        ck_assert(dfqi_tensor_f32(t)[1] == (float)i + 0.5f);
    }
    ck_assert_str_eq(dfqi_st_meta_find(st, "format"), "pt");
}

START_TEST(test_index)
{
    dfqi_safetensors st;
    io_works(dfqi_st_read_index(io_ctx, write_disk(good), &st));
    check_whole(&st);
    ck_assert_str_eq(dfqi_st_meta_find(&st, "heads"),
                     "3"); /* the index's own text, not its number */
    ck_assert_int_eq(st.n_meta, 2);
    dfqi_st_fini(&st);
    ck_assert(dfqi_st_is_index("x/m.index.json") && !dfqi_st_is_index("m.safetensors") &&
              !dfqi_st_is_index(".json"));
}
END_TEST

/* Each wrong index, and what the text must name. */
START_TEST(test_lies)
{
    static const struct {
        const char *index;
        dfq_status status;
        const char *parts[3];
    } rows[] = {
        {"{\"weight_map\": {\"a\": \"m-1.safetensors\", \"c\": \"m-1.safetensors\","
         " \"b\": \"m-3.safetensors\"}}",
         DFQ_E_IO,
         {"m-3.safetensors: No such file", "tensor \"b\"", "fetch it into the folder of"}},
        {"{\"weight_map\": {\"a\": \"m-1.safetensors\", \"c\": \"m-2.safetensors\","
         " \"b\": \"m-2.safetensors\"}}",
         DFQ_E_CORRUPT,
         {"m.index.json: tensor \"c\" is in ", "m-1.safetensors, by the index in m-2.safetensors",
          "fetch"}},
        {"{\"weight_map\": {\"a\": \"m-1.safetensors\", \"b\": \"m-2.safetensors\"}}",
         DFQ_E_CORRUPT,
         {"tensor \"c\" is in", "m-1.safetensors", "not in the index"}},
        {"{\"weight_map\": {\"a\": \"m-1.safetensors\", \"c\": \"m-1.safetensors\","
         " \"b\": \"m-2.safetensors\", \"d\": \"m-2.safetensors\"}}",
         DFQ_E_CORRUPT,
         {"tensor \"d\" is missing in", "m-2.safetensors", "where the index has it"}},
        {"{\"weight_map\": {\"a\": \"../m-1.safetensors\"}}",
         DFQ_E_CORRUPT,
         {"tensor \"a\"", "\"../m-1.safetensors\"", "must be beside their index"}},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", DFQ_E_CORRUPT, {"/etc/passwd", "", ""}},
        {"{\"weight_map\": {\"a\": \"\"}}", DFQ_E_CORRUPT, {"tensor \"a\"", "", ""}},
        {"{\"weight_map\": {\"a\": \"..\"}}", DFQ_E_CORRUPT, {"tensor \"a\"", "", ""}},
        {"{\"weight_map\": {\"a\": 3}}", DFQ_E_CORRUPT, {"\"a\"", "string", ""}},
        {"{\"weight_map\": {}}", DFQ_E_CORRUPT, {"names no tensor", "", ""}},
        {"{\"weight_map\": []}", DFQ_E_CORRUPT, {"\"weight_map\"", "object", ""}},
        {"{\"hidden_size\": 3}",
         DFQ_E_CORRUPT,
         {"\"weight_map\" is missing", "give the model's", ""}},
        {"{\"weight_map\": {\"a\": \"m-1.safetensors\", \"a\": \"m-2.safetensors\"}}",
         DFQ_E_CORRUPT,
         {"duplicate", "", ""}},
        {"{\"metadata\": {\"format\": \"tf\"}, \"weight_map\": {\"a\": \"m-1.safetensors\","
         " \"c\": \"m-1.safetensors\", \"b\": \"m-2.safetensors\"}}",
         DFQ_E_CORRUPT,
         {"metadata \"format\" is \"tf\"", "in another shard \"pt\"", ""}},
        {"{\"weight_map\": {\"a\": \"m.index.json\"}}",
         DFQ_E_CORRUPT,
         {"m.index.json: the file is not safetensors", "", ""}},
        {"{", DFQ_E_CORRUPT, {"m.index.json", "", ""}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfqi_safetensors st;
        const char *path = write_disk(rows[i].index);
        for (int k = 0; k < 3; k++)
            io_fails(dfqi_st_read_index(io_ctx, path, &st), rows[i].status, rows[i].parts[k]);
    }
    dfqi_safetensors st;
    io_fails(dfqi_st_read_index(io_ctx, io_path("none.json"), &st), DFQ_E_IO, "No such file");
}
END_TEST

/* -- in memory --------------------------------------------------------------------------------- */

typedef struct scene {
    dfq_tensor *bytes[2];
    dfqi_source shards[2], index;
} scene;

static dfq_status open_scene(dfq_context *ctx, scene *s, const char *const formats[2])
{
    dfq_tensor **const bytes[2] = {&s->bytes[0], &s->bytes[1]};
    *s = (scene){.index = dfqi_source_memory(ctx, "index", good, sizeof good - 1)};
    DFQI_TRY(write_shards(ctx, NULL, bytes, formats));
    for (int i = 0; i < 2; i++)
        s->shards[i] = dfqi_source_memory(ctx, files[i], s->bytes[i]->data,
                                          (uint64_t)dfqi_tensor_count(s->bytes[i]));
    return DFQ_OK;
}

static void close_scene(scene *s)
{
    for (int i = 0; i < 2; i++) dfqi_tensor_release(s->bytes[i]);
}

START_TEST(test_memory)
{
    scene s;
    dfqi_safetensors st;
    io_works(open_scene(io_ctx, &s, plain));
    io_works(dfqi_st_read_shards(io_ctx, &s.index, 2, s.shards, &st));
    check_whole(&st);
    dfqi_st_fini(&st);
    for (int i = 0; i < 2; i++) s.shards[i].at = 0;
    io_works(dfqi_st_read_shards(io_ctx, NULL, 2, s.shards, &st));
    check_whole(&st);
    dfqi_st_fini(&st);
    close_scene(&s);
}
END_TEST

START_TEST(test_memory_lies)
{
    static const char *const mixed[2] = {"pt", "tf"};
    scene s;
    dfqi_safetensors st;
    io_works(open_scene(io_ctx, &s, plain));
    io_fails(dfqi_st_read_shards(io_ctx, &s.index, 1, s.shards, &st), DFQ_E_INVALID,
             "index: the reader of shard \"m-2.safetensors\" is missing, which has tensor \"b\"");
    s.shards[1].name = "other";
    io_fails(dfqi_st_read_shards(io_ctx, &s.index, 2, s.shards, &st), DFQ_E_INVALID,
             "names no shard \"other\"");
    s.shards[1] = s.shards[0];
    s.shards[0].at = s.shards[1].at = 0;
    io_fails(dfqi_st_read_shards(io_ctx, NULL, 2, s.shards, &st), DFQ_E_CORRUPT,
             "tensor \"a\" is in shards m-1.safetensors and m-1.safetensors");
    close_scene(&s);
    io_works(open_scene(io_ctx, &s, mixed));
    io_fails(dfqi_st_read_shards(io_ctx, NULL, 2, s.shards, &st), DFQ_E_CORRUPT,
             "m-2.safetensors: metadata \"format\" is \"tf\"");
    close_scene(&s);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    scene s;
    dfqi_safetensors st;
    (void)arg;
    dfq_status status = open_scene(ctx, &s, plain);
    if (status == DFQ_OK) status = dfqi_st_read_shards(ctx, &s.index, 2, s.shards, &st);
    if (status == DFQ_OK) {
        dfqi_st_fini(&st);
        s.shards[0].at = s.shards[1].at = 0;
        status = dfqi_st_read_shards(ctx, NULL, 2, s.shards, &st);
    }
    if (status == DFQ_OK) dfqi_st_fini(&st);
    close_scene(&s);
    return status;
}

static dfq_status life_on_disk(dfq_context *ctx, void *arg)
{
    dfqi_safetensors st;
    DFQI_TRY(dfqi_st_read_index(ctx, arg, &st));
    dfqi_st_fini(&st);
    return DFQ_OK;
}

START_TEST(test_allocation)
{
    char path[512];
    io_sweep(life, NULL, 1);
    snprintf(path, sizeof path, "%s", write_disk(good));
    io_sweep(life_on_disk, path, 1);
}
END_TEST

/* -- readers and writers ----------------------------------------------------------------------- */

typedef struct tape {
    const unsigned char *bytes;
    uint64_t end; /* what was asked for so far */
    int calls, fail_at;
} tape;

static int32_t play(uint64_t offset, void *buffer, size_t size, void *user)
{
    tape *t = user;
    if (t->calls++ == t->fail_at) return -7;
    memcpy(buffer, t->bytes + offset, size);
    if (offset + size > t->end) t->end = offset + size;
    return 0;
}

/* Every call that may fail once does. */
START_TEST(test_reader)
{
    scene s;
    dfqi_safetensors st;
    tape t = {.fail_at = -1};
    io_works(open_scene(io_ctx, &s, plain));
    dfq_reader r = {.struct_size = sizeof r,
                    .size = (uint64_t)dfqi_tensor_count(s.bytes[0]),
                    .read = play,
                    .user = &t};
    t.bytes = s.bytes[0]->data;
    dfqi_source source = dfqi_source_reader(io_ctx, &r);
    io_works(dfqi_st_read_source(&source, &st));
    ck_assert_int_eq(st.n_entries, 2);
    ck_assert(dfqi_tensor_f32(dfqi_st_find(&st, "c"))[1] == 2.5f);
    dfqi_st_fini(&st);
    ck_assert_uint_eq(t.end, r.size);
    int calls = t.calls;
    ck_assert_int_ge(calls, 3);
    for (t.fail_at = 0; t.fail_at < calls; t.fail_at++) {
        t.calls = 0;
        source = dfqi_source_reader(io_ctx, &r);
        io_fails(dfqi_st_read_source(&source, &st), DFQ_E_IO,
                 "cannot read memory: the reader's function returned -7");
    }
    close_scene(&s);
}
END_TEST

static int32_t take(const void *bytes, size_t size, void *user)
{
    tape *t = user;
    if (t->calls++ == t->fail_at) return 5;
    ck_assert_mem_eq(t->bytes + t->end, bytes, size);
    t->end += size;
    return 0;
}

START_TEST(test_writer)
{
    static const int which[2] = {0, 2};
    scene s;
    tape t = {.fail_at = -1};
    io_works(open_scene(io_ctx, &s, plain));
    const dfq_writer w = {.struct_size = sizeof w, .write = take, .user = &t, .name = "pipe"};
    const dfqi_st_target to = {.writer = &w}, disk = {.path = io_path("x")};
    t.bytes = s.bytes[0]->data;
    io_works(write_one(io_ctx, &to, 2, which, "pt"));
    ck_assert_int_eq((int64_t)t.end, dfqi_tensor_count(s.bytes[0]));
    int calls = t.calls;
    for (t.fail_at = 0; t.fail_at < calls; t.fail_at++) {
        t.calls = 0;
        t.end = 0;
        io_fails(write_one(io_ctx, &to, 2, which, "pt"), DFQ_E_IO,
                 "cannot write pipe: the writer's function returned 5 after ");
    }
    size_t n;
    io_works(write_one(io_ctx, &disk, 2, which, "pt"));
    unsigned char *same = io_get(disk.path, &n);
    ck_assert_int_eq((int64_t)n, dfqi_tensor_count(s.bytes[0]));
    ck_assert_mem_eq(same, s.bytes[0]->data, n);
    free(same);
    close_scene(&s);
}
END_TEST

TCase *dfqt_shards_case(void)
{
    TCase *tc = io_case("shards");
    tcase_add_test(tc, test_index);
    tcase_add_test(tc, test_lies);
    tcase_add_test(tc, test_memory);
    tcase_add_test(tc, test_memory_lies);
    tcase_add_test(tc, test_allocation);
    tcase_add_test(tc, test_reader);
    tcase_add_test(tc, test_writer);
    return tc;
}
