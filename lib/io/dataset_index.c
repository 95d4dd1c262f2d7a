/* The index of a data set from "file,label" rows or from a CIFAR file. The content is checked as
 * untrusted input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dfq/dataset.h>

#include "io/dataset_priv.h"
#include "io/file.h"
#include "io/folder.h"
#include "io/json.h"
#include "io/look.h"

enum { CSV_MAX = 256 * 1024 * 1024 };

dfq_status dfqi_dataset_check_label(const dfqi_dataset *d, const char *where, int64_t label)
{
    if (d->classes > 0 && label >= d->classes)
        return dfqi_fail(d->ctx, DFQ_E_SHAPE,
                         "%s: label is %lld, must be 0 to %d, a class of the network; use the data "
                         "set it was trained for",
                         where, (long long)label, (int)d->classes - 1);
    return DFQ_OK;
}

dfq_status dfqi_dataset_add(dfqi_dataset *d, const char *name, int32_t label)
{
    if ((size_t)d->count == d->cap) {
        size_t want = d->cap ? d->cap * 2 : 256, bytes;
        dfqi_row *p =
            dfqi_mul_size(want, sizeof *p, &bytes) ? dfqi_realloc(d->ctx, d->rows, bytes) : NULL;
        if (!p) return DFQ_E_NOMEM;
        d->rows = p;
        d->cap = want;
    }
    const char *copy = dfqi_arena_strdup(&d->arena, name);
    if (!copy) return DFQ_E_NOMEM;
    d->rows[d->count++] = (dfqi_row){.name = copy, .label = label};
    return DFQ_OK;
}

/* One line of the file, for error texts and the search for doubles. */
typedef struct csv_line {
    const char *csv;
    int64_t number; /* from 1 */
    char *name, *label;
} csv_line;

/* `what` is "VALUE", must be `want`. */
static dfq_status bad_line(const dfqi_dataset *d, const csv_line *l, const char *what,
                           const char *value, const char *want)
{
    char show[DFQI_SHOW_MAX];
    return dfqi_fail(d->ctx, DFQ_E_CORRUPT, "%s line %lld: %s is \"%s\", must be %s", l->csv,
                     (long long)l->number, what, dfqi_show(value, show), want);
}

/* Is the path relative and without ".."? A list of names must not reach outside its folder. */
static bool stays_inside(const char *name)
{
    if (name[0] == '/' || name[0] == '\0') return false;
    for (const char *p = name; p; p = strchr(p, '/')) {
        if (*p == '/') p++;
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0')) return false;
    }
    return true;
}

static dfq_status parse_line(dfqi_dataset *d, const csv_line *l, bool check_files)
{
    int32_t label;
    char show[DFQI_SHOW_MAX], where[DFQI_SHOW_MAX * 4];
    snprintf(where, sizeof where, "%s line %lld", l->csv, (long long)l->number);
    DFQI_TRY(dfqi_dataset_read_label(d, where, l->label, &label));
    if (!stays_inside(l->name))
        return bad_line(d, l, "the file", l->name, "inside the data set's folder");
    if (check_files) {
        char *full = dfqi_format(d->ctx, "%s/%s", d->path, l->name);
        if (!full) return DFQ_E_NOMEM;
        bool there = dfqi_path_is_file(full);
        dfqi_free(d->ctx, full);
        if (!there)
            return dfqi_fail(d->ctx, DFQ_E_IO, "%s: there is no file \"%s\"", where,
                             dfqi_show(l->name, show));
    }
    return dfqi_dataset_add(d, l->name, label);
}

/* A row and the line it came from, sorted by name to find doubles. */
typedef struct seen {
    const char *name;
    int64_t line;
} seen;

