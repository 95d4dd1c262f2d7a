/* Hostile safetensors: every rule broken once, every truncation, every flipped bit of a header. */
#include <stdlib.h>
#include <string.h>

#include "io/cases.h"
#include "io/safetensors.h"

/* Builds a file from a header and `n` data bytes and parses it. */
static dfq_status parse(const char *header, size_t n, dfqi_safetensors *st)
{
    size_t length = strlen(header), size = 8 + length + n;
    unsigned char *bytes = calloc(1, size); /* exactly, so that a tool sees a read beyond the end */
    dfq_status status;
    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    status = dfqi_st_parse(io_ctx, "m.st", bytes, size, st);
    free(bytes);
    return status;
}

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct rule {
    const char *header;
    size_t n;
    dfq_status status;
    const char *part;
} rules[] = {
    {ONE("\"C64\"", "[2]", "[0,16]"), 16, DFQ_E_UNSUPPORTED, "\"w\" is C64, must be a float"},
    {ONE("\"F64\"", "[2]", "[0,8]"), 8, DFQ_E_CORRUPT, "has 8 bytes of data, must have 16"},
    {ONE("\"F8\"", "[2]", "[0,2]"), 2, DFQ_E_UNSUPPORTED, "F8"},
    {ONE("4", "[2]", "[0,8]"), 8, DFQ_E_CORRUPT, "\"dtype\" of \"w\" is an integer"},
    {ONE("\"F32\"", "[2]", "[0,7]"), 8, DFQ_E_CORRUPT,
     "has 7 bytes of data, must have 8 by its shape and dtype"},
    {ONE("\"F32\"", "[2]", "[0,8]"), 7, DFQ_E_CORRUPT,
     "bytes 0 to 8 of the data, which has only 7"},
    {ONE("\"F32\"", "[2]", "[8,0]"), 8, DFQ_E_CORRUPT, "8 to 0"},
    {ONE("\"F32\"", "[2]", "[-8,0]"), 8, DFQ_E_CORRUPT, "is -8, must be 0 to"},
    {ONE("\"F32\"", "[2]", "[0]"), 8, DFQ_E_CORRUPT, "has 1 data_offsets, must have 2"},
    {ONE("\"F32\"", "[2]", "[0,8,9]"), 8, DFQ_E_CORRUPT, "has 3 data_offsets"},
    {ONE("\"F32\"", "[2]", "{}"), 8, DFQ_E_CORRUPT, "must be an array"},
    {ONE("\"F32\"", "[2]", "[0.0,8]"), 8, DFQ_E_CORRUPT, "is a fraction"},
    {ONE("\"F32\"", "[2.0]", "[0,8]"), 8, DFQ_E_CORRUPT, "is a fraction, must be an integer"},
    {ONE("\"F32\"", "[-2]", "[0,8]"), 8, DFQ_E_CORRUPT, "\"w\" is -2"},
    {ONE("\"F32\"", "[1,1,1,1,1,1,2]", "[0,8]"), 8, DFQ_E_CORRUPT,
     "has 7 extents, must have at most 6"},
    {ONE("\"F32\"", "2", "[0,8]"), 8, DFQ_E_CORRUPT, "must be an array"},
    {ONE("\"F32\"", "[4611686018427387904,4]", "[0,8]"), 8, DFQ_E_CORRUPT, "overflows"},
    {ONE("\"F32\"", "[9223372036854775807,9223372036854775807,4]", "[0,16]"), 16, DFQ_E_CORRUPT,
     "overflows"},
    {ONE("\"F32\"", "[0,4611686018427387904,4]", "[0,0]"), 0, DFQ_E_CORRUPT, "overflows"},
    {ONE("\"F32\"", "[99999999999999999999]", "[0,8]"), 8, DFQ_E_CORRUPT, "the JSON is not valid"},
    {ONE("\"U8\"", "[9000000000000]", "[0,9000000000000]"), 8, DFQ_E_CORRUPT, "has only 8"},
    {ONE("\"U8\"", "[1]", "[64,65]"), 65, DFQ_E_CORRUPT, "64 unused bytes before"},
    {ONE("\"U8\"", "[1]", "[1,2]"), 2, DFQ_E_CORRUPT,
     "1 unused byte before tensor \"w\", the format"},
    {ONE("\"U8\"", "[1]", "[0,1]"), 65, DFQ_E_CORRUPT, "64 unused bytes behind"},
    {ONE("\"U8\"", "[1]", "[0,1]"), 2, DFQ_E_CORRUPT, "m.st: 1 unused byte behind the last tensor"},
    {"{}", 1, DFQ_E_CORRUPT, "unused byte behind"},
    {"{\"w\":3}", 0, DFQ_E_CORRUPT, "\"w\" is an integer, must be an object"},
    {"{\"\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, DFQ_E_CORRUPT,
     "empty name"},
    {"{\"w\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, DFQ_E_CORRUPT,
     "\"data_offsets\" of \"w\" is missing"},
    {"{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", 0, DFQ_E_CORRUPT,
     "\"shape\" of \"w\" is missing"},
    {"{\"w\":{\"shape\":[0],\"data_offsets\":[0,0]}}", 0, DFQ_E_CORRUPT,
     "\"dtype\" of \"w\" is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
     3, DFQ_E_CORRUPT, "\"a\" and \"b\" overlap at byte 1"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
     2, DFQ_E_CORRUPT, "overlap"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
     0, DFQ_E_CORRUPT, "duplicate"},
    {"{\"__metadata__\":{\"k\":1}}", 0, DFQ_E_CORRUPT, "\"k\" is an integer, must be a string"},
    {"{\"__metadata__\":[]}", 0, DFQ_E_CORRUPT, "\"__metadata__\" is an array, must be an object"},
    {"{\"a\\nb\":3}", 0, DFQ_E_CORRUPT, "\"a?b\" is an integer"},
    {"{", 0, DFQ_E_CORRUPT, "too few"},
    {"{ ", 0, DFQ_E_CORRUPT, "the JSON is not valid"},
    {"{}x", 0, DFQ_E_CORRUPT, "the JSON is not valid"},
    {" {}", 0, DFQ_E_CORRUPT, "must begin with {"},
};

