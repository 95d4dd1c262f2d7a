/* Formats and parses mappings as text, and checks that a given mapping fits an accelerator. */
#include "accel/mapping_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "GNCMPQRS"; /* in the order of dfqi_dim */

typedef struct section {
    const char *name;
    int32_t level; /* -1: the loops in space */
} section;

enum { SECTIONS = 4 };

static const section sections[SECTIONS] = {{"DRAM", 0}, {"GLB", 1}, {"SPACE", -1}, {"RF", 2}};

static dfqi_nest *nest_of(dfqi_mapping *m, int i)
{
    return sections[i].level < 0 ? &m->space : &m->time[sections[i].level];
}

void dfqi_mapping_print(const dfqi_mapping *m, char out[DFQI_MAPPING_TEXT_MAX])
{
    size_t n = 0;
    for (int i = 0; i < SECTIONS; i++) {
        const dfqi_nest *nest = sections[i].level < 0 ? &m->space : &m->time[sections[i].level];
        n += (size_t)snprintf(out + n, DFQI_MAPPING_TEXT_MAX - n, "%s%s", i ? " | " : "",
                              sections[i].name);
        for (int32_t k = 0; k < nest->n && n < DFQI_MAPPING_TEXT_MAX - 16; k++)
            n += (size_t)snprintf(out + n, DFQI_MAPPING_TEXT_MAX - n, " %c%d",
                                  letters[nest->loop[k].dim], nest->loop[k].trips);
    }
}

/* -- in ---------------------------------------------------------------------------------------- */

/* The next word of the text: letters, digits; '|' alone is one. False at the end. */
static bool next_word(const char **text, char word[16])
{
    size_t n = 0;
    while (**text == ' ') (*text)++;
    if (**text == '|') {
        word[n++] = *(*text)++;
    } else {
        while (**text && **text != ' ' && **text != '|' && n < 15) word[n++] = *(*text)++;
    }
    word[n] = '\0';
    return n > 0;
}

static dfq_status add_loop(dfq_context *ctx, const char *word, dfqi_nest *nest)
{
    const char *at = word[0] ? strchr(letters, word[0]) : NULL;
    char *end = NULL;
    long trips = at && word[1] >= '0' && word[1] <= '9' ? strtol(word + 1, &end, 10) : 0;
    if (!at || trips < 1 || trips > 1 << 24 || *end)
        return dfqi_fail(
            ctx, DFQ_E_INVALID,
            "mapping: \"%s\" is not a loop; write a dimension of %s and its trips, for example M16",
            word, letters);
    if (nest->n == DFQI_LOOPS_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID, "mapping: one place has more than %d loops",
                         DFQI_LOOPS_MAX);
    dfqi_nest_add(nest, (dfqi_dim)(at - letters), trips);
    return DFQ_OK;
}

static dfq_status read_loops(dfq_context *ctx, const char *text, dfqi_mapping *m)
{
    dfqi_nest *nest = NULL;
    char word[16];
    for (int next = 0; next_word(&text, word);) {
        int i = next;
        if (strcmp(word, "|") == 0) {
            nest = NULL;
            continue;
        }
        if (nest) {
            DFQI_TRY(add_loop(ctx, word, nest));
            continue;
        }
        while (i < SECTIONS && strcmp(sections[i].name, word) != 0) i++;
        if (i == SECTIONS)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "mapping: \"%s\" is not a place; write DRAM, GLB, SPACE and RF in "
                             "this order, with | between them",
                             word);
        nest = nest_of(m, i);
        next = i + 1;
    }
    return DFQ_OK;
}

/* -- does it fit ------------------------------------------------------------------------------- */

static double trips_of(const dfqi_nest *nest, const char *dims)
{
    double p = 1;
    for (int32_t i = 0; i < nest->n; i++)
        if (strchr(dims, letters[nest->loop[i].dim])) p *= nest->loop[i].trips;
    return p;
}

/* Bits in one register file. Row-stationary elements slide over rows (flow_rs.c). */
static double rf_bits(const dfqi_accel_config *t, const dfqi_mapping *m, const double bits[3])
{
    const dfqi_nest *rf = &m->time[2];
    double w = trips_of(rf, "GCMRS") * bits[DFQI_W], o = trips_of(rf, "GNMP") * bits[DFQI_O];
    if (t->dataflow == DFQI_FLOW_WS) return w;
    if (t->dataflow == DFQI_FLOW_OS) return o * trips_of(rf, "Q");
    return w + trips_of(rf, "GNCPRS") * bits[DFQI_I] + o;
}

static dfq_status check_fit(dfq_context *ctx, const dfqi_layer *l, const dfqi_accel_config *t,
                            const dfqi_mapping *m)
{
    dfqi_pricing p;
    double glb = 0, elements = trips_of(&m->space, letters);
    dfqi_pricing_of(l, t, &p);
    for (int v = 0; v < DFQI_OPERANDS; v++)
        glb += dfqi_mapping_tile(l, m, 1, (dfqi_operand)v) * p.bits[v];
    double rf = rf_bits(t, m, p.rf_bits);
    if (elements > t->pe_x * (double)t->pe_y)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "mapping: SPACE needs %.0f elements, the accelerator has %d x %d",
                         elements, t->pe_x, t->pe_y);
    if (rf > (double)t->rf_words * t->word_bits)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "mapping: RF needs %.0f bits, a register file has %lld words of %d bits",
                         rf, (long long)t->rf_words, t->word_bits);
    if (glb > t->glb_kb * 8192)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "mapping: GLB needs %.1f KB, the global buffer has %g KB", glb / 8192,
                         t->glb_kb);
    return DFQ_OK;
}

dfq_status dfqi_mapping_parse(dfq_context *ctx, const char *text, const dfqi_layer *l,
                              const dfqi_accel_config *t, dfqi_mapping *out)
{
    dfqi_mapping m;
    dfqi_mapping_levels(t, &m);
    DFQI_TRY(read_loops(ctx, text, &m));
    DFQI_TRY(dfqi_mapping_check(ctx, l, &m));
    DFQI_TRY(check_fit(ctx, l, t, &m));
    *out = m;
    return DFQ_OK;
}
