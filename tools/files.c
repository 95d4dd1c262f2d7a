/* Files: looking before a long job instead of failing after it. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "text.h"

enum { REMOVE_DEPTH = 3 };

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
    FILE *f = fopen(path, "rb");
    char *bytes = f && want > 0 ? malloc(want) : NULL;
    if (bytes) have = fread(bytes, 1, want, f);
    if (f) fclose(f);
    *size = have == want ? want : 0;
    if (*size > 0) return bytes;
    free(bytes);
    return NULL;
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
    char *temp = text_format("%s.%ld.part", path, (long)getpid());
    FILE *f = temp ? fopen(temp, "wb") : NULL;
    int error = 0;
    if (!f) {
        error = errno;
    } else {
        if (write(f, what) != 0) error = ENOMEM;
        if (!error && (fflush(f) != 0 || ferror(f))) error = errno ? errno : EIO;
        if (fclose(f) != 0 && !error) error = errno;
        if (!error && rename(temp, path) != 0) error = errno;
        if (error) unlink(temp);
    }
    free(temp);
    errno = error;
    return error ? -1 : 0;
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
            if (depth < REMOVE_DEPTH) remove_level(name, depth + 1);
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

/* The folder `path` lies in, in new memory. */
static char *parent_of(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--; /* a folder's own slash */
    while (n > 0 && path[n - 1] != '/') n--;
    while (n > 1 && path[n - 1] == '/') n--;
    return n == 0 ? text_format(".") : text_format("%.*s", (int)n, path);
}

static int check_parent(struct session *s, const char *path, const char *parent, double need)
{
    struct statvfs fs;
    char a[TEXT_SHORT], b[TEXT_SHORT];
    if (file_kind(parent) != FILE_FOLDER)
        return session_error(s, CODE_OUTPUT,
                             "cannot write %s: there is no folder %s; make it first", path, parent);
    if (access(parent, W_OK | X_OK) != 0)
        return session_error(s, CODE_OUTPUT, "cannot write %s: folder %s: %s; choose another place",
                             path, parent, strerror(errno));
    if (need <= 0 || statvfs(parent, &fs) != 0) return 0;
    double room = (double)fs.f_bavail * (double)fs.f_frsize;
    if (room >= need) return 0;
    return session_error(
        s, CODE_OUTPUT,
        "cannot write %s: %s are free on its disk, about %s are needed; make room or "
        "choose another place",
        path, text_bytes(room, a), text_bytes(need, b));
}

int file_check_output(struct session *s, const char *path, int may_exist, double need)
{
    enum file_kind kind = file_kind(path);
    if (kind == FILE_OTHER) return 0; /* a device takes what it takes */
    if (kind != FILE_NONE && !may_exist && !s->o->force)
        return session_error(
            s, CODE_USAGE, "%s is there already; add --force to replace it, or choose another name",
            path);
    char *parent = parent_of(path);
    if (!parent) return session_fail(s, DFQ_E_NOMEM, PHASE_WORK);
    int code = check_parent(s, path, parent, need);
    free(parent);
    return code;
}