static int by_name_and_line(const void *a, const void *b)
{
    const seen *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

/* Reports the duplicate name whose second line comes first. */
static dfq_status check_doubles(const dfqi_dataset *d, const char *csv, seen *s)
{
    char show[DFQI_SHOW_MAX];
    const seen *worst = NULL;
    qsort(s, (size_t)d->count, sizeof *s, by_name_and_line);
    for (int64_t i = 1; i < d->count; i++)
        if (strcmp(s[i].name, s[i - 1].name) == 0 && (!worst || s[i].line < worst->line))
            worst = &s[i];
    if (!worst) return DFQ_OK;
    return dfqi_fail(d->ctx, DFQ_E_CORRUPT,
                     "%s line %lld: file \"%s\" is listed twice, first on line %lld; remove one",
                     csv, (long long)worst->line, dfqi_show(worst->name, show),
                     (long long)worst[-1].line);
}

/* Cuts the next line off `*text` in place; false at the end. */
static bool next_line(char **text, char **out)
{
    char *line = *text;
    if (*line == '\0') return false;
    char *end = strchr(line, '\n');
    *text = end ? end + 1 : line + strlen(line);
    if (!end) end = *text;
    if (end > line && end[-1] == '\r') end--;
    *end = '\0';
    *out = line;
    return true;
}

dfq_status dfqi_dataset_parse_csv(dfqi_dataset *d, const char *csv, char *text, size_t size,
                                  bool check_files)
{
    csv_line l = {csv, 1, NULL, NULL};
    dfqi_csv columns = {0};
    seen *names = NULL;
    char *line = text;
    dfq_status status = DFQ_OK;
    if (memchr(text, '\0', size))
        return dfqi_fail(d->ctx, DFQ_E_CORRUPT,
                         "%s: the file holds a zero byte, which no text file has; give a text file "
                         "with rows of \"file,label\"",
                         csv);
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3; /* some editors' mark */
    if (!next_line(&text, &line) || !dfqi_csv_columns(line, &columns))
        return bad_line(d, &l, "the line", line,
                        "\"file,label\", or have one column filename, path or image and one column "
                        "label, class or class_id");
    /* Line numbers of the rows, for doubles: rows are as many as lines, blank ones apart. */
    int64_t lines = 1;
    for (const char *p = text; (p = strchr(p, '\n')); p++) lines++;
    names = dfqi_calloc(d->ctx, (size_t)lines, sizeof *names);
    if (!names) return DFQ_E_NOMEM;
    while (next_line(&text, &line)) {
        l.number++;
        if (*line == '\0') continue;
        if (!dfqi_csv_cut(&columns, line, &l.name, &l.label)) {
            status = bad_line(d, &l, "the line", line,
                              "a file name, one comma, a label, or as many columns as the first "
                              "line has, without quotes");
            goto out;
        }
        DFQI_GOTO(parse_line(d, &l, check_files), out);
        names[d->count - 1] = (seen){d->rows[d->count - 1].name, l.number};
    }
    if (d->count == 0) {
        status = dfqi_fail(d->ctx, DFQ_E_CORRUPT,
                           "%s: the file lists no pictures; add rows of \"file,label\"", csv);
        goto out;
    }
    status = check_doubles(d, csv, names);
out:
    dfqi_free(d->ctx, names);
    return status;
}

dfq_status dfqi_dataset_index_csv(dfqi_dataset *d, const char *csv)
{
    unsigned char *text;
    size_t size;
    DFQI_TRY(dfqi_file_read(d->ctx, csv, CSV_MAX, &text, &size));
    d->counts.kind = DFQ_DATASET_CSV;
    dfq_status status = dfqi_dataset_parse_csv(d, csv, (char *)text, size, true);
    dfqi_free(d->ctx, text);
    return status;
}

/* CIFAR-10 or CIFAR-100, by the size of the file. If both are possible, the number of the network's
 * classes decides. */
static int32_t cifar_record(const dfqi_dataset *d, int64_t size)
{
    bool ten = size % DFQI_CIFAR10_RECORD == 0, hundred = size % DFQI_CIFAR100_RECORD == 0;
    if (size == 0 || (!ten && !hundred)) return 0;
    if (ten && hundred && d->classes != 10 && d->classes != 20 && d->classes != 100)
        dfqi_log(d->ctx, DFQ_LOG_WARNING,
                 "%s: the size fits a CIFAR-10 and a CIFAR-100 file; it is read as CIFAR-10",
                 d->path);
    if (ten && hundred) hundred = d->classes == 20 || d->classes == 100;
    return hundred ? DFQI_CIFAR100_RECORD : DFQI_CIFAR10_RECORD;
}

/* Image i with its label. CIFAR-100 has a coarse and a fine label. The fine one is used, unless the
 * network has as many classes as there are coarse labels. */
static dfq_status add_record(dfqi_dataset *d, int64_t i, bool hundred)
{
    enum { COARSE = 20 };
    bool fine = hundred && d->classes != COARSE;
    int most = !hundred ? 9 : fine ? 99 : COARSE - 1;
    unsigned char label;
    char name[32], where[DFQI_SHOW_MAX * 4];
    ssize_t got = pread(d->fd, &label, 1, (off_t)i * d->record + fine);
    if (got < 0) return dfqi_fail_errno(d->ctx, "read", d->path, errno);
    if (got == 0)
        return dfqi_fail(
            d->ctx, DFQ_E_IO,
            "%s: the file became shorter while it was read; read it again when it is complete",
            d->path);
    if (label > most)
        return dfqi_fail(
            d->ctx, DFQ_E_CORRUPT,
            "%s: label of image %lld is %d, must be 0 to %d; give a CIFAR-%s binary file", d->path,
            (long long)i, label, most, hundred ? "100" : "10");
    snprintf(where, sizeof where, "%s image %lld", d->path, (long long)i);
    DFQI_TRY(dfqi_dataset_check_label(d, where, label));
    snprintf(name, sizeof name, "image %lld", (long long)i);
    return dfqi_dataset_add(d, name, label);
}

dfq_status dfqi_dataset_index_cifar(dfqi_dataset *d)
{
    struct stat st;
    d->fd = open(d->path, O_RDONLY | O_CLOEXEC);
    if (d->fd < 0 || fstat(d->fd, &st) != 0) return dfqi_fail_errno(d->ctx, "read", d->path, errno);
    d->record = cifar_record(d, st.st_size);
    if (d->record == 0) {
        unsigned char first[DFQI_LOOK_BYTES];
        ssize_t n = pread(d->fd, first, sizeof first, 0);
        const char *kind = n > 0 ? dfqi_file_look(first, (size_t)n).kind : NULL;
        return dfqi_fail(
            d->ctx, DFQ_E_CORRUPT,
            "%s: the size of %lld bytes is not a multiple of %d (CIFAR-10 records) or %d "
            "(CIFAR-100 records)%s%s; give a folder of pictures or a CIFAR binary file",
            d->path, (long long)st.st_size, DFQI_CIFAR10_RECORD, DFQI_CIFAR100_RECORD,
            kind ? ", it looks like " : "", kind ? kind : "");
    }
    bool hundred = d->record == DFQI_CIFAR100_RECORD;
    d->counts.kind = hundred ? DFQ_DATASET_CIFAR100 : DFQ_DATASET_CIFAR10;
    for (int64_t i = 0, n = st.st_size / d->record; i < n; i++) DFQI_TRY(add_record(d, i, hundred));
    return DFQ_OK;
}
