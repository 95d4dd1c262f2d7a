/* Checks of a single output: its type may be replaced, its folder is writable, no other run locks
 * it. */
#define _XOPEN_SOURCE 700 /* S_ISVTX */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "temp_file.h"
#include "files.h"
#include "session.h"
#include "text.h"

/* -- one by itself ----------------------------------------------------------------------------- */

static int is_something(const char *path, void *arg)
{
    (void)path;
    *(int *)arg = 1;
    return 1;
}

/* May a set of images be put here? Into an older one, or an empty folder. -1 without memory. */
static int is_set(const char *folder)
{
    char *file = text_format("%s/images.safetensors", folder);
    int holds_any = 0, set = file ? file_kind(file) == FILE_REGULAR : -1;
    free(file);
    if (set) return set;
    folder_walk(folder, is_something, &holds_any);
    return !holds_any;
}

static int check_kind(struct session *s, const struct place *p)
{
    const char *what = p->name ? p->name : "";
    size_t n = strlen(p->text);
    struct stat st;
    if (p->what & PLACE_FOLDER) {
        int set = p->own.there && !(p->what & PLACE_RESUME) ? is_set(p->path) : 1;
        if (set < 0) return session_fail(s, DFQ_E_NOMEM, PHASE_WORK);
        if (!set)
            return session_error(
                s, CODE_USAGE,
                "%s %s is a folder with other files, and a set of images must have a folder of its "
                "own; give a new name, for example %s %s/images",
                what, p->text, what, p->text);
        if (p->own.there ? S_ISDIR(p->mode) : lstat(p->path, &st) != 0) return CODE_DONE;
        return session_error(s, CODE_USAGE,
                             "%s %s must be a folder, and is a file; choose another name", what,
                             p->text);
    }
    if (S_ISDIR(p->mode))
        return session_error(s, CODE_USAGE, "%s %s is a folder; choose another name", what,
                             p->text);
    if (n == 0 || p->text[n - 1] == '/')
        return session_error(s, CODE_USAGE, "%s %s names no file; choose another name", what,
                             n ? p->text : "\"\"");
    if (p->own.there && !S_ISREG(p->mode) && !(p->what & PLACE_DEVICE))
        return session_error(s, CODE_USAGE, "%s %s is not a regular file; choose another name",
                             what, p->text);
    return CODE_DONE;
}

/* In a folder like /tmp only the owner of a file replaces it. */
static int may_replace(const struct place *p, const char *parent)
{
    struct stat file, folder;
    uid_t me = geteuid();
    if (!p->own.there || stat(parent, &folder) != 0 || stat(p->path, &file) != 0) return 1;
    return !(folder.st_mode & S_ISVTX) || me == 0 || me == folder.st_uid || me == file.st_uid;
}

static int check_parent(struct session *s, const struct place *p)
{
    char *parent = path_folder(p->path), *job = NULL;
    int code = CODE_DONE;
    if (parent) job = text_format("%s/job.txt", parent);
    size_t n = parent ? strlen(parent) : 0;
    if (!job)
        code = session_fail(s, DFQ_E_NOMEM, PHASE_WORK);
    else if (file_kind(parent) != FILE_FOLDER)
        code = session_error(s, CODE_OUTPUT,
                             "cannot write %s: folder %s does not exist; make it first", p->text,
                             parent);
    else if (access(parent, W_OK | X_OK) != 0)
        code = session_error(s, CODE_OUTPUT, "cannot write %s: folder %s: %s; choose another place",
                             p->text, parent, strerror(errno));
    else if (!may_replace(p, parent))
        code = session_error(s, CODE_OUTPUT,
                             "cannot write %s: it belongs to another user, and folder %s lets "
                             "nobody else replace it; choose another name",
                             p->text, parent);
    else if (n > 7 && strcmp(parent + n - 7, ".resume") == 0 && file_kind(job) != FILE_NONE)
        code = session_error(
            s, CODE_USAGE,
            "cannot write %s: folder %s belongs to an interrupted run; choose another place",
            p->text, parent);
    free(parent);
    free(job);
    return code;
}

