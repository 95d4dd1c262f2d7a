/* Reads accelerator descriptions from JSON. Each key of a physical quantity ends with its unit.
 * Unknown keys, keys without their unit, and values out of range are errors. */
#include <stdio.h>
#include <string.h>

#include "accel/accel_config_priv.h"
#include "base/text.h"

static const char *const known[] = {
    "name",      "pe_x",      "pe_y",         "rf_words",      "dataflow",
    "pe_type",   "word_bits", "psum_bits",    "dram_gb_per_s", "glb_kb",
    "clock_mhz", "energy",    "glb_gb_per_s", "float_bits",    "fused_attention",
    NULL};

/* What is read, and what error texts need. */
typedef struct reader {
    dfq_context *ctx;
    const char *name;
    dfqi_jnode at;
} reader;

/* The error of a key that lacks its unit names the correct key. */
static dfq_status check_keys(const reader *r, const char *const *keys)
{
    void *iter = NULL;
    const char *key;
    dfqi_jnode value;
    char show[DFQI_SHOW_MAX];
    while (dfqi_json_next(r->at, &iter, &key, &value)) {
        size_t n = strlen(key);
        for (const char *const *k = keys; *k; k++)
            if (strncmp(*k, key, n) == 0 && (*k)[n] == '_' && strcmp(key, "pe") != 0)
                return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"%s\" has no unit; write \"%s\"",
                                 r->name, dfqi_show(key, show), *k);
    }
    return dfqi_json_only(r->at, keys);
}

/* The i-th value of a member that is one value or a list: where it is, and under what key. */
typedef struct item {
    dfqi_jnode at;
    const char *key;
} item;

static dfq_status open_values(const reader *r, const char *key, dfqi_jnode *list, dfqi_values *out)
{
    out->n = 1;
    if (!dfqi_json_is_array(r->at, key)) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_array(r->at, key, list));
    int64_t n = dfqi_json_count(*list);
    if (n < 1 || n > DFQI_VALUES_MAX)
        return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"%s\" has %lld values, must be 1 to %d",
                         r->name, key, (long long)n, DFQI_VALUES_MAX);
    out->n = (int32_t)n;
    return DFQ_OK;
}

static item value_at(const reader *r, const char *key, dfqi_jnode list, int32_t i)
{
    return list.doc ? (item){dfqi_json_at(list, i), NULL} : (item){r->at, key};
}

static dfq_status get_numbers(const reader *r, const char *key, double lo, double hi, bool whole,
                              dfqi_values *out)
{
    dfqi_jnode list = {0};
    DFQI_TRY(open_values(r, key, &list, out));
    for (int32_t i = 0; i < out->n; i++) {
        item it = value_at(r, key, list, i);
        int64_t v;
        if (whole)
            DFQI_TRY(dfqi_json_get_int(it.at, it.key, (int64_t)lo, (int64_t)hi, &v));
        else
            DFQI_TRY(dfqi_json_get_real(it.at, it.key, lo, hi, &out->v[i]));
        if (whole) out->v[i] = (double)v;
    }
    return DFQ_OK;
}

static dfq_status get_words(const reader *r, const char *key, const char *(*word)(int32_t),
                            int32_t n_words, const char *all, dfqi_values *out)
{
    dfqi_jnode list = {0};
    DFQI_TRY(open_values(r, key, &list, out));
    for (int32_t i = 0; i < out->n; i++) {
        item it = value_at(r, key, list, i);
        const char *text;
        char show[DFQI_SHOW_MAX];
        int32_t k = 0;
        DFQI_TRY(dfqi_json_get_text(it.at, it.key, &text));
        while (k < n_words && strcmp(word(k), text) != 0) k++;
        if (k == n_words)
            return dfqi_fail(r->ctx, DFQ_E_CORRUPT, "%s: \"%s\" is \"%s\", must be %s", r->name,
                             key, dfqi_show(text, show), all);
        out->v[i] = k;
    }
    return DFQ_OK;
}

