/* The columns of rows of labels, by the words of the first line: "file,label" as this library
 * writes it, and what other lists call them; and the labels themselves, as numbers or names. */
#include <string.h>

#include "io/dataset_priv.h"
#include "io/json.h"

enum { COLUMNS_MAX = 64 };

static const char *const files[] = {"file",  "filename", "file_name", "path", "filepath",
                                    "image", "image_id", "ImageId",   "img",  NULL};
static const char *const labels[] = {"label",       "class",  "class_id", "label_id",
                                     "class_index", "target", "y",        NULL};

static bool is_one_of(const char *word, size_t n, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == n && memcmp(*words, word, n) == 0) return true;
    return false;
}

bool dfqi_csv_columns(const char *line, dfqi_csv *out)
{
    dfqi_csv c = {.file = -1, .label = -1};
    for (const char *word = line; c.n < COLUMNS_MAX; c.n++) {
        const size_t n = strcspn(word, ",\r\n");
        int32_t *const at = is_one_of(word, n, files)    ? &c.file
                            : is_one_of(word, n, labels) ? &c.label
                                                         : NULL;
        if (at && *at >= 0) return false; /* which of two? */
        if (at) *at = c.n;
        if (word[n] != ',') {
            c.n++;
            break;
        }
        word += n + 1;
    }
    if (c.file < 0 || c.label < 0) return false;
    *out = c;
    return true;
}

bool dfqi_csv_cut(const dfqi_csv *c, char *line, char **out_file, char **out_label)
{
    int32_t n = 1;
    for (const char *p = line; *p; p++) n += *p == ',';
    if (n != c->n || strchr(line, '"')) return false;
    n = 0;
    for (char *word = line; word; n++) {
        char *comma = strchr(word, ',');
        if (comma) *comma = '\0';
        if (n == c->file) *out_file = word;
        if (n == c->label) *out_label = word;
        word = comma ? comma + 1 : NULL;
    }
    return true;
}

/* The value of a whole number, at most INT32_MAX; -1: it is none. */
static int64_t whole(const char *text)
{
    int64_t v = 0;
    if (*text == '\0') return -1;
    for (; *text >= '0' && *text <= '9'; text++)
        if ((v = v * 10 + (*text - '0')) > INT32_MAX) return -1;
    return *text == '\0' ? v : -1;
}

dfq_status dfqi_dataset_read_label(const dfqi_dataset *d, const char *where, const char *label,
                                   int32_t *out)
{
    int64_t v = whole(label), two[2] = {v, -1};
    int64_t named = d->names ? dfqi_class_names_find(d->names, label, two) : -1;
    char show[DFQI_SHOW_MAX];
    if (v >= 0 && named >= 0 && named != v) { /* classes that are called by numbers */
        two[1] = named;
        named = -2;
    }
    if (named == -2)
        return dfqi_fail(d->ctx, DFQ_E_CORRUPT,
                         "%s: the label is \"%s\", which may be class %lld or class %lld; give the "
                         "number of the class",
                         where, dfqi_show(label, show), (long long)two[0], (long long)two[1]);
    if (v < 0) v = named;
    if (v < 0)
        return dfqi_fail(
            d->ctx, DFQ_E_CORRUPT,
            "%s: the label is \"%s\", must be a whole number from 0 on, at most 2147483647%s",
            where, dfqi_show(label, show),
            d->names ? ", or the name of a class of the network"
                     : "; where it is the name of a class, give their names by "
                       "--labels FILE");
    *out = (int32_t)v;
    return dfqi_dataset_check_label(d, where, v);
}
