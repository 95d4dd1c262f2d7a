/* The columns of rows of labels, by the words of the first line: "file,label" as this library
 * writes it, and what other lists call them. */
#include <string.h>

#include "io/dataset_priv.h"

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
