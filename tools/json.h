/* JSON output on one line, written directly to a stream: no tree, no allocation. Numbers that are
 * not finite become null. Text is escaped; invalid UTF-8 becomes U+FFFD. */
#ifndef DFQ_TOOLS_JSON_H
#define DFQ_TOOLS_JSON_H

#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *f;
    int comma; /* the next member needs one */
};

/* `name` is the member's name, NULL inside of lists and for the outermost value. */
void json_open(struct json *j, const char *name, char bracket);     /* '{' or '[' */
void json_close(struct json *j, char bracket);                      /* '}' or ']' */
void json_text(struct json *j, const char *name, const char *text); /* NULL: null */
void json_int(struct json *j, const char *name, int64_t value);
void json_fraction(struct json *j, const char *name, double value); /* six digits */
void json_count(struct json *j, const char *name, double value);    /* all of a whole number's */

#endif
