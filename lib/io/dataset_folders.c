/* The index of a data set of class folders: it assigns a label to each folder and reports files
 * that are left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dfq/dataset.h>

#include "io/dataset_priv.h"
#include "io/file.h"
#include "io/folder.h"
#include "io/json.h"
#include "io/look.h"

enum { LABELS_MAX = 64 * 1024 * 1024, DIGITS_MAX = 9 };

/* A file that assigns folders to classes. */
typedef struct labels {
    const char *path; /* NULL: there is none */
    dfqi_row *rows;
    int64_t n;
} labels;

/* -- files of labels --------------------------------------------------------------------------- */

/* Cuts the next line that is not blank off `*text`; NULL at the end. */
static char *next_line(char **text)
{
    char *line = *text;
    while (*line == '\n' || *line == '\r') line++;
    size_t n = strcspn(line, "\r\n");
    *text = line + n + (line[n] != '\0');
    if (n == 0) return NULL;
    line[n] = '\0';
    return line;
}

/* An image or a model given by mistake must not be read as names of folders. */
static dfq_status check_text(dfq_context *ctx, const char *path, const unsigned char *text,
                             size_t size)
{
    size_t i = 0;
    while (i < size && (text[i] >= ' ' || strchr("\t\n\r", text[i])) && text[i] && text[i] != 0x7F)
        i++;
    if (i == size) return DFQ_OK;
    const char *kind = dfqi_file_look(text, size < DFQI_LOOK_BYTES ? size : DFQI_LOOK_BYTES).kind;
    return dfqi_fail(
        ctx, DFQ_E_CORRUPT,
        "%s: byte %llu is 0x%02X, which no text file has%s%s; give labels as text: the first line "
        "\"folder,label\" or \"file,label\", or the name of a class folder on each line",
        path, (unsigned long long)i, text[i], kind ? ", it looks like " : "", kind ? kind : "");
}

dfq_status dfqi_dataset_labels_are_csv(dfq_context *ctx, const char *path, bool *out)
{
    unsigned char *text;
    size_t size;
    DFQI_TRY(dfqi_file_read(ctx, path, LABELS_MAX, &text, &size));
    dfq_status status = check_text(ctx, path, text, size);
    const char *line = (const char *)text;
    dfqi_csv columns;
    if (strncmp(line, "\xEF\xBB\xBF", 3) == 0) line += 3;
    *out = dfqi_csv_columns(line, &columns);
    dfqi_free(ctx, text);
    return status;
}

/* The value of a whole number of at most nine digits; -1 for any other text. */
static int64_t whole(const char *text)
{
    int64_t v = 0;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > DIGITS_MAX || text[n] != '\0') return -1;
    for (; *text; text++) v = v * 10 + (*text - '0');
    return v;
}

/* A line "n01440764,0", or the name alone. Words after the name, as in lists of synsets, are
 * ignored. */
static dfq_status parse_row(dfqi_dataset *d, labels *l, char *line, bool csv)
{
    char show[DFQI_SHOW_MAX], *comma = csv ? strchr(line, ',') : NULL;
    int32_t label = (int32_t)l->n; /* of a file whose size is bounded */
    if (csv && !comma)
        return dfqi_fail(d->ctx, DFQ_E_CORRUPT,
                         "%s: the row is \"%s\", must be a folder, one comma, a label", l->path,
                         dfqi_show(line, show));
    DFQI_TRY(comma ? dfqi_dataset_read_label(d, l->path, comma + 1, &label)
                   : dfqi_dataset_check_label(d, l->path, label));
    line[comma ? (size_t)(comma - line) : strcspn(line, " \t,")] = '\0';
    const char *name = dfqi_arena_strdup(&d->arena, line);
    if (!name) return DFQ_E_NOMEM;
    l->rows[l->n++] = (dfqi_row){.name = name, .label = label};
    return DFQ_OK;
}

static dfq_status read_labels(dfqi_dataset *d, labels *l)
{
    unsigned char *bytes;
    size_t size, lines = 1;
    if (!l->path) return DFQ_OK;
    DFQI_TRY(dfqi_file_read(d->ctx, l->path, LABELS_MAX, &bytes, &size));
    char *text = (char *)bytes, *line;
    dfq_status status = DFQ_E_NOMEM;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    l->rows = dfqi_calloc(d->ctx, lines, sizeof *l->rows);
    if (!l->rows) goto out;
    status = DFQ_OK;
    line = next_line(&text);
    bool csv = line && strcmp(line, "folder,label") == 0;
    if (csv) line = next_line(&text);
    for (; line && status == DFQ_OK; line = next_line(&text)) status = parse_row(d, l, line, csv);
out:
    dfqi_free(d->ctx, bytes);
    return status;
}

