/* Folders: creates them, tests paths, lists entries. Lists are sorted, so results do not depend on
 * the order of the file system. */
#include "io/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/file.h"

bool dfqi_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool dfqi_path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool dfqi_path_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static dfq_status make_one(dfq_context *ctx, const char *path)
{
    if (mkdir(path, 0777) == 0) return DFQ_OK;
    int error = errno;
    if (dfqi_path_is_folder(path)) return DFQ_OK;
    return dfqi_fail_errno(ctx, "make the folder", path, error);
}

dfq_status dfqi_folder_make(dfq_context *ctx, const char *path)
{
    if (path[0] == '\0')
        return dfqi_fail(ctx, DFQ_E_INVALID, "cannot make the folder: its name is empty");
    char *p = dfqi_strdup(ctx, path);
    if (!p) return DFQ_E_NOMEM;
    dfq_status status = DFQ_OK;
    for (char *slash = strchr(p + 1, '/'); slash && status == DFQ_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = make_one(ctx, p);
        *slash = '/';
    }
    if (status == DFQ_OK) status = make_one(ctx, p);
    dfqi_free(ctx, p);
    return status;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), e = strlen(ending);
    return n > e && strcasecmp(name + n - e, ending) == 0;
}

static bool is_picture(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(name, endings[i])) return true;
    return false;
}

static bool is_other_picture(const char *name)
{
    static const char *const endings[] = {".bmp",  ".gif",  ".tif", ".tiff",
                                          ".heic", ".avif", ".jp2", ".ppm"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(name, endings[i])) return true;
    return false;
}

static dfq_status wanted(dfq_context *ctx, const char *path, const char *name, dfqi_listing what,
                         bool *out)
{
    *out = false;
    if (name[0] == '.') return DFQ_OK;
    if (what == DFQI_LIST_PNG) {
        *out = ends_with(name, ".png");
    } else if (what == DFQI_LIST_PICTURES) {
        *out = is_picture(name);
    } else if (what == DFQI_LIST_OTHERS) {
        *out = is_other_picture(name);
    } else {
        char *full = dfqi_format(ctx, "%s/%s", path, name);
        if (!full) return DFQ_E_NOMEM;
        *out = dfqi_path_is_folder(full);
        dfqi_free(ctx, full);
    }
    return DFQ_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static dfq_status append(dfqi_names *n, size_t *cap, const char *name)
{
    if ((size_t)n->count == *cap) {
        size_t want = *cap ? *cap * 2 : 64, bytes;
        char **p =
            dfqi_mul_size(want, sizeof *p, &bytes) ? dfqi_realloc(n->ctx, n->names, bytes) : NULL;
        if (!p) return DFQ_E_NOMEM;
        n->names = p;
        *cap = want;
    }
    char *copy = dfqi_strdup(n->ctx, name);
    if (!copy) return DFQ_E_NOMEM;
    n->names[n->count++] = copy;
    return DFQ_OK;
}

dfq_status dfqi_folder_list(dfq_context *ctx, const char *path, dfqi_listing what, dfqi_names *out)
{
    dfqi_names n = {ctx, 0, NULL};
    size_t cap = 0;
    dfq_status status = DFQ_OK;
    DIR *dir = opendir(path);
    if (!dir) return dfqi_fail_errno(ctx, "list the folder", path, errno);
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        bool take;
        if (!e) break;
        DFQI_GOTO(wanted(ctx, path, e->d_name, what, &take), out);
        if (take) DFQI_GOTO(append(&n, &cap, e->d_name), out);
    }
    if (errno != 0) {
        status = dfqi_fail_errno(ctx, "list the folder", path, errno);
        goto out;
    }
    if (n.count > 1) qsort(n.names, (size_t)n.count, sizeof *n.names, by_name);
    *out = n;
    n = (dfqi_names){ctx, 0, NULL};
out:
    dfqi_names_fini(&n);
    closedir(dir);
    return status;
}

void dfqi_names_fini(dfqi_names *n)
{
    for (int64_t i = 0; i < n->count; i++) dfqi_free(n->ctx, n->names[i]);
    dfqi_free(n->ctx, n->names);
    n->names = NULL;
    n->count = 0;
}
