/* A search that was stopped and resumed ends with the same bits. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore/cases.h"

enum { STEPS = 120 };

typedef struct setup {
    dfqt_problem t;
    dfq_constraint limit[2];
    dfq_solver_options o;
    char path[64];
} setup;

static void begin(int32_t rule, setup *s)
{
    dfqt_problem_make(6, &s->t);
    for (int j = 0; j < 2; j++) {
        s->limit[j] = (dfq_constraint){sizeof(dfq_constraint), j, 0};
        s->limit[j].limit = dfqt_problem_quantile(&s->t, j, 0.3);
    }
    dfq_solver_options_init(&s->o, sizeof s->o);
    s->o.rule = rule;
    s->o.steps = STEPS;
    s->o.learning_rate = 0.05;
    s->o.gumbel = s->o.joint = 1;
    s->o.end_temperature = 0.5;
    strcpy(s->path, "/tmp/dfq-explore-XXXXXX");
    int fd = mkstemp(s->path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static dfq_solver *create(dfq_context *ctx, const setup *s)
{
    dfq_solver *out;
    ck_assert_int_eq(dfq_solver_create(ctx, &s->t.problem, s->limit, 2, &s->o, &out), DFQ_OK);
    return out;
}

static void same(const dfq_solver *a, const dfq_solver *b)
{
    dfq_solver_result x = {.struct_size = sizeof x}, y = x;
    dfq_tensor *t[2], *snapshots[2], *by[2];
    ck_assert_int_eq(dfq_solver_get_result(a, &x), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_result(b, &y), DFQ_OK);
    ck_assert_int_eq(memcmp(&x, &y, sizeof x), 0);
    for (int32_t j = 0; j < DFQT_METRICS; j++) {
        dfq_solver_metric u = dfqt_metric(a, j), v = dfqt_metric(b, j);
        ck_assert_int_eq(memcmp(&u, &v, sizeof u), 0);
    }
    ck_assert_int_eq(dfq_solver_get_trajectory(a, &t[0]), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_trajectory(b, &t[1]), DFQ_OK);
    ck_assert_uint_eq(dfq_tensor_get_bytes(t[0]), dfq_tensor_get_bytes(t[1]));
    ck_assert_int_eq(
        memcmp(dfq_tensor_get_data(t[0]), dfq_tensor_get_data(t[1]), dfq_tensor_get_bytes(t[0])),
        0);
    ck_assert_int_eq(dfq_solver_get_snapshots(a, &snapshots[0]), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_snapshots(b, &snapshots[1]), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(snapshots[0])[0], (x.steps + 49) / 50);
    ck_assert_uint_eq(dfq_tensor_get_bytes(snapshots[0]), dfq_tensor_get_bytes(snapshots[1]));
    ck_assert_int_eq(memcmp(dfq_tensor_get_data(snapshots[0]), dfq_tensor_get_data(snapshots[1]),
                            dfq_tensor_get_bytes(snapshots[0])),
                     0);
    ck_assert_int_eq(dfq_solver_get_chosen_by(a, &by[0]), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_chosen_by(b, &by[1]), DFQ_OK);
    ck_assert_int_eq(
        memcmp(dfq_tensor_get_data(by[0]), dfq_tensor_get_data(by[1]), dfq_tensor_get_bytes(by[0])),
        0);
    for (int i = 0; i < 2; i++) {
        dfq_tensor_release(t[i]);
        dfq_tensor_release(by[i]);
        dfq_tensor_release(snapshots[i]);
    }
}

static void stop_and_resume(int32_t rule, int after)
{
    setup s;
    int32_t finished;
    begin(rule, &s);
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver *whole = create(ctx, &s), *first = create(ctx, &s), *second = create(ctx, &s);
    ck_assert_int_eq(dfq_solver_run(whole), DFQ_OK);
    for (int i = 0; i < after; i++) ck_assert_int_eq(dfq_solver_step(first, &finished), DFQ_OK);
    ck_assert_int_eq(dfq_solver_save_checkpoint(first, s.path), DFQ_OK);
    ck_assert_int_eq(dfq_solver_load_checkpoint(second, s.path), DFQ_OK);
    ck_assert_int_eq(dfq_solver_run(second), DFQ_OK);
    same(whole, second);
    dfq_solver_release(whole);
    dfq_solver_release(first);
    dfq_solver_release(second);
    dfq_context_release(ctx);
    remove(s.path);
}

START_TEST(resumes_with_the_same_bits)
{
    for (int32_t rule = DFQ_RULE_CONSTRAINT_GRADIENT; rule < DFQ_RULE_EXACT; rule++)
        stop_and_resume(rule, 77);
    stop_and_resume(DFQ_RULE_ALTERNATE, 77);
    for (int at = 0; at <= STEPS; at += 10) stop_and_resume(DFQ_RULE_PROJECT, at);
    stop_and_resume(DFQ_RULE_CONSTRAINT_GRADIENT, 0);
    stop_and_resume(DFQ_RULE_CONSTRAINT_GRADIENT, STEPS);
    stop_and_resume(DFQ_RULE_CONSTRAINT_GRADIENT,
                    STEPS + 5); /* among those that the constraint gradient has added */
}
END_TEST