static dfq_status find_label(const dfqi_dataset *d, const labels *l, const char *folder,
                             int32_t *out)
{
    char show[DFQI_SHOW_MAX];
    for (int64_t i = 0; i < l->n; i++)
        if (strcmp(l->rows[i].name, folder) == 0) {
            *out = l->rows[i].label;
            return DFQ_OK;
        }
    return dfqi_fail(d->ctx, DFQ_E_CORRUPT,
                     "%s: the class of folder \"%s\" is missing; add a row for it", l->path,
                     dfqi_show(folder, show));
}

/* -- folders ----------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const char *one = *(char *const *)a, *two = *(char *const *)b;
    int64_t x = whole(one), y = whole(two);
    return x != y ? (x > y) - (x < y) : strcmp(one, two);
}

/* Folders called by different whole numbers are sorted by them: 0, 1, 2, 10. Returns whether they
 * are. */
static bool sort_numbers(const dfqi_dataset *d, dfqi_names *classes)
{
    bool moved = false;
    for (int64_t i = 0; i < classes->count; i++) {
        if (whole(classes->names[i]) < 0) return false;
        moved |= i > 0 && by_number(&classes->names[i - 1], &classes->names[i]) > 0;
    }
    if (classes->count > 1)
        qsort(classes->names, (size_t)classes->count, sizeof *classes->names, by_number);
    for (int64_t i = 1; i < classes->count; i++)
        if (whole(classes->names[i - 1]) == whole(classes->names[i])) return false; /* 1 and 01 */
    if (moved)
        dfqi_log(d->ctx, DFQ_LOG_WARNING,
                 "%s: the names of all %lld class folders are numbers; labels follow the numbers, "
                 "not the alphabet",
                 d->path, (long long)classes->count);
    return classes->count > 0;
}

/* Files in class folders that are not read, with the first example of each kind. */
enum { EXAMPLE = DFQI_SHOW_MAX * 2, DEPTH_MAX = 3 };

typedef struct beside {
    int64_t nested, empty;
    char other[EXAMPLE], inner[EXAMPLE], hollow[EXAMPLE];
} beside;

/* Pictures in folders within the folder `name` of the data set, down to `depth` folders. */
static dfq_status count_nested(const dfqi_dataset *d, const char *name, int depth, beside *b)
{
    dfqi_names folders = {d->ctx, 0, NULL}, files = {d->ctx, 0, NULL};
    char *full = dfqi_format(d->ctx, "%s/%s", d->path, name), *inner = NULL;
    if (!full) return DFQ_E_NOMEM;
    dfq_status status = dfqi_folder_list(d->ctx, full, DFQI_LIST_FOLDERS, &folders);
    for (int64_t i = 0; i < folders.count && status == DFQ_OK; i++) {
        dfqi_free(d->ctx, full);
        dfqi_free(d->ctx, inner);
        inner = dfqi_format(d->ctx, "%s/%s", name, folders.names[i]);
        full = inner ? dfqi_format(d->ctx, "%s/%s", d->path, inner) : NULL;
        status = full ? dfqi_folder_list(d->ctx, full, DFQI_LIST_PICTURES, &files) : DFQ_E_NOMEM;
        if (status != DFQ_OK) break;
        if (files.count > 0 && b->nested == 0)
            snprintf(b->inner, sizeof b->inner, "%s/%s", inner, files.names[0]);
        b->nested += files.count;
        dfqi_names_fini(&files);
        if (depth > 1) status = count_nested(d, inner, depth - 1, b);
    }
    dfqi_free(d->ctx, inner);
    dfqi_free(d->ctx, full);
    dfqi_names_fini(&folders);
    return status;
}

static dfq_status add_class(dfqi_dataset *d, const char *class, int32_t label, beside *b)
{
    dfqi_names files = {d->ctx, 0, NULL}, others = {d->ctx, 0, NULL};
    dfq_status status = DFQ_OK;
    char *folder = dfqi_format(d->ctx, "%s/%s", d->path, class);
    if (!folder) return DFQ_E_NOMEM;
    DFQI_GOTO(dfqi_folder_list(d->ctx, folder, DFQI_LIST_PICTURES, &files), out);
    DFQI_GOTO(dfqi_folder_list(d->ctx, folder, DFQI_LIST_OTHERS, &others), out);
    for (int64_t i = 0; i < files.count; i++) {
        char *name = dfqi_format(d->ctx, "%s/%s", class, files.names[i]);
        status = name ? dfqi_dataset_add(d, name, label) : DFQ_E_NOMEM;
        dfqi_free(d->ctx, name);
        if (status != DFQ_OK) goto out;
    }
    if (others.count > 0 && d->counts.left_out == 0)
        snprintf(b->other, sizeof b->other, "%s/%s", class, others.names[0]);
    d->counts.left_out += others.count;
    if (files.count == 0 && b->empty++ == 0) snprintf(b->hollow, sizeof b->hollow, "%s", class);
    status = count_nested(d, class, DEPTH_MAX, b);
out:
    dfqi_names_fini(&others);
    dfqi_names_fini(&files);
    dfqi_free(d->ctx, folder);
    return status;
}

