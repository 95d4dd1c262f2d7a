/* Checks all inputs and outputs of a run against each other. Files are compared by device and
 * inode; files that do not exist yet by parent folder and name. */
#include "places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "temp_file.h"
#include "files.h"
#include "session.h"
#include "text.h"

/* The places of all options of all verbs. An option that the verb does not have is never given. */
static const struct role {
    enum option_id id;
    const char *name, *end; /* end: behind what was given */
    unsigned what;
} roles[] = {{OPT_COUNT, NULL, "", PLACE_READS}, /* what stands alone */
             {OPT_DATA, "--data", "", PLACE_READS | PLACE_TREE},
             {OPT_TEST_DATA, "--test-data", "", PLACE_READS | PLACE_TREE},
             {OPT_REAL, "--real", "", PLACE_READS | PLACE_TREE},
             {OPT_SYNTH, "--synth", "", PLACE_READS | PLACE_TREE},
             {OPT_ACCEL, "--accel", "", PLACE_READS},
             {OPT_SUPERNET, "--supernet", "", PLACE_READS},
             {OPT_BITS_FILE, "--bits-file", "", PLACE_READS},
             {OPT_DAMAGES, "--damages", "", PLACE_READS},
             {OPT_LABELS_FROM, "--labels-from", "", PLACE_READS},
             {OPT_LABELS, "--labels", "", PLACE_READS},
             {OPT_OUT, "-o", "", PLACE_WRITES | PLACE_DEVICE},
             {OPT_OUT, "-o", ".resume", PLACE_WRITES | PLACE_FOLDER | PLACE_RESUME},
             {OPT_REPORT, "--report", "", PLACE_WRITES},
             {OPT_BITS_FILE_OUT, "--bits-file-out", "", PLACE_WRITES},
             {OPT_SAVE_SUPERNET, "--save-supernet", "", PLACE_WRITES},
             {OPT_TRAJECTORY, "--trajectory", ".csv", PLACE_WRITES},
             {OPT_TRAJECTORY, "--trajectory", ".svg", PLACE_WRITES}};

char *places_resume(const char *out)
{
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/') n--;
    return text_format("%.*s.resume", (int)n, out);
}

/* -- what is there ----------------------------------------------------------------------------- */

mode_t place_look(const char *path, struct place_id *id)
{
    struct stat st;
    id->there = stat(path, &st) == 0;
    if (!id->there) return 0;
    id->device = st.st_dev;
    id->inode = st.st_ino;
    return st.st_mode;
}

int place_same(const struct place_id *a, const struct place_id *b)
{
    return a->there && b->there && a->device == b->device && a->inode == b->inode;
}

static int same_place(const struct place *a, const struct place *b)
{
    if (place_same(&a->own, &b->own)) return 1;
    return a->path && b->path && place_same(&a->parent, &b->parent) &&
           strcmp(path_base(a->path), path_base(b->path)) == 0;
}

/* Does `p` lie somewhere in the folder `in`? Upwards from its parent to the root. */
static int lies_in(const struct place *p, const struct place *in)
{
    struct place_id here = p->parent, up;
    if (!p->path || !S_ISDIR(in->mode)) return 0;
    char *path = path_folder(p->path);
    for (;;) {
        if (!path || !here.there || place_same(&here, &in->own)) break;
        char *next = text_format("%s/..", path);
        free(path);
        path = next;
        if (path) place_look(path, &up);
        if (!path || place_same(&here, &up)) {
            here.there = 0;
            break;
        }
        here = up;
    }
    int found = path && place_same(&here, &in->own);
    free(path);
    return found;
}

/* Is the file in the folder under some other name, by a link? */
struct sought {
    const struct place_id *id;
    int found;
};

static int is_sought(const char *path, void *arg)
{
    struct sought *s = arg;
    struct place_id one;
    place_look(path, &one);
    if (place_same(&one, s->id)) s->found = 1;
    return s->found;
}

static int holds(const struct place *folder, const struct place *p)
{
    struct sought s = {&p->own, 0};
    if (!p->path || !S_ISREG(p->mode) || !S_ISDIR(folder->mode)) return 0;
    folder_walk(folder->path, is_sought, &s);
    return s.found;
}

