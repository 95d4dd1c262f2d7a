/* Files that are handed over by mistake are known by name, with what to do. */
#include "io/look.h"

#include <string.h>

#include "io/cases.h"
#include "io/safetensors.h"

static const struct {
    const char *bytes;
    size_t size;
    const char *kind, *cure;
} files[] = {
    {"PK\3\4xxxx", 8, "zip archive", "torch.load"},
    {"\x80\x02}q", 4, "pickle", "torch.load"},
    {"\x80\x05}q", 4, "pickle", "torch.load"},
    {"\x7F"
     "ELF",
     4, "a program", "give the model's"},
    {"\x08\x08\x12\x07pytorch\x1A\x05", 13, "ONNX", "framework"},
    {"\x08\x03\x3A\x80\x01xxx", 8, "ONNX", "framework"},
    {"\x08\x04\x12\x20\x0A\x10xx", 8, "Core ML", "framework"},
    {"\x08\x01\x12\x80\x80\x01xx", 8, "SavedModel", "framework"},
    {"\x1C\0\0\0TFL3", 8, "TensorFlow Lite", "framework"},
    {"\x89HDF\r\n\x1A\n", 8, "HDF5", "framework"},
    {"GGUF\3\0\0\0", 8, "GGUF", "framework"},
    {"\x93NUMPY\1\0", 8, "NumPy", "framework"},
    {"\x1F\x8B\x08", 3, "gzip", "unpack"},
    {"<?xml version=\"1.0\"?><net>", 26, "OpenVINO", "framework"},
    {"\n<!doctype html><html>", 22, "web page", "download"},
    {"\xEF\xBB\xBF<!DOCTYPE html>", 18, "web page", "download"},
    {"<HTML>", 6, "web page", "download"},
    {"version https://git-lfs.github.com/spec/v1", 42, "git-lfs", "git lfs pull"},
    {"RIFF\x10\0\0\0WEBP", 12, "WebP", "give the model's"},
    {"{\"a\": 1}", 8, "plain JSON", "beside it"},
};

START_TEST(test_known)
{
    dfqi_look look = dfqi_file_look(files[_i].bytes, files[_i].size);
    ck_assert_ptr_nonnull(look.kind);
    ck_assert_msg(strstr(look.kind, files[_i].kind) && strstr(look.cure, files[_i].cure), "%s; %s",
                  look.kind, look.cure);
    dfqi_safetensors st;
    io_put(io_path("f"), files[_i].bytes, files[_i].size);
    io_fails(dfqi_st_read(io_ctx, io_path("f"), &st), DFQ_E_CORRUPT, files[_i].kind);
    io_fails(dfqi_st_read(io_ctx, io_path("f"), &st), DFQ_E_CORRUPT, files[_i].cure);
}
END_TEST

/* A tar archive shows what it is behind the name of its first file. */
START_TEST(test_tar)
{
    char bytes[600] = "weights.bin";
    memcpy(bytes + 257, "ustar", 5);
    dfqi_safetensors st;
    io_put(io_path("f"), bytes, sizeof bytes);
    io_fails(dfqi_st_read(io_ctx, io_path("f"), &st), DFQ_E_CORRUPT, "a tar archive; unpack it");
}
END_TEST

START_TEST(test_unknown)
{
    static const unsigned char cifar[] = {8, 9, 200, 3, 4, 5, 6, 7, 8};
    ck_assert_ptr_null(dfqi_file_look("abcdefgh", 8).kind);
    ck_assert_ptr_null(dfqi_file_look("", 0).kind);
    ck_assert_ptr_null(dfqi_file_look("   ", 3).kind);
    ck_assert_ptr_null(dfqi_file_look(cifar, sizeof cifar).kind);
}
END_TEST

TCase *dfqt_look_case(void)
{
    TCase *tc = io_case("look");
    tcase_add_loop_test(tc, test_known, 0, sizeof files / sizeof files[0]);
    tcase_add_test(tc, test_tar);
    tcase_add_test(tc, test_unknown);
    return tc;
}
