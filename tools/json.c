/* JSON output: compact, on one line. */
#include "json.h"

#include <math.h>
#include <string.h>

#include "utf8.h"

static void put_text(FILE *f, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    fputc('"', f);
    while (*p) {
        size_t n = utf8_length(p);
        if (n == 0) {
            fputs("\\ufffd", f);
            p++;
        } else if (*p == '"' || *p == '\\') {
            fprintf(f, "\\%c", *p++);
        } else if (utf8_steers(p, n)) {
            unsigned point = n == 1 ? p[0] : n == 2 ? p[1] : (p[0] & 15u) << 12;
            if (n == 3) point |= (p[1] & 63u) << 6 | (p[2] & 63u);
            fprintf(f, "\\u%04x", point);
            p += n;
        } else {
            fwrite(p, 1, n, f);
            p += n;
        }
    }
    fputc('"', f);
}

static void begin(struct json *j, const char *name)
{
    if (j->comma) fputc(',', j->f);
    j->comma = 1;
    if (!name) return;
    put_text(j->f, name);
    fputc(':', j->f);
}

void json_open(struct json *j, const char *name, char bracket)
{
    begin(j, name);
    fputc(bracket, j->f);
    j->comma = 0;
}

void json_close(struct json *j, char bracket)
{
    fputc(bracket, j->f);
    j->comma = 1;
}

void json_text(struct json *j, const char *name, const char *text)
{
    begin(j, name);
    if (text)
        put_text(j->f, text);
    else
        fputs("null", j->f);
}

void json_int(struct json *j, const char *name, int64_t value)
{
    begin(j, name);
    fprintf(j->f, "%lld", (long long)value);
}

static void put_number(struct json *j, const char *name, int digits, double value)
{
    begin(j, name);
    if (isfinite(value))
        fprintf(j->f, "%.*g", digits, value);
    else
        fputs("null", j->f);
}

void json_fraction(struct json *j, const char *name, double value)
{
    put_number(j, name, 6, value);
}

void json_count(struct json *j, const char *name, double value)
{
    put_number(j, name, 17, value);
}