/* Is there a file beside `in` that is `out` and has the name `file`, of n bytes? */
static int is_beside(const struct place *in, const char *file, size_t n, const struct place *out)
{
    struct place_id one = {0};
    char *folder = path_folder(in->path);
    char *path = folder ? text_format("%s/%.*s", folder, (int)n, file) : NULL;
    if (path) place_look(path, &one);
    free(path);
    free(folder);
    return place_same(&one, &out->own);
}

/* Does `in` name `out` in quotes? An index of a model in several files names them so, and they lie
 * beside it. */
static int names(const struct place *in, const struct place *out)
{
    static const char end[] = ".json";
    size_t n = in->path ? strlen(in->path) : 0, size;
    int found = 0;
    if (in->id != OPT_COUNT || n < sizeof end || !S_ISREG(in->mode) || !out->own.there) return 0;
    if (strcmp(in->path + n - strlen(end), end) != 0) return 0;
    char *text = file_read(in->path, &size);
    for (size_t i = 0, begin = 0; text && i < size && !found; i++) {
        if (text[i] == '\\') i++;
        if (i >= size || text[i] != '"') continue;
        if (begin > 0) found = is_beside(in, text + begin, i - begin, out);
        begin = begin > 0 ? 0 : i + 1;
    }
    free(text);
    return found;
}

/* -- gathering --------------------------------------------------------------------------------- */

static int add(struct places *all, const struct options *o, const struct role *r)
{
    const char *text = option_text(o, r->id);
    struct place *p = &all->v[all->n];
    if (!text) return 0;
    if ((r->what & PLACE_RESUME) && (o->verb == VERB_EXPORT || file_kind(text) == FILE_OTHER))
        return 0; /* there is nothing to resume */
    memset(p, 0, sizeof *p);
    all->n++;
    p->id = r->id;
    p->name = r->name;
    p->what = r->what;
    if (r->id == OPT_OUT && !*r->end && o->verb == VERB_SYNTH)
        p->what = PLACE_WRITES | PLACE_FOLDER;
    p->text = r->what & PLACE_RESUME ? places_resume(text) : text_format("%s%s", text, r->end);
    p->path = p->text ? path_final(p->text) : NULL;
    char *parent = p->path ? path_folder(p->path) : NULL;
    if (!parent) return -1;
    p->mode = place_look(p->path, &p->own);
    place_look(parent, &p->parent);
    free(parent);
    return 0;
}

/* stdout and stderr, where they go to a file, are outputs like others. */
static int add_stream(struct places *all, int fd, const char *name)
{
    struct place *p = &all->v[all->n];
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return 0;
    memset(p, 0, sizeof *p);
    all->n++;
    p->text = text_format("%s", name);
    p->what = PLACE_WRITES;
    p->mode = st.st_mode;
    p->own = (struct place_id){1, st.st_dev, st.st_ino};
    return p->text ? 0 : -1;
}

static int gather(struct session *s)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && !failed; i++)
        failed = add(&s->places, s->o, &roles[i]);
    if (!failed) failed = add_stream(&s->places, STDOUT_FILENO, "stdout");
    if (!failed) failed = add_stream(&s->places, STDERR_FILENO, "stderr");
    return failed ? session_fail(s, DFQ_E_NOMEM, PHASE_WORK) : CODE_DONE;
}

/* -- one against the other --------------------------------------------------------------------- */

static int refuse_pair(struct session *s, const struct place *out, const struct place *other,
                       const char *how)
{
    const char *a = out->name ? out->name : "", *b = other->name ? other->name : "";
    return session_error(s, CODE_USAGE, "%s%s%s %s %s%s%s, which this run %s; choose another place",
                         a, *a ? " " : "", out->text, how, b, *b ? " " : "", other->text,
                         other->what & PLACE_READS ? "reads" : "writes too");
}

