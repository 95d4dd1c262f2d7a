/* File helpers: queries, reading, writing, removal. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "temp_file.h"
#include "text.h"

enum { DEPTH = 3 };

enum file_kind file_kind(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) return FILE_NONE;
    return S_ISREG(st.st_mode) ? FILE_REGULAR : S_ISDIR(st.st_mode) ? FILE_FOLDER : FILE_OTHER;
}

uint64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

void *file_read(const char *path, size_t *size)
{
    size_t want = (size_t)file_size(path), have = 0;
    errno = 0;
    FILE *f = fopen(path, "rb");
    char *bytes = f && want > 0 ? malloc(want) : NULL;
    if (bytes) have = fread(bytes, 1, want, f);
    int error = want > 0 && have == want ? 0 : errno ? errno : ENODATA;
    if (f) fclose(f);
    *size = error ? 0 : want;
    if (!error) return bytes;
    free(bytes);
    errno = error;
    return NULL;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* JSON texts begin with a bracket; safetensors with a length, whose zero bytes no text has. */
int file_is_model(const char *path)
{
    unsigned char head[9];
    if (ends_with(path, ".safetensors") || ends_with(path, ".safetensors.index.json") ||
        ends_with(path, ".onnx"))
        return 1;
    if (file_kind(path) != FILE_REGULAR) return 0;
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    size_t n = fread(head, 1, sizeof head, f), at = 0;
    fclose(f);
    if (memchr(head, 0, n)) return 1;
    while (at < n && memchr(" \t\r\n", head[at], 4)) at++;
    return at < n && head[at] != '{';
}

int file_hash(const char *path, uint64_t *hash)
{
    unsigned char block[16384];
    uint64_t h = TEXT_HASH;
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f) return -1;
    while ((n = fread(block, 1, sizeof block, f)) > 0) h = text_hash(h, block, n);
    int failed = ferror(f);
    fclose(f);
    if (failed) return -1;
    *hash = h;
    return 0;
}

int file_write_with(const char *path, int (*write)(FILE *f, const void *what), const void *what)
{
    struct temp_file b;
    if (temp_file_open(path, &b) != 0) return -1;
    return temp_file_close(&b, write(b.f, what) != 0 ? ENOMEM : 0);
}

static int put_text(FILE *f, const void *text)
{
    fputs(text, f); /* a failure stays in the stream */
    return 0;
}

int file_write_text(const char *path, const char *text)
{
    return file_write_with(path, put_text, text);
}

static int walk_level(const char *path, int depth, int (*visit)(const char *path, void *arg),
                      void *arg)
{
    struct dirent *e;
    DIR *d = opendir(path);
    int stop = 0;
    while (d && !stop && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char *name = text_format("%s/%s", path, e->d_name);
        if (!name) break;
        if (file_kind(name) != FILE_FOLDER)
            stop = visit(name, arg);
        else if (depth < DEPTH)
            stop = walk_level(name, depth + 1, visit, arg);
        free(name);
    }
    if (d) closedir(d);
    return stop;
}

void folder_walk(const char *path, int (*visit)(const char *path, void *arg), void *arg)
{
    (void)walk_level(path, 0, visit, arg);
}

static void remove_level(const char *path, int depth)
{
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d) return;
    while ((e = readdir(d)) != NULL) {
        struct stat st;
        char *name;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        name = text_format("%s/%s", path, e->d_name);
        if (!name) break;
        if (lstat(name, &st) == 0 && S_ISDIR(st.st_mode)) {
            if (depth < DEPTH) remove_level(name, depth + 1);
        } else {
            unlink(name);
        }
        free(name);
    }
    closedir(d);
    rmdir(path);
}

void folder_remove(const char *path)
{
    remove_level(path, 0);
}