START_TEST(test_rule)
{
    const struct rule *r = &rules[_i];
    dfqi_safetensors st;
    if (strcmp(r->part, "too few") == 0) { /* 9 bytes pass that check, 8 do not */
        io_fails(dfqi_st_parse(io_ctx, "m.st", "\2\0\0\0\0\0\0\0", 8, &st), r->status, r->part);
        return;
    }
    io_fails(parse(r->header, r->n, &st), r->status, r->part);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(io_ctx), "m.st: "));
}
END_TEST

START_TEST(test_allowed)
{
    static const char *const headers[] = {
        ONE("\"F32\"", "[]", "[0,4]") "   ",
        ONE("\"F32\"", "[0,5000000000]", "[0,0]"),
        "{\"__metadata__\":null}",
        "{\"__metadata__\":{}}",
        ("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"extra\":[]}}"),
    };
    static const size_t data[] = {4, 0, 0, 0, 1};
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        dfqi_safetensors st;
        io_works(parse(headers[i], data[i], &st));
        dfqi_st_fini(&st);
    }
}
END_TEST

START_TEST(test_other_files)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *part;
    } files[] = {
        {"PK\3\4\0\0\10\10\0\0\0\0", 12, "torch.save"},
        {"\x80\x02}q\0X\1\0\0\0a", 11, "pickle"},
        {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "PNG"},
        {"\xFF\xD8\xFF\xE0\0\x10JFIF", 10, "JPEG"},
        {"GGUF\3\0\0\0\0\0", 10, "GGUF"},
        {"\x1F\x8B\10\0\0\0\0\0\0\0", 10, "gzip"},
        {"version https://git-lfs.github.com/spec/v1", 42, "git lfs pull"},
        {"<!DOCTYPE html><html>", 21, "web page"},
        {"{\"a\": 1}", 8, "plain JSON"},
        {"", 0, "0 bytes, which are too few"},
        {"abc", 3, "3 bytes, which are too few"},
        {"\1\0\0\0\0\0\0\0{}", 10, "the header has 1 bytes"},
        {"\3\0\0\0\0\0\0\0{}", 10, "the header has 3 bytes"},
        {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "the header has 18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        dfqi_safetensors st;
        io_fails(dfqi_st_parse(io_ctx, "m.st", files[i].bytes, files[i].n, &st), DFQ_E_CORRUPT,
                 files[i].part);
        io_put(io_path("m"), files[i].bytes, files[i].n);
        io_fails(dfqi_st_read(io_ctx, io_path("m"), &st), DFQ_E_CORRUPT, files[i].part);
    }
    dfqi_safetensors st;
    io_fails(dfqi_st_read(io_ctx, io_path("none"), &st), DFQ_E_IO, "No such file");
}
END_TEST

