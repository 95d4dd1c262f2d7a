/* Diagnoses that are stopped, stored and gone on with; and what they cost. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dfq/diagnosis.h>

#include "base/hash.h"
#include "diagnose/cases.h"
#include "support/fail_alloc.h"
#include "tune/cases.h"

enum { N = 7, BATCH = 3, STRIDE = 5 };

static char folder[32], path[64];

static void setup(void)
{
    strcpy(folder, "/tmp/dfq_diag_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/checkpoint", folder);
}

static void teardown(void)
{
    remove(path);
    rmdir(folder);
}

static dfq_diagnosis_options small(void)
{
    dfq_diagnosis_options o;
    dfq_diagnosis_options_init(&o, sizeof o);
    o.batch = BATCH;
    o.probes = 2;
    o.power_iterations = 3;
    o.grid = 3;
    o.seed = 4;
    return o;
}

static dfq_diagnosis *start(const dfqt_pair *p, const dfq_diagnosis_options *o)
{
    dfq_diagnosis *d;
    ck_assert_msg(dfq_diagnosis_create(p->teacher, p->student, p->images, NULL, o, &d) == DFQ_OK,
                  "%s", p->ctx->error);
    return d;
}

static void works(const dfqt_pair *p, dfq_status status)
{
    ck_assert_msg(status == DFQ_OK, "%s", p->ctx->error);
}

/* All results. */
static uint64_t bits_of(const dfqt_pair *p, const dfq_diagnosis *d)
{
    dfq_diagnosis_result r = {.struct_size = sizeof r};
    dfq_tensor *weights, *surface;
    works(p, dfq_diagnosis_get_result(d, &r));
    works(p, dfq_diagnosis_get_weights(d, &weights));
    works(p, dfq_diagnosis_get_surface(d, &surface));
    uint64_t hash = dfqi_hash(DFQI_HASH_START, &r, sizeof r);
    for (int32_t k = 0; k < DFQ_DIAGNOSIS_LOSSES; k++) {
        dfq_diagnosis_loss l = {.struct_size = sizeof l};
        works(p, dfq_diagnosis_get_loss(d, k, &l));
        hash = dfqi_hash(hash, &l, sizeof l);
    }
    hash = dfqi_hash(hash, dfq_tensor_get_data(weights), dfq_tensor_get_bytes(weights));
    hash = dfqi_hash(hash, dfq_tensor_get_data(surface), dfq_tensor_get_bytes(surface));
    dfq_tensor_release(weights);
    dfq_tensor_release(surface);
    return hash;
}

static int steps(const dfqt_pair *p, dfq_diagnosis *d, int n)
{
    int32_t finished = 0;
    for (int i = 0; i < n && !finished; i++) works(p, dfq_diagnosis_step(d, &finished));
    return finished;
}

/* Stopped after any number of batches, in the middle of a pass too, and read into a fresh job; and
 * into one that is done. */
START_TEST(test_resume)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, N);
    dfq_diagnosis_options o = small();
    dfq_diagnosis *whole = start(&p, &o), *used = start(&p, &o);
    int finished = 0;
    works(&p, dfq_diagnosis_run(whole));
    works(&p, dfq_diagnosis_run(used));
    uint64_t bits = bits_of(&p, whole);
    for (int k = 0; !finished; k += STRIDE) {
        dfq_diagnosis *part = start(&p, &o), *rest = start(&p, &o);
        finished = steps(&p, part, k);
        uint64_t here = bits_of(&p, part);
        works(&p, dfq_diagnosis_save_checkpoint(part, path));
        works(&p, dfq_diagnosis_load_checkpoint(rest, path));
        if (k > 0) ck_assert_uint_eq(bits_of(&p, rest), here);
        works(&p, dfq_diagnosis_run(rest));
        ck_assert_msg(bits_of(&p, rest) == bits, "stopped after %d batches", k);
        works(&p, dfq_diagnosis_load_checkpoint(used, path));
        works(&p, dfq_diagnosis_run(used));
        ck_assert_msg(bits_of(&p, used) == bits, "gone back after %d batches", k);
        works(&p, dfq_diagnosis_run(part));
        ck_assert_uint_eq(bits_of(&p, part), bits);
        dfq_diagnosis_release(part);
        dfq_diagnosis_release(rest);
    }
    dfq_diagnosis_release(whole);
    dfq_diagnosis_release(used);
    dfqt_pair_end(&p);
}
END_TEST

