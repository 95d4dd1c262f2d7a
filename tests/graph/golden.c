/* Golden data for graphs: see golden.h. */
#include "graph/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/path.h"

golden dfqt_golden(const char *file)
{
    golden f = {.ctx = dfqt_context(1)};
    char path[512];
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", file, path, sizeof path));
    ck_assert_msg(dfqi_st_read(f.ctx, path, &f.st) == DFQ_OK, "%s", f.ctx->error);
    return f;
}

void dfqt_golden_fini(golden *f)
{
    dfqi_st_fini(&f->st);
    dfq_context_release(f->ctx);
}

const dfq_tensor *dfqt_golden_tensor(const golden *f, const char *name, const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "%s.%s", name, what);
    const dfq_tensor *t = dfqi_st_find(&f->st, text);
    ck_assert_msg(t != NULL, "no %s", text);
    return t;
}

dfqi_id dfqt_golden_input(rig *r, const golden *f, const char *name, const char *what, int batched)
{
    const dfq_tensor *t = dfqt_golden_tensor(f, name, what);
    dfqi_id id = dfqt_input(r, batched, t->rank - batched, t->dims + batched, 0, 1);
    memcpy(dfqt_data(r, id), t->data, (size_t)dfqt_count(r, id) * sizeof(float));
    return id;
}

void dfqt_golden_check(const rig *r, dfqi_id v, const golden *f, const char *name, const char *what,
                       double tol)
{
    const dfq_tensor *t = dfqt_golden_tensor(f, name, what);
    const float *want = t->data, *got = dfqi_exec_data(r->e, v);
    double scale = 0;
    ck_assert_int_eq(dfqt_count(r, v), dfqi_tensor_count(t));
    for (int64_t i = 0; i < dfqt_count(r, v); i++) scale = fmax(scale, fabs((double)want[i]));
    for (int64_t i = 0; i < dfqt_count(r, v); i++)
        ck_assert_msg(fabs((double)got[i] - (double)want[i]) <= tol * scale,
                      "%s.%s[%d]: %g, expected %g", name, what, (int)i, (double)got[i],
                      (double)want[i]);
}