static int check_pair(struct session *s, const struct place *a, const struct place *b)
{
    const struct place *out = a->what & PLACE_WRITES ? a : b, *other = out == a ? b : a;
    if (a->what & b->what & PLACE_READS) return CODE_DONE;
    if (!a->path && !b->path) return CODE_DONE; /* stdout and stderr may well be one */
    int device = S_ISCHR(out->mode) || S_ISFIFO(out->mode);
    if (!device && same_place(out, other)) return refuse_pair(s, out, other, "is");
    if ((other->what & (PLACE_TREE | PLACE_FOLDER)) && lies_in(out, other))
        return refuse_pair(s, out, other, "is in");
    if (((other->what & PLACE_TREE) && holds(other, out)) || names(other, out))
        return refuse_pair(s, out, other, "is a file of");
    if ((out->what & PLACE_FOLDER) && !(out->what & PLACE_RESUME) && lies_in(other, out))
        return session_error(s, CODE_USAGE,
                             "%s %s is the folder of %s, and a set of images must have a folder of "
                             "its own; give a new name, for example %s %s/images",
                             out->name, out->text, other->text, out->name, out->text);
    if ((out->what & PLACE_FOLDER) && lies_in(other, out))
        return session_error(
            s, CODE_USAGE, "%s%s%s is in %s, which this run writes; choose another place",
            other->name ? other->name : "", other->name ? " " : "", other->text, out->text);
    return CODE_DONE;
}

/* A new folder cannot replace the current working directory. */
static int check_name(struct session *s, const struct place *p)
{
    const char *base = p->path ? path_base(p->path) : "";
    if (!(p->what & PLACE_FOLDER) || (p->what & PLACE_RESUME) ||
        (strcmp(base, ".") != 0 && strcmp(base, "..") != 0))
        return CODE_DONE;
    return session_error(s, CODE_USAGE,
                         "%s %s is a folder in use, and a set of images must have a folder of its "
                         "own; give a new name, for example %s %s/images",
                         p->name, p->text, p->name, p->text);
}

static int check_pairs(struct session *s)
{
    const struct places *all = &s->places;
    for (int i = 0; i < all->n; i++) {
        int code = check_name(s, &all->v[i]);
        if (code) return code;
    }
    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < i; k++) {
            int code = check_pair(s, &all->v[k], &all->v[i]);
            if (code) return code;
        }
    return CODE_DONE;
}

/* -- the whole --------------------------------------------------------------------------------- */

static int is_output(const struct place *p)
{
    return (p->what & PLACE_WRITES) && p->path;
}

static const struct place *find(const struct session *s, enum option_id id)
{
    for (int i = 0; i < s->places.n; i++) {
        const struct place *p = &s->places.v[i];
        if (p->id == id && is_output(p) && !(p->what & PLACE_RESUME)) return p;
    }
    return NULL;
}

void places_close(struct session *s)
{
    for (int i = 0; i < s->places.n; i++) {
        struct place *p = &s->places.v[i];
        if (p->lock_path) place_unlock(p);
        free(p->lock_path);
        free(p->text);
        free(p->path);
    }
    s->places.n = 0;
}

int places_open(struct session *s)
{
    int code = gather(s);
    if (!code) code = check_pairs(s);
    for (int i = 0; i < s->places.n && !code; i++)
        if (is_output(&s->places.v[i])) code = place_check(s, &s->places.v[i]);
    /* The folder of checkpoints tells whether a resumed job has written them already. */
    if (!code && !s->o->resume) code = places_unused(s, 0, 0);
    return code;
}

int places_unused(struct session *s, int out_own, int others_own)
{
    const struct place *out = find(s, OPT_OUT);
    for (int i = 0; i < s->places.n && !s->o->force; i++) {
        const struct place *p = &s->places.v[i];
        if (!is_output(p) || (p->what & PLACE_RESUME) || !p->own.there) continue;
        if ((p == out ? out_own : others_own) || !(S_ISREG(p->mode) || S_ISDIR(p->mode))) continue;
        return session_error(s, CODE_USAGE,
                             "%s exists already; add --force to replace it, or choose another name",
                             p->text);
    }
    return CODE_DONE;
}

int places_room(struct session *s, double need)
{
    const struct place *out = find(s, OPT_OUT);
    char a[TEXT_SHORT];
    if (!out || (out->own.there && !S_ISREG(out->mode) && !S_ISDIR(out->mode))) return CODE_DONE;
    int error = place_try(out, need);
    if (!error) return CODE_DONE;
    return session_error(
        s, CODE_OUTPUT,
        "cannot write %s: %s, and about %s are needed; make room or choose another place",
        out->text, strerror(error), text_bytes(need, a));
}

int places_appeared(struct session *s, enum option_id id)
{
    const struct place *p = find(s, id);
    if (!p || s->o->force || p->own.there || file_kind(p->path) == FILE_NONE) return CODE_DONE;
    return session_error(
        s, CODE_OUTPUT,
        "%s exists since this run began, and what was done is kept; add --force to replace it, or "
        "choose another name",
        p->text);
}