/* Work left shrinks with every batch to nothing, and an estimate changes no result. */
START_TEST(test_estimate)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, N);
    dfq_diagnosis_options o = small();
    dfq_diagnosis *plain = start(&p, &o), *d = start(&p, &o);
    dfq_job_cost c = {.struct_size = sizeof c}, last;
    works(&p, dfq_diagnosis_estimate(d, &c));
    ck_assert_int_eq(c.units, 3 * (1 + 1 + 2 * 2 + 2 * 3 * 3 + 9));
    ck_assert(c.done == 0 && isnan(c.seconds_left) && c.macs > 0 && c.bytes > 4 * 5 * 1000);
    int64_t bytes = c.bytes;
    for (int finished = 0; !finished;) {
        last = c;
        finished = steps(&p, d, 1);
        works(&p, dfq_diagnosis_estimate(d, &c));
        ck_assert(c.macs < last.macs && c.done > last.done && c.units == last.units);
        ck_assert_int_eq(c.bytes, bytes);
        ck_assert(finished || c.seconds_left > 0);
    }
    ck_assert(c.macs == 0 && c.done == c.units && c.seconds_left == 0);
    works(&p, dfq_diagnosis_run(plain));
    ck_assert_uint_eq(bits_of(&p, d), bits_of(&p, plain));
    dfq_diagnosis_release(d);
    dfq_diagnosis_release(plain);
    dfqt_pair_end(&p);
}
END_TEST

/* -- refusals ---------------------------------------------------------------------------------- */

static void refuse(const dfqt_pair *p, dfq_diagnosis *d, dfq_status want, const char *part)
{
    ck_assert_int_eq(dfq_diagnosis_load_checkpoint(d, path), want);
    ck_assert_msg(strstr(p->ctx->error, part) != NULL, "%s", p->ctx->error);
}