/* The prices of one word's accesses, all of them or none. */
static dfq_status get_prices(const reader *r, dfqi_prices *p)
{
    static const char *const names[] = {
        "mac_pj",       "rf_pj",       "rf_fill_pj", "reg_pj",    "noc_pj", "glb_read_pj",
        "glb_write_pj", "glb_fill_pj", "dram_pj",    "static_mw", NULL};
    double *const to[] = {&p->mac_pj,  &p->rf_pj,       &p->rf_fill_pj,   &p->reg_pj,
                          &p->noc_pj,  &p->glb_read_pj, &p->glb_write_pj, &p->glb_fill_pj,
                          &p->dram_pj, &p->static_mw};
    reader e = *r;
    DFQI_TRY(dfqi_json_get_object(r->at, "energy", &e.at));
    DFQI_TRY(check_keys(&e, names));
    for (int i = 0; names[i]; i++) DFQI_TRY(dfqi_json_get_real(e.at, names[i], 0, 1e6, to[i]));
    return DFQ_OK;
}

static dfq_status get_bits(const reader *r, dfqi_accel_space *s)
{
    int64_t word, psum, unrounded;
    DFQI_TRY(dfqi_json_get_int(r->at, "word_bits", 2, 16, &word));
    DFQI_TRY(dfqi_json_get_int(r->at, "psum_bits", word, 32, &psum));
    unrounded = word;
    if (dfqi_json_has(r->at, "float_bits"))
        DFQI_TRY(dfqi_json_get_int(r->at, "float_bits", 2, psum, &unrounded));
    s->word_bits = (int32_t)word;
    s->float_bits = (int32_t)unrounded;
    s->psum_bits = (int32_t)psum;
    return DFQ_OK;
}

/* Left out: it can. */
static dfq_status get_fused(const reader *r, dfqi_accel_space *s)
{
    bool can = true;
    if (dfqi_json_has(r->at, "fused_attention"))
        DFQI_TRY(dfqi_json_get_bool(r->at, "fused_attention", &can));
    s->fused_attention = can;
    return DFQ_OK;
}

dfq_status dfqi_accel_space_read(dfq_context *ctx, const char *name, dfqi_json *doc,
                                 dfqi_accel_space *out)
{
    reader r = {ctx, name, dfqi_json_root(doc)};
    dfqi_accel_space s = {0};
    const char *own = name;
    DFQI_TRY(check_keys(&r, known));
    if (dfqi_json_has(r.at, "name")) DFQI_TRY(dfqi_json_get_text(r.at, "name", &own));
    snprintf(s.name, sizeof s.name, "%.63s", own);
    dfqi_printable(s.name);
    DFQI_TRY(get_numbers(&r, "pe_x", 1, 1024, true, &s.pe_x));
    DFQI_TRY(get_numbers(&r, "pe_y", 1, 1024, true, &s.pe_y));
    DFQI_TRY(get_numbers(&r, "rf_words", 1, 65536, true, &s.rf_words));
    DFQI_TRY(get_words(&r, "dataflow", dfqi_dataflow_name, DFQI_FLOW_COUNT, "ws, os or rs",
                       &s.dataflow));
    DFQI_TRY(
        get_words(&r, "pe_type", dfqi_pe_name, DFQI_PE_COUNT, "fixed, fusion or serial", &s.pe));
    DFQI_TRY(get_numbers(&r, "glb_kb", 0.5, 65536, false, &s.glb_kb));
    DFQI_TRY(get_bits(&r, &s));
    DFQI_TRY(get_fused(&r, &s));
    DFQI_TRY(dfqi_json_get_real(r.at, "clock_mhz", 1, 10000, &s.clock_mhz));
    DFQI_TRY(dfqi_json_get_real(r.at, "dram_gb_per_s", 1e-3, 1e5, &s.dram_gb_per_s));
    DFQI_TRY(dfqi_json_get_real(r.at, "glb_gb_per_s", 1e-3, 1e6, &s.glb_gb_per_s));
    s.priced = dfqi_json_has(r.at, "energy");
    if (s.priced) DFQI_TRY(get_prices(&r, &s.price));
    if (dfqi_accel_space_count(&s) > DFQI_CONFIGS_MAX)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: its lists make %lld accelerators, must be at most %d; shorten them",
                         name, (long long)dfqi_accel_space_count(&s), DFQI_CONFIGS_MAX);
    *out = s;
    return DFQ_OK;
}

dfq_status dfqi_accel_space_parse(dfq_context *ctx, const char *name, const char *text, size_t size,
                                  dfqi_accel_space *out)
{
    dfqi_json *doc;
    DFQI_TRY(dfqi_json_parse(ctx, name, text, size, &doc));
    dfq_status status = dfqi_accel_space_read(ctx, name, doc, out);
    dfqi_json_release(doc);
    return status;
}
