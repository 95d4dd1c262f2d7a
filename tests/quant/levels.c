/* b bits are 2^b values: of every kind of quantizer at every width, by the reference kernels, in a
 * network, and in its file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/safetensors.h"
#include "kernel/kernel.h"
#include "quant/cases.h"
#include "quant/file_priv.h"
#include "quant/scheme_priv.h"

enum { DENSE = 1 << 15, KINDS = DFQI_SITE_COLUMN + 1 };

static const dfqi_kernels *reference(void)
{
    const dfqi_kernels *list[8];
    int n = dfqi_kernels_list(list, 8);
    return list[n - 1];
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* 2^b; 8 bits of powers reach down to 2^-127, but below FLT_MIN everything is 0; symmetric grids of
 * rows have one less. */
static int64_t expected(const dfqi_site *site, int bits)
{
    if (dfqi_site_is_runtime(site) && site->qmin < 0) return (1 << bits) - 1;
    return site->kind == DFQI_SITE_LOG && bits == 8 ? 254 : 1 << bits;
}

static int64_t distinct(float *y, int64_t n)
{
    int64_t count = n > 0;
    qsort(y, (size_t)n, sizeof *y, ascending);
    for (int64_t i = 1; i < n; i++) count += y[i] != y[i - 1];
    return count;
}

/* Values that a quantizer gives to inputs so dense that none of its codes is left out. `scale` and
 * `zero_point` are those of its first grid; NULL: from the weights, a row of them. */
static int64_t values(const dfqi_site *site, const float *scale, const float *zero_point)
{
    static float x[DENSE], y[DENSE];
    const dfqi_kernels *k = reference();
    int log = site->kind == DFQI_SITE_LOG;
    float z = zero_point ? *zero_point : 0, s = scale ? *scale : 1.0f / 64;
    float from = log ? 0 : (site->qmin - z - 2) * s, to = log ? 1.2f * s : (site->qmax - z + 2) * s;
    dfqi_grid grid = {&s, &z, 1, site->qmin, site->qmax};
    for (int i = 0; i < DENSE; i++) x[i] = from + (to - from) * (float)i / (DENSE - 1);
    for (int i = 0; log && i < 1024; i++) x[i] = ldexpf(s, -i / 8) * (1 + (float)(i % 8) / 8);
    if (log) x[1024] = 0;
    if (log)
        k->fq_log(DENSE, s, site->qmax, x, y);
    else if (site->kind == DFQI_SITE_UNIFORM)
        k->fq(1, DENSE, &grid, x, y);
    else if (dfqi_site_is_runtime(site))
        k->fq_row(1, DENSE, site->bits, site->qmin < 0, x, y, NULL, NULL);
    else if (site->kind == DFQI_SITE_WEIGHT)
        k->fq_weight(1, DENSE, site->bits, x, NULL, scale, y, NULL);
    else
        k->fq_weight_range(1, DENSE, site->bits, x, y, NULL, NULL);
    return distinct(y, DENSE);
}

/* Each kind at width _i, as the library lays its codes out. */
START_TEST(test_kinds)
{
    for (int kind = 0; kind < KINDS; kind++) {
        dfqi_site site = {.kind = (dfqi_site_kind)kind, .bits = _i};
        float scale = 0.05f, zero_point = 1.25f, half = ldexpf(1, _i - 1);
        site.qmin = -half;
        site.qmax = half - 1;
        if (kind == DFQI_SITE_LOG) dfqi_site_set_log(&site);
        if (dfqi_site_is_runtime(&site)) dfqi_site_set_codes(&site, kind == DFQI_SITE_COLUMN);
        int64_t n = values(&site, kind == DFQI_SITE_WEIGHT_MINMAX ? NULL : &scale,
                           kind == DFQI_SITE_UNIFORM ? &zero_point : NULL);
        ck_assert_msg(n == expected(&site, _i), "kind %d, %d bits: %d values", kind, _i, (int)n);
        if (kind == DFQI_SITE_WEIGHT) ck_assert_int_le(values(&site, NULL, NULL), 1 << _i);
    }
}
END_TEST

static int sites_of_kind[KINDS];