static const char sample_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"b\":{\"dtype\":\"I8\",\"shape\":[5],\"data_offsets\":[24,29]}}   ";

static size_t sample(unsigned char *bytes)
{
    size_t n = sizeof sample_header - 1;
    memset(bytes, 0, 8);
    bytes[0] = (unsigned char)n;
    memcpy(bytes + 8, sample_header, n);
    for (size_t i = 0; i < 29; i++) bytes[8 + n + i] = (unsigned char)(200 + i);
    return 8 + n + 29;
}

START_TEST(test_truncated)
{
    unsigned char bytes[512];
    size_t size = sample(bytes);
    dfqi_safetensors st;
    for (size_t n = 0; n < size; n++) {
        unsigned char *exact = malloc(n + 1);
        memcpy(exact, bytes, n);
        exact = realloc(exact, n ? n : 1);
        io_fails(dfqi_st_parse(io_ctx, "m.st", exact, n, &st), DFQ_E_CORRUPT, "m.st");
        io_put(io_path("m.st"), exact, n);
        io_fails(dfqi_st_read(io_ctx, io_path("m.st"), &st), DFQ_E_CORRUPT, "m.st");
        free(exact);
    }
    io_works(dfqi_st_parse(io_ctx, "m.st", bytes, size, &st));
    dfqi_st_fini(&st);
}
END_TEST

START_TEST(test_flipped_bits)
{
    unsigned char bytes[512];
    size_t size = sample(bytes);
    int good = 0, bad = 0;
    for (size_t i = 0; i < (8 + sizeof sample_header - 1) * 8; i++) {
        dfqi_safetensors st;
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        dfq_status status = dfqi_st_parse(io_ctx, "m.st", bytes, size, &st);
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        if (status == DFQ_OK) {
            good++;
            for (int64_t k = 0; k < st.n_entries; k++) ck_assert_ptr_nonnull(st.entries[k].tensor);
            dfqi_st_fini(&st);
        } else {
            bad++;
            io_fails(status, status == DFQ_E_UNSUPPORTED ? status : DFQ_E_CORRUPT, "m.st");
        }
    }
    ck_assert_int_gt(good, 20); /* a changed letter of a name is a valid file */
    ck_assert_int_gt(bad, 500);
}
END_TEST

TCase *dfqt_safetensors_broken_case(void)
{
    TCase *tc = io_case("safetensors_broken");
    tcase_add_loop_test(tc, test_rule, 0, (int)(sizeof rules / sizeof rules[0]));
    tcase_add_test(tc, test_allowed);
    tcase_add_test(tc, test_other_files);
    tcase_add_test(tc, test_truncated);
    tcase_add_test(tc, test_flipped_bits);
    return tc;
}