static int refuse_write(struct session *s, const struct place *p, int error, const char *cure)
{
    return session_error(s, CODE_OUTPUT, "cannot write %s: %s; %s", p->text, strerror(error),
                         error == ENAMETOOLONG ? "choose a shorter name" : cure);
}

/* -- locks ------------------------------------------------------------------------------------- */

/* True if `path` still names the open file. */
static int is_named(int fd, const char *path)
{
    struct stat st;
    struct place_id held, named;
    held.there = fstat(fd, &st) == 0;
    held.device = st.st_dev;
    held.inode = st.st_ino;
    place_look(path, &named);
    return place_same(&held, &named);
}

/* Opens and locks a file that nobody has removed in between. -1 with errno. */
static int open_lock(const char *path)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int error = errno;
            if (error != EWOULDBLOCK) return fd; /* this disk knows no locks */
            close(fd);
            errno = error;
            return -1;
        }
        if (is_named(fd, path)) return fd;
        close(fd);
    }
}

void place_unlock(struct place *p)
{
    if (is_named(p->lock, p->lock_path)) unlink(p->lock_path); /* while it is locked */
    close(p->lock);
}

static int take_lock(struct session *s, struct place *p)
{
    p->lock_path = path_with_ending(p->path, ".dfq-lock");
    if (!p->lock_path) return session_fail(s, DFQ_E_NOMEM, PHASE_WORK);
    p->lock = open_lock(p->lock_path);
    if (p->lock >= 0) return CODE_DONE;
    int error = errno;
    free(p->lock_path);
    p->lock_path = NULL;
    if (error == EWOULDBLOCK)
        return session_error(s, CODE_USAGE,
                             "another run is writing %s; wait for it, or choose another name",
                             p->text);
    return refuse_write(s, p, error, "choose another place");
}

/* -- trying ------------------------------------------------------------------------------------ */

/* Allocates the disk space and frees it again. File systems that cannot allocate count as having
 * enough. */
static int reserve(int fd, double need)
{
    int error = posix_fallocate(fd, 0, (off_t)need);
    return error == EINVAL || error == EOPNOTSUPP || error == ENODEV ? 0 : error;
}

/* Creates a file as the run will do, under a temporary name. 0, or an errno value. */
static int try_file(const char *path, double need)
{
    struct temp_file b;
    struct stat st;
    if (lstat(path, &st) != 0 && errno != ENOENT) return errno; /* the name itself is too long */
    if (temp_file_open(path, &b) != 0) return errno;
    int error = reserve(fileno(b.f), need);
    if (temp_file_close(&b, error ? error : ECANCELED) == 0 || errno == ECANCELED) return 0;
    return error;
}

static int try_folder(const char *path, double need)
{
    char *file = text_format("%s/images.safetensors", path);
    int error = !file ? ENOMEM : mkdir(path, 0777) != 0 ? errno : 0;
    if (!error) {
        error = try_file(file, need);
        rmdir(path);
    }
    free(file);
    return error;
}

/* A new folder is made under another name too, but for that of checkpoints. */
int place_try(const struct place *p, double need)
{
    if (!(p->what & PLACE_FOLDER)) return try_file(p->path, need);
    if (p->own.there) {
        char *file = text_format("%s/images.safetensors", p->path);
        int error = file ? try_file(file, need) : ENOMEM;
        free(file);
        return error;
    }
    char *temp = path_with_ending(p->path, ".dfq-part");
    if (temp) folder_remove(temp); /* of a run that was killed */
    int error = temp ? try_folder(temp, need) : ENOMEM;
    if (!error) error = try_folder(p->path, 1);
    free(temp);
    return error;
}

int place_check(struct session *s, struct place *p)
{
    enum { LEAST = 4096 }; /* bytes, of whatever is written */
    int code = check_kind(s, p);
    if (code || (p->own.there && !S_ISREG(p->mode) && !S_ISDIR(p->mode))) return code;
    code = check_parent(s, p);
    if (!code && !(p->what & PLACE_RESUME)) code = take_lock(s, p);
    if (code) return code;
    int error = place_try(p, LEAST);
    return error ? refuse_write(s, p, error, "make room or choose another place") : CODE_DONE;
}