/* A subset of the classes most likely does not begin with the first ones. */
static void warn_of_few(const dfqi_dataset *d, bool numbers)
{
    if (d->counts.folders >= d->classes) return;
    dfqi_log(d->ctx, DFQ_LOG_WARNING,
             "%s: there %s %lld class folder%s, and the network has %d classes; they are "
             "taken for %s; if that is wrong, name the classes by --labels-from FILE",
             d->path, d->counts.folders == 1 ? "is" : "are", (long long)d->counts.folders,
             d->counts.folders == 1 ? "" : "s", (int)d->classes,
             numbers ? "the classes of their numbers" : "its first classes, sorted by name");
}

static void warn_of_beside(const dfqi_dataset *d, const beside *b, bool counted)
{
    long long others = d->counts.left_out, nested = b->nested;
    if (others > 0)
        dfqi_log(
            d->ctx, DFQ_LOG_WARNING,
            "%s: %lld picture%s left out, being neither PNG, JPEG nor WebP: %s%s; convert them",
            d->path, others, others > 1 ? "s are" : " is", b->other,
            others > 1 ? " and others" : "");
    if (nested > 0)
        dfqi_log(d->ctx, DFQ_LOG_WARNING,
                 "%s: %lld picture%s left out, lying in folders within class folders: %s%s; move "
                 "them into the class folder itself",
                 d->path, nested, nested > 1 ? "s are" : " is", b->inner,
                 nested > 1 ? " and others" : "");
    if (b->empty > 0 && counted) /* each shifts the labels of those behind it */
        dfqi_log(d->ctx, DFQ_LOG_WARNING,
                 "%s: %lld of %lld class folders have no PNG, JPEG or WebP pictures, for example "
                 "%s; they "
                 "count as classes",
                 d->path, (long long)b->empty, (long long)d->counts.folders, b->hollow);
}

/* Reports that nothing was found. `l` may list folders although the data set has labels of
 * files. */
static dfq_status fail_of_none(const dfqi_dataset *d, const labels *l)
{
    if (!l->path)
        return dfqi_fail(
            d->ctx, DFQ_E_IO,
            "%s: the folder has neither labels.csv nor class folders with PNG, JPEG or WebP "
            "pictures; give one that has",
            d->path);
    return dfqi_fail(d->ctx, DFQ_E_IO,
                     "%s: the folder has no class folders with PNG, JPEG or WebP pictures, as %s "
                     "names; leave that "
                     "file out where labels.csv has the labels, or give it rows of \"file,label\"",
                     d->path, l->path);
}

/* Are all folders called as classes of the network are? Then their order means nothing. */
static bool are_classes(const dfqi_dataset *d, const dfqi_names *folders)
{
    int64_t two[2];
    for (int64_t i = 0; d->names && i < folders->count; i++)
        if (dfqi_class_names_find(d->names, folders->names[i], two) < 0) return false;
    return d->names && folders->count > 0;
}

static dfq_status add_all(dfqi_dataset *d, dfqi_names *classes, const labels *l)
{
    beside b = {0};
    int64_t last = classes->count - 1;
    const bool named = !l->path && are_classes(d, classes);
    bool numbers = !named && sort_numbers(d, classes);
    if (numbers && last >= 0) /* the numbers are the classes where some are missing */
        numbers = classes->count < d->classes && whole(classes->names[last]) < d->classes;
    if (last >= 0 && last < INT32_MAX && !l->path && !named)
        DFQI_TRY(dfqi_dataset_check_label(d, d->path, last));
    for (int64_t i = 0; i <= last; i++) {
        const char *folder = classes->names[i];
        int64_t two[2], label = i;
        int32_t told;
        if (numbers) label = whole(folder);
        if (named) label = dfqi_class_names_find(d->names, folder, two);
        told = (int32_t)label;
        if (l->path) DFQI_TRY(find_label(d, l, folder, &told));
        DFQI_TRY(add_class(d, folder, told, &b));
    }
    d->counts.kind = DFQ_DATASET_FOLDERS;
    d->counts.folders = classes->count;
    warn_of_beside(d, &b, !l->path && !numbers && !named);
    if (d->count == 0) return fail_of_none(d, l);
    if (!l->path && !named) warn_of_few(d, numbers);
    return DFQ_OK;
}

dfq_status dfqi_dataset_index_folders(dfqi_dataset *d, const char *labels_from)
{
    dfqi_names classes = {d->ctx, 0, NULL};
    labels l = {.path = labels_from};
    dfq_status status = read_labels(d, &l);
    if (status == DFQ_OK) status = dfqi_folder_list(d->ctx, d->path, DFQI_LIST_FOLDERS, &classes);
    if (status == DFQ_OK) status = add_all(d, &classes, &l);
    dfqi_names_fini(&classes);
    dfqi_free(d->ctx, l.rows);
    return status;
}
