/* Writes a file under a temporary name and renames it, so that no incomplete file is visible. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "temp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

enum { TRIES = 100, NAME_USUAL = 255, HASH_TEXT = 9 /* "-%08x" */ };

/* -- names ------------------------------------------------------------------------------------- */

char *path_final(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    char *plain = text_format("%.*s", (int)n, path);
    if (!plain || lstat(plain, &st) != 0 || !S_ISLNK(st.st_mode)) return plain;
    char *real = realpath(plain, NULL);
    if (!real) return plain; /* dangling: becomes a file of its own */
    free(plain);
    return real;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_folder(const char *path)
{
    size_t n = (size_t)(path_base(path) - path);
    while (n > 1 && path[n - 1] == '/') n--;
    return n == 0 ? text_format(".") : text_format("%.*s", (int)n, path);
}

char *path_with_ending(const char *path, const char *end)
{
    const char *base = path_base(path);
    size_t n = strlen(base), more = strlen(end);
    char *folder = path_folder(path);
    if (!folder) return NULL;
    long limit = pathconf(folder, _PC_NAME_MAX);
    free(folder);
    size_t most = limit > 0 ? (size_t)limit : NAME_USUAL;
    if (n + more <= most) return text_format("%s%s", path, end);
    more += HASH_TEXT;
    size_t keep = more < most ? most - more : 0;
    while (keep > 0 && ((unsigned char)base[keep] & 0xC0) == 0x80) keep--; /* whole characters */
    unsigned own = (unsigned)(text_hash(TEXT_HASH, base, n) & 0xFFFFFFFF);
    return text_format("%.*s-%08x%s", (int)((size_t)(base - path) + keep), path, own, end);
}

/* -- files ------------------------------------------------------------------------------------- */

static int open_new(struct temp_file *b)
{
    for (int i = 0; i < TRIES; i++) {
        char end[48];
        snprintf(end, sizeof end, ".tmp%ld-%d", (long)getpid(), i);
        b->temp = path_with_ending(b->path, end);
        if (!b->temp) return -1;
        int fd = open(b->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            b->f = fdopen(fd, "wb");
            if (b->f) return 0;
            close(fd);
            unlink(b->temp);
            return -1;
        }
        if (errno != EEXIST) return -1;
        free(b->temp);
        b->temp = NULL;
    }
    return -1;
}

int temp_file_open(const char *path, struct temp_file *b)
{
    memset(b, 0, sizeof *b);
    errno = ENOMEM; /* what a failed malloc means where errno is not set */
    b->path = path_final(path);
    if (b->path && open_new(b) == 0) return 0;
    int error = errno;
    free(b->path);
    free(b->temp);
    errno = error;
    return -1;
}

int temp_file_close(struct temp_file *b, int error)
{
    errno = 0;
    if (!error && (fflush(b->f) != 0 || ferror(b->f) || fsync(fileno(b->f)) != 0))
        error = errno ? errno : EIO;
    if (fclose(b->f) != 0 && !error) error = errno ? errno : EIO;
    if (!error && rename(b->temp, b->path) != 0) error = errno;
    if (error) unlink(b->temp);
    free(b->temp);
    free(b->path);
    errno = error;
    return error ? -1 : 0;
}
