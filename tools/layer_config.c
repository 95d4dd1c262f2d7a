/* Parses "NAME=w8a8,NAME=w8" and "NAME,NAME". The library checks the names, because it knows the
 * network. */
#include "layer_config.h"

#include <stdlib.h>
#include <string.h>

#include <dfq/dfq.h>

#include "session.h"
#include "text.h"

static int32_t count(const char *text)
{
    int32_t n = text != NULL;
    for (; text && *text; text++) n += *text == ',';
    return n;
}

static int wrong(const struct options *o, const char *entry, int n)
{
    return option_wrong(o,
                        "--layer-bits is \"%.*s\", must be NAME=w8a8, NAME=w8 or NAME=a8 with 2 to "
                        "8 bits; separate several by commas",
                        n, entry);
}

/* "w8a8", "w8" or "a8" up to `end`. */
static int read_bits(const char *p, const char *end, dfq_layer_config *c)
{
    for (int i = 0; i < 2 && p < end; i++) {
        if (*p != "wa"[i]) continue;
        if (end - p < 2 || p[1] < '2' || p[1] > '8') return 0;
        *(i ? &c->act_bits : &c->weight_bits) = p[1] - '0';
        p += 2;
    }
    return p == end && (c->weight_bits || c->act_bits);
}

/* The entries of one text, appended to what is there; `skip`: names alone. */
static int read_text(struct options *o, const char *text, int skip, dfq_layer_config *rows)
{
    while (text) {
        int n = (int)strcspn(text, ","), name = skip ? n : (int)strcspn(text, "=,");
        dfq_layer_config *c = &rows[o->n_layers];
        *c = (dfq_layer_config){.struct_size = sizeof *c, .skip = skip};
        if (name == 0 || (!skip && name == n)) {
            if (skip) return option_wrong(o, "--skip is \"%s\", must have no empty name", o->skip);
            return wrong(o, text, n);
        }
        if (!skip && !read_bits(text + name + 1, text + n, c)) return wrong(o, text, n);
        c->name = text_format("%.*s", name, text);
        if (!c->name) return option_wrong(o, "out of memory: the names of layers");
        o->n_layers++;
        text = text[n] ? text + n + 1 : NULL;
    }
    return -1;
}

int layer_config_read(struct options *o)
{
    int32_t n = count(o->layer_bits) + count(o->skip);
    if (n == 0) return -1;
    dfq_layer_config *rows = calloc((size_t)n, sizeof *rows);
    if (!rows) return option_wrong(o, "out of memory: the names of layers");
    o->layers = rows;
    int code = read_text(o, o->layer_bits, 0, rows);
    return code < 0 ? read_text(o, o->skip, 1, rows) : code;
}

void layer_config_free(struct options *o)
{
    for (int32_t i = 0; i < o->n_layers; i++) free((char *)(uintptr_t)o->layers[i].name);
    free((struct dfq_layer_config *)(uintptr_t)o->layers);
    o->layers = NULL;
    o->n_layers = 0;
}