static void check_sites(const dfqi_model *m, int bits)
{
    for (int32_t i = 0; i < m->scheme.n_sites; i++) {
        const dfqi_site *site = &m->scheme.sites[i];
        if (dfqi_site_is_weight(site) && !site->scale) continue;
        int64_t n = values(site, site->scale ? dfqi_tensor_f32(site->scale) : NULL,
                           site->zero_point ? dfqi_tensor_f32(site->zero_point) : NULL);
        ck_assert_msg(n == expected(site, site->bits), "%s: %d bits, %d values", site->name, bits,
                      (int)n);
        sites_of_kind[site->kind]++;
    }
}

/* Values of the weights of a file, row by row. */
static void check_codes(const char *path, dfq_context *ctx, int bits)
{
    dfqi_safetensors st;
    int weights = 0;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    for (int64_t i = 0; i < st.n_entries; i++) {
        const dfqi_st_entry *e = &st.entries[i];
        int64_t n = dfqi_tensor_count(e->tensor) * 8 / bits, used = 0;
        int seen[256] = {0};
        if (!strstr(e->name, ".codes")) continue;
        for (int64_t c = 0; c < n; c++) {
            uint32_t code = dfqi_get_code(e->tensor->data, c, bits);
            used += !seen[code];
            seen[code] = 1;
        }
        ck_assert_int_le(used, 1 << bits);
        if (bits <= 3) ck_assert_msg(used == 1 << bits, "%s: %d codes", e->name, (int)used);
        weights++;
    }
    ck_assert_int_gt(weights, 3);
    dfqi_st_fini(&st);
}

/* Of a network and of what its file says. */
START_TEST(test_network)
{
    char path[] = "/tmp/dfq-levels-XXXXXX";
    int fd = mkstemp(path);
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s, *r;
    close(fd);
    memset(sites_of_kind, 0, sizeof sites_of_kind);
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    for (int k = 0; k < 3; k++) { /* parity, improved, and improved with scales of rows */
        dfqi_mode mode = k ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY;
        dfqi_grids grids = {.act_scale = k == 2 ? DFQI_ACT_SCALE_ROW : DFQI_ACT_SCALE_TENSOR};
        dfqi_widths widths = {_i, _i, _i};
        ck_assert_int_eq(dfqt_quantize_with(t, mode, widths, grids, &s), DFQ_OK);
        check_sites(s, _i);
        ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
        check_codes(path, ctx, _i);
        ck_assert_int_eq(dfqi_model_load(ctx, path, NULL, &r), DFQ_OK);
        check_sites(r, _i);
        dfqi_model_release(s);
        dfqi_model_release(r);
    }
    ck_assert_int_gt(sites_of_kind[DFQI_SITE_UNIFORM], 0);
    ck_assert_int_gt(sites_of_kind[DFQI_SITE_WEIGHT], 0);
    ck_assert_int_gt(sites_of_kind[DFQI_SITE_ROW], 0);
    ck_assert_int_gt(sites_of_kind[DFQI_SITE_COLUMN], 0);
    if (_i == 3 || _i == 4) ck_assert_int_gt(sites_of_kind[DFQI_SITE_LOG], 0);
    remove(path);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

/* A file that wants more values than its width has: 17 at 4 bits, as written before zero
 * counted. */
START_TEST(test_too_many)
{
    char path[] = "/tmp/dfq-levels-XXXXXX";
    int fd = mkstemp(path);
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s, *r;
    close(fd);
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dfqt_quantize(t, DFQI_MODE_IMPROVED, 4, 4, &s), DFQ_OK);
        dfqi_site *site = &s->scheme.sites[i ? 5 : 1];
        ck_assert_str_eq(site->name, i ? "blocks.0.attn.av.a" : "blocks.0.attn.qkv.input");
        if (i && site->kind != DFQI_SITE_LOG) {
            dfqi_site_set_log(site);
            dfqi_tensor_release(site->zero_point);
            site->zero_point = NULL;
        }
        site->qmax += 1;
        ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
        ck_assert_int_eq(dfqi_model_load(ctx, path, NULL, &r), DFQ_E_CORRUPT);
        ck_assert_msg(strstr(ctx->error, "17 values, must make 16") != NULL, "%s", ctx->error);
        dfqi_model_release(s);
    }
    remove(path);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_levels_case(void)
{
    TCase *c = tcase_create("levels");
    tcase_add_loop_test(c, test_kinds, 2, 9);
    tcase_add_loop_test(c, test_network, 2, 9);
    tcase_add_test(c, test_too_many);
    return c;
}