START_TEST(refuses_others)
{
    setup s;
    int32_t finished;
    begin(DFQ_RULE_CONSTRAINT_GRADIENT, &s);
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver *first = create(ctx, &s), *other;
    ck_assert_int_eq(dfq_solver_step(first, &finished), DFQ_OK);
    ck_assert_int_eq(dfq_solver_save_checkpoint(first, s.path), DFQ_OK);
    s.o.learning_rate = 0.01;
    other = create(ctx, &s);
    ck_assert_int_eq(dfq_solver_load_checkpoint(other, s.path), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "options"));
    dfq_solver_release(other);
    s.o.learning_rate = 0.05;
    s.limit[0].limit *= 2;
    other = create(ctx, &s);
    ck_assert_int_eq(dfq_solver_load_checkpoint(other, s.path), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "limits"));
    FILE *f = fopen(s.path, "r+b");
    ck_assert_ptr_nonnull(f);
    fputs("broken", f);
    fclose(f);
    ck_assert_int_eq(dfq_solver_load_checkpoint(other, s.path), DFQ_E_CORRUPT);
    remove(s.path);
    ck_assert_int_eq(dfq_solver_load_checkpoint(other, s.path), DFQ_E_IO);
    dfq_solver_release(other);
    dfq_solver_release(first);
    dfq_context_release(ctx);
}
END_TEST

/* The bytes of a tensor that the file names, which is small enough to be searched through. */
static void overwrite(const char *path, const char *name, const void *bytes, size_t size)
{
    static char file[100000];
    char key[64];
    long long from, to;
    uint64_t header;
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(file, 1, sizeof file - 1, f);
    memcpy(&header, file, sizeof header);
    snprintf(key, sizeof key, "\"%s\":{", name);
    const char *at = n > 8 ? strstr(file + 8, key) : NULL;
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "data_offsets\":[");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "data_offsets\":[%lld,%lld]", &from, &to), 2);
    ck_assert_int_le((long long)size, to - from);
    ck_assert_int_eq(fseek(f, (long)(8 + header) + (long)from, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

/* What a file calls a certified choice is certified again. */
START_TEST(believes_no_file)
{
    setup s;
    int32_t finished = 0, most[7] = {0}, wild = 99;
    double nan = NAN;
    begin(DFQ_RULE_CONSTRAINT_GRADIENT, &s);
    s.o.gumbel = 0;
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver *first = create(ctx, &s);
    dfq_solver_result r = {.struct_size = sizeof r};
    while (!finished) ck_assert_int_eq(dfq_solver_step(first, &finished), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_result(first, &r), DFQ_OK);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
    for (int g = 0; g < 7; g++) /* the choices of largest latency */
        for (int32_t k = 1; k < s.t.choices[g]; k++) {
            int32_t other[7];
            double now[3], then[3];
            memcpy(other, most, sizeof other);
            other[g] = k;
            dfqt_problem_costs(&s.t, most, now);
            dfqt_problem_costs(&s.t, other, then);
            if (then[0] > now[0]) most[g] = k;
        }
    ck_assert_int_eq(dfq_solver_save_checkpoint(first, s.path), DFQ_OK);
    ck_assert_int_eq(dfq_solver_load_checkpoint(first, s.path), DFQ_OK);
    overwrite(s.path, "best", most, sizeof most);
    ck_assert_int_eq(dfq_solver_load_checkpoint(first, s.path), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "exceed the limits"));
    overwrite(s.path, "best", &wild, sizeof wild);
    ck_assert_int_eq(dfq_solver_load_checkpoint(first, s.path), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "choice 99 of group 0"));
    int32_t none[7] = {0};
    overwrite(s.path, "best", none, sizeof none);
    overwrite(s.path, "snapshots", &wild, sizeof wild);
    ck_assert_int_eq(dfq_solver_load_checkpoint(first, s.path), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(ctx), "snapshots holds choice 99 of group 0"));
    overwrite(s.path, "snapshots", none, sizeof none);
    overwrite(s.path, "x", &nan, sizeof nan);
    ck_assert_int_eq(dfq_solver_load_checkpoint(first, s.path), DFQ_E_CORRUPT);
    ck_assert_int_eq(dfq_solver_run(first), DFQ_OK); /* it is as it was */
    dfq_solver_release(first);
    dfq_context_release(ctx);
    remove(s.path);
}
END_TEST

TCase *dfqt_explore_checkpoint_case(void)
{
    TCase *c = tcase_create("checkpoint");
    tcase_add_test(c, resumes_with_the_same_bits);
    tcase_add_test(c, refuses_others);
    tcase_add_test(c, believes_no_file);
    return c;
}