/* Puts `value` at element i of the first tensor that is read: counts, whose bytes come first. */
static void set_count(const dfqt_pair *p, dfq_diagnosis *d, int i, int64_t value)
{
    unsigned char length[8];
    uint64_t header = 0;
    works(p, dfq_diagnosis_save_checkpoint(d, path));
    FILE *f = fopen(path, "rb+");
    ck_assert(f != NULL && fread(length, 1, 8, f) == 8);
    for (int k = 7; k >= 0; k--) header = header << 8 | length[k];
    ck_assert_int_eq(fseek(f, (long)(8 + header) + 8 * i, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(&value, sizeof value, 1, f), 1);
    fclose(f);
}

START_TEST(test_refused)
{
    enum { JUDGED = 0, STAGE = 4, SLOPE = 5, PASS = 6, IN_PASS = 7 };
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, N);
    dfq_diagnosis_options o = small();
    dfq_diagnosis *d = start(&p, &o), *other;
    dfq_job_cost none = {.struct_size = 0};
    refuse(&p, d, DFQ_E_IO, "No such file");
    works(&p, dfq_graph_save(p.teacher, path, 0));
    refuse(&p, d, DFQ_E_CORRUPT, "not a checkpoint of a diagnosis");
    steps(&p, d, 20);
    uint64_t bits = bits_of(&p, d);
    static const int64_t lies[][2] = {{JUDGED, -1}, {JUDGED, N + 1}, {JUDGED, 1},  {STAGE, 5},
                                      {STAGE, -1},  {SLOPE, 4},      {PASS, 1000}, {PASS, -1},
                                      {IN_PASS, 3}, {IN_PASS, -1},   {STAGE, 1000}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        set_count(&p, d, (int)lies[i][0], lies[i][1]);
        refuse(&p, d, DFQ_E_CORRUPT, "counts");
    }
    works(&p, dfq_diagnosis_save_checkpoint(d, path));
    o.seed++;
    other = start(&p, &o);
    refuse(&p, other, DFQ_E_INVALID, "made with other options");
    dfq_diagnosis_release(other);
    o.seed--;
    dfq_tensor *images = p.images, *fewer;
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_F32, 4, images->dims, &fewer), DFQ_OK);
    p.images = fewer;
    other = start(&p, &o);
    refuse(&p, other, DFQ_E_INVALID, "made with other images or labels");
    dfq_diagnosis_release(other);
    p.images = images;
    dfqi_tensor_release(fewer);
    ck_assert_int_eq(truncate(path, 3000), 0);
    refuse(&p, d, DFQ_E_CORRUPT, "checkpoint");
    ck_assert_uint_eq(bits_of(&p, d), bits); /* none of it changed the job */
    ck_assert_int_eq(dfq_diagnosis_estimate(NULL, &none), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_estimate(d, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_estimate(d, &none), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_save_checkpoint(NULL, path), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_save_checkpoint(d, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_load_checkpoint(NULL, path), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_diagnosis_load_checkpoint(d, NULL), DFQ_E_INVALID);
    dfq_diagnosis_release(d);
    dfqt_pair_end(&p);
}
END_TEST

/* Memory is that of the peak, beside networks and images, and in so small a network the lists of
 * graphs. */
START_TEST(test_estimate_of_memory)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfqt_pair p;
    dfq_diagnosis_options o = small();
    dfq_context_options co;
    dfq_job_cost c = {.struct_size = sizeof c};
    dfq_context *ctx;
    dfq_diagnosis *d;
    dfq_context_options_init(&co, sizeof co);
    co.allocator = &a;
    co.threads = 1;
    o.batch = 1; /* so that vectors are a good part of it */
    ck_assert_int_eq(dfq_context_create(&co, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_pair_make(ctx, DFQI_MODE_PARITY, N, &p), DFQ_OK);
    int64_t before = fa.live_bytes;
    ck_assert_int_eq(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &o, &d), DFQ_OK);
    ck_assert_int_eq(dfq_diagnosis_estimate(d, &c), DFQ_OK);
    fa.peak_bytes = fa.live_bytes;
    ck_assert_int_eq(dfq_diagnosis_run(d), DFQ_OK);
    double taken = (double)(fa.peak_bytes - before);
    ck_assert_msg((double)c.bytes > 0.6 * taken && (double)c.bytes < 1.5 * taken,
                  "%g bytes said, %g taken", (double)c.bytes, taken);
    dfq_diagnosis_release(d);
    dfqt_pair_fini(&p);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    dfqt_pair p;
    dfq_diagnosis_options o = small();
    dfq_diagnosis *d = NULL;
    dfq_job_cost c = {.struct_size = sizeof c};
    int32_t finished;
    dfq_status status;
    o.power_iterations = 1;
    o.probes = 0;
    DFQI_TRY(dfqt_pair_make(ctx, DFQI_MODE_PARITY, 2, &p));
    DFQI_GOTO(dfq_diagnosis_create(p.teacher, p.student, p.images, NULL, &o, &d), out);
    DFQI_GOTO(dfq_diagnosis_estimate(d, &c), out);
    DFQI_GOTO(dfq_diagnosis_save_checkpoint(d, arg), out);
    DFQI_GOTO(dfq_diagnosis_load_checkpoint(d, arg), out);
    status = dfq_diagnosis_step(d, &finished);
out:
    dfq_diagnosis_release(d);
    dfqt_pair_fini(&p);
    return status;
}

START_TEST(test_memory)
{
    fail_alloc_sweep(life, path, 1);
}
END_TEST

TCase *dfqt_diagnose_checkpoint_case(void)
{
    TCase *c = tcase_create("checkpoint");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_resume);
    tcase_add_test(c, test_estimate);
    tcase_add_test(c, test_estimate_of_memory);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_memory);
    tcase_set_timeout(c, 120);
    return c;
}
