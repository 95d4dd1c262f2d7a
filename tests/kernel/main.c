/* Tests of lib/kernel: every slot of every table that this machine can run. */
#include "kernel/support.h"
#include "support/suite.h"

static const slot_test *const groups[] = {
    product_slots, conv_slots,      elementwise_slots, row_slots,    column_slots,
    quant_slots,   quant_row_slots, weight_slots,      layout_slots, attention_slots};
enum { N_GROUPS = sizeof groups / sizeof groups[0] };

static int n_slots(void)
{
    int n = 0;
    for (int g = 0; g < N_GROUPS; g++)
        for (const slot_test *s = groups[g]; s->name; s++) n++;
    return n;
}

static const slot_test *slot(int i)
{
    for (int g = 0; g < N_GROUPS; g++)
        for (const slot_test *s = groups[g]; s->name; s++)
            if (i-- == 0) return s;
    return NULL;
}

START_TEST(test_slot)
{
    need_table(_i / n_slots());
    const dfqi_kernels *t = table(_i / n_slots());
    const slot_test *s = slot(_i % n_slots());
    pool p = pool_begin((uint64_t)_i);
    s->run(t, &p);
    pool_end(&p);
}
END_TEST

/* The table is a name and pointers: as many as there are tests, and every one is filled in. */
START_TEST(test_every_slot_has_a_test)
{
    typedef void (*any_fn)(void);
    size_t first = offsetof(dfqi_kernels, gemm);
    ck_assert_uint_eq((sizeof(dfqi_kernels) - first) / sizeof(any_fn), (size_t)n_slots());
    for (int i = 0; i < n_slots(); i++) {
        int found = 0;
        for (int j = 0; j < n_slots(); j++)
            found += slot(j)->offset == first + (size_t)i * sizeof(any_fn);
        ck_assert_msg(found == 1, "slot number %d has %d tests", i, found);
    }
    for (int t = 0; t < n_tables(); t++)
        for (int i = 0; i < n_slots(); i++) {
            any_fn fn;
            memcpy(&fn, (const char *)table(t) + slot(i)->offset, sizeof fn);
            ck_assert_msg(fn != NULL, "%s lacks %s", table(t)->name, slot(i)->name);
        }
}
END_TEST

START_TEST(test_tables_have_names)
{
    ck_assert_int_ge(n_tables(), 1);
    ck_assert_str_eq(reference()->name, "ref");
    for (int i = 0; i < n_tables(); i++)
        for (int j = 0; j < i; j++) ck_assert_str_ne(table(i)->name, table(j)->name);
}
END_TEST

/* Packed products of AVX-512 are its own, whatever else multiplies matrices, and so are all of
 * AVX2. */
START_TEST(test_own_products)
{
    for (int i = 0; i < n_tables(); i++)
        for (int j = 0; j < n_tables(); j++) {
            const int own = strncmp(table(i)->name, "avx512", 6) == 0;
            if (own && strncmp(table(j)->name, "avx512", 6) != 0)
                ck_assert(table(i)->gemm_packed != table(j)->gemm_packed);
            else if (own)
                ck_assert(table(i)->gemm_packed == table(j)->gemm_packed);
            if (i != j && strncmp(table(i)->name, "avx2", 4) == 0)
                ck_assert(table(i)->gemm != table(j)->gemm);
        }
}
END_TEST

static void log_line(int32_t level, const char *line, void *user)
{
    ck_assert_int_eq(level, DFQ_LOG_WARNING);
    ck_assert_ptr_nonnull(strstr(line, "DFQ_KERNELS"));
    ++*(int *)user;
}

/* The choice is made once per process, so each name gets a fork of its own. */
static const struct choice {
    const char *wanted, *part;
    int warnings;
} choices[] = {{"ref", "ref", 0}, {"no-such-kernels", NULL, 1}, {"+", NULL, 1}, {"", NULL, 0}};

START_TEST(test_choice)
{
    int warnings = 0;
    dfq_context_options o;
    dfq_context *ctx;
    dfq_context_options_init(&o, sizeof o);
    o.log = log_line;
    o.log_user = &warnings;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    setenv("DFQ_KERNELS", choices[_i].wanted, 1);
    const dfqi_kernels *k = dfqi_kernels_get(ctx);
    ck_assert_ptr_eq(k, dfqi_kernels_get(NULL));
    if (getenv("CK_FORK") == NULL || strcmp(getenv("CK_FORK"), "no") != 0) {
        ck_assert_str_eq(k->name, choices[_i].part ? choices[_i].part : table(0)->name);
        ck_assert_int_eq(warnings, choices[_i].warnings);
    }
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_packed_size)
{
    ck_assert_uint_eq(dfqi_packed_floats(7, 0), 0);
    ck_assert_uint_eq(dfqi_packed_floats(7, 1), 7 * 64);
    ck_assert_uint_eq(dfqi_packed_floats(7, 64), 7 * 64);
    ck_assert_uint_eq(dfqi_packed_floats(7, 65), 7 * 128);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kernel");
    /* Tables first: it forks for each name before this process has made its own choice. */
    TCase *tables = tcase_create("tables");
    TCase *slots = tcase_create("slots");
    tcase_add_loop_test(tables, test_choice, 0, sizeof choices / sizeof choices[0]);
    tcase_add_test(tables, test_every_slot_has_a_test);
    tcase_add_test(tables, test_tables_have_names);
    tcase_add_test(tables, test_own_products);
    tcase_add_test(tables, test_packed_size);
    tcase_set_timeout(slots, 60);
    tcase_add_loop_test(slots, test_slot, 0, DFQT_TABLES_MAX * n_slots());
    suite_add_tcase(s, tables);
    suite_add_tcase(s, slots);
    suite_add_tcase(s, dfqt_invariance_case());
    suite_add_tcase(s, dfqt_gradients_case());
    suite_add_tcase(s, dfqt_golden_case());
    suite_add_tcase(s, dfqt_weights_case());
    return dfqt_run(s);
}
