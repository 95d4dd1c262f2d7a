/* Position embeddings of another image size, against torch's interpolation. */
#include "nn/positions.h"

#include <math.h>
#include <string.h>

#include "nn/cases.h"
#include "nn/support.h"
#include "support/fail_alloc.h"
#include "support/path.h"

enum { PATCH = 4, SIDE = 4 };

typedef struct scene {
    dfq_context *ctx;
    dfqi_safetensors st;
    dfqi_arch arch;
} scene;

/* From a grid to another. */
static void begin(scene *s, dfqi_size from, dfqi_size to)
{
    char path[512];
    s->ctx = dfqt_context(1);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "positions.safetensors", path, sizeof path));
    ck_assert_msg(dfqi_st_read(s->ctx, path, &s->st) == DFQ_OK, "%s", s->ctx->error);
    s->arch =
        (dfqi_arch){.family = DFQI_FAMILY_VIT, .image = {to.height * PATCH, to.width * PATCH}};
    s->arch.of.vit.patch = PATCH;
    s->arch.of.vit.grid = from;
}

static void end(scene *s)
{
    dfqi_st_fini(&s->st);
    dfq_context_release(s->ctx);
}

static const struct fitted {
    const char *name;
    dfqi_size from, to;
} fitteds[] = {{"to_3", {SIDE, SIDE}, {3, 3}},
               {"to_6", {SIDE, SIDE}, {6, 6}},
               {"to_6x3", {SIDE, SIDE}, {6, 3}},
               {"from_2x8_to_5x4", {2, 8}, {5, 4}}};

START_TEST(test_interpolated)
{
    const struct fitted *f = &fitteds[_i];
    scene s;
    begin(&s, f->from, f->to);
    ck_assert_int_eq(dfqi_positions_fit(&s.st, &s.arch), DFQ_OK);
    const dfq_tensor *have = dfqi_st_find(&s.st, "pos_embed"), *want = dfqi_st_find(&s.st, f->name);
    ck_assert_int_eq(have->dims[1], 1 + dfqi_area(f->to));
    ck_assert_int_eq(dfqi_tensor_count(have), dfqi_tensor_count(want));
    for (int64_t i = 0; i < dfqi_tensor_count(want); i++) {
        double miss = fabs((double)dfqi_tensor_f32(have)[i] - (double)dfqi_tensor_f32(want)[i]);
        ck_assert_msg(miss < 5e-6, "element %d is off by %g", (int)i, miss);
    }
    end(&s);
}
END_TEST

/* The same size, and tensors that are no grid, stay as they are. */
START_TEST(test_left_alone)
{
    scene s;
    begin(&s, dfqi_square(SIDE), dfqi_square(SIDE));
    const dfq_tensor *before = dfqi_st_find(&s.st, "pos_embed");
    ck_assert_int_eq(dfqi_positions_fit(&s.st, &s.arch), DFQ_OK);
    s.arch.image = dfqi_square(8 * PATCH);
    ((dfq_tensor *)(uintptr_t)before)->dims[1] = 16; /* 15 rows are no square */
    ck_assert_int_eq(dfqi_positions_fit(&s.st, &s.arch), DFQ_OK);
    s.arch.family = DFQI_FAMILY_RESNET;
    ck_assert_int_eq(dfqi_positions_fit(&s.st, &s.arch), DFQ_OK);
    ck_assert_ptr_eq(dfqi_st_find(&s.st, "pos_embed"), before);
    end(&s);
}
END_TEST

static dfq_status fit_once(dfq_context *ctx, void *arg)
{
    scene *s = arg;
    dfq_tensor own = *dfqi_st_find(&s->st, "pos_embed");
    dfqi_st_entry entry = {(char *)(uintptr_t) "pos_embed", &own};
    dfqi_safetensors view = {.ctx = ctx, .n_entries = 1, .entries = &entry};
    own.ctx = ctx;
    own.refs = 9; /* never the last */
    DFQI_TRY(dfqi_positions_fit(&view, &s->arch));
    dfqi_tensor_release(entry.tensor);
    return DFQ_OK;
}

START_TEST(test_refused_allocations)
{
    scene s;
    begin(&s, dfqi_square(SIDE), dfqi_square(6));
    fail_alloc_sweep(fit_once, &s, 1);
    end(&s);
}
END_TEST

TCase *dfqt_positions_case(void)
{
    TCase *c = tcase_create("positions");
    tcase_add_loop_test(c, test_interpolated, 0, sizeof fitteds / sizeof *fitteds);
    tcase_add_test(c, test_left_alone);
    tcase_add_test(c, test_refused_allocations);
    return c;
}
