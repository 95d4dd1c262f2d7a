/* Windows against their definition, token by token, and what their builders refuse. */
#include <string.h>

#include "graph/cases.h"
#include "graph/scenes.h"

enum { H = 5, W = 6, SIDE = 3, DOWN = 2, ACROSS = 2, N = SIDE * SIDE, C = 2, BATCH = 2 };

/* Where token i of window w comes from; -1: padding. */
static int from(int pad_first, int shift, int w, int i)
{
    int y = w / ACROSS * SIDE + i / SIDE, x = w % ACROSS * SIDE + i % SIDE;
    if (!pad_first && y >= H) return -1; /* the width has no padding */
    y = (y + shift) % (pad_first ? DOWN * SIDE : H);
    x = (x + shift) % W;
    return y < H && x < W ? y * W + x : -1;
}

START_TEST(test_partition)
{
    const int shift = _i % SIDE, pad_first = _i / SIDE;
    const dfqi_windowing a = {{H, W}, {SIDE, SIDE}, {shift, shift}, pad_first};
    rig rig_ = dfqt_rig(1, BATCH, 5), *r = &rig_;
    dfqi_id x = CONST(1, 2, H * W, C), y = dfqi_windows(r->g, x, &a);
    dfqi_id back = dfqi_unwindow(r->g, y, &a);
    ck_assert_int_eq(dfqi_window_count(&a), DOWN * ACROSS);
    dfqi_graph_keep(r->g, y);
    dfqi_graph_keep(r->g, back);
    dfqt_start(r);
    dfqt_run(r);
    const float *in = dfqt_data(r, x), *got = dfqi_exec_data(r->e, y);
    for (int b = 0; b < BATCH; b++)
        for (int w = 0; w < DOWN * ACROSS; w++)
            for (int i = 0; i < N; i++)
                for (int c = 0; c < C; c++, got++) {
                    int t = from(pad_first, shift, w, i);
                    ck_assert(*got == (t < 0 ? 0.0f : in[(b * H * W + t) * C + c]));
                }
    ck_assert_mem_eq(dfqi_exec_data(r->e, back), in, BATCH * H * W * C * sizeof *in);
    dfqt_rig_fini(r);
}
END_TEST

/* The region of a place on the padded and rolled map, by its definition in slices. */
static int region(int at, int extent, int shift)
{
    return at < extent - SIDE ? 0 : at < extent - shift ? 1 : 2;
}

START_TEST(test_mask)
{
    enum { HEADS = 2, MASK = -50 };
    const dfqi_windowing a = {{H, W}, {SIDE, SIDE}, {2, 2}, 0};
    rig rig_ = dfqt_rig(1, BATCH, 6), *r = &rig_;
    dfqi_id raw = CONST(1, 3, DOWN * ACROSS * HEADS, N, N), bias = CONST(0, 3, HEADS, N, N);
    dfqi_id y = dfqi_window_bias(r->g, raw, bias, &a, MASK);
    dfqi_graph_keep(r->g, y);
    dfqt_start(r);
    dfqt_run(r);
    const float *in = dfqt_data(r, raw), *add = dfqt_data(r, bias), *got = dfqi_exec_data(r->e, y);
    for (int k = 0; k < BATCH * DOWN * ACROSS * HEADS; k++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++, got++, in++) {
                int w = k / HEADS % (DOWN * ACROSS), top = w / ACROSS * SIDE, left = w % ACROSS * 3;
                bool same = region(top + i / SIDE, DOWN * SIDE, 2) ==
                                region(top + j / SIDE, DOWN * SIDE, 2) &&
                            region(left + i % SIDE, ACROSS * SIDE, 2) ==
                                region(left + j % SIDE, ACROSS * SIDE, 2);
                float sum = *in + add[(k % HEADS * N + i) * N + j];
                ck_assert(*got == (same ? sum : sum + (float)MASK));
            }
    dfqt_rig_fini(r);
}
END_TEST

START_TEST(test_bias)
{
    enum { S = 3, REACH = 2 * S - 1, HEADS = 2 };
    rig rig_ = dfqt_rig(1, 1, 7), *r = &rig_;
    dfqi_id table = CONST(0, 2, REACH * REACH, HEADS);
    dfqi_id y = dfqi_relative_bias(r->g, table, dfqi_square(S), 0.5f);
    dfqi_graph_keep(r->g, y);
    dfqt_start(r);
    dfqt_run(r);
    const float *t = dfqt_data(r, table), *got = dfqi_exec_data(r->e, y);
    for (int h = 0; h < HEADS; h++)
        for (int i = 0; i < S * S; i++)
            for (int j = 0; j < S * S; j++, got++) {
                int dy = i / S - j / S + S - 1, dx = i % S - j % S + S - 1;
                ck_assert(*got == 0.5f * t[(dy * REACH + dx) * HEADS + h]);
            }
    dfqt_rig_fini(r);
}
END_TEST

START_TEST(test_merge)
{
    enum { Y = 3, X = 4 };
    static const int row[4] = {0, 1, 0, 1}, col[4] = {0, 0, 1, 1};
    rig rig_ = dfqt_rig(1, 1, 8), *r = &rig_;
    dfqi_id x = CONST(1, 2, Y * X, C), y = dfqi_merge(r->g, x, Y, X);
    dfqi_graph_keep(r->g, y);
    dfqt_start(r);
    dfqt_run(r);
    const float *in = dfqt_data(r, x), *got = dfqi_exec_data(r->e, y);
    for (int i = 0; i < 4; i++)
        for (int part = 0; part < 4; part++)
            for (int c = 0; c < C; c++, got++) {
                int at = i / 2 * 2 + row[part], across = i % 2 * 2 + col[part];
                ck_assert(*got == (at < Y ? in[(at * X + across) * C + c] : 0.0f));
            }
    dfqt_rig_fini(r);
}
END_TEST

static dfqi_id mistake(rig *r, int i)
{
    const dfqi_windowing good = {{4, 4}, {2, 2}, {0, 0}, 0};
    const dfqi_windowing shifted = {{4, 4}, {2, 2}, {0, 2}, 0}, none = {{4, 0}, {2, 2}, {0, 0}, 0};
    switch (i) {
    case 0:
        return dfqi_windows(r->g, CONST(1, 2, 15, 3), &good);
    case 1:
        return dfqi_windows(r->g, CONST(1, 2, 16, 3), &shifted);
    case 2:
        return dfqi_windows(r->g, CONST(1, 2, 16, 3), &none);
    case 3:
        return dfqi_unwindow(r->g, CONST(1, 1, 16), &good);
    case 4:
        return dfqi_merge(r->g, CONST(1, 2, 15, 3), 4, 4);
    case 5:
        return dfqi_relative_bias(r->g, CONST(0, 2, 8, 3), dfqi_square(2), 1);
    case 6:
        return dfqi_window_bias(r->g, CONST(1, 3, 8, 4, 4), CONST(0, 3, 3, 4, 4), &good, -1);
    case 7:
        return dfqi_window_bias(r->g, CONST(1, 3, 8, 4, 4), CONST(0, 3, 2, 4, 5), &good, -1);
    case 8:
        return dfqi_split_window_heads(r->g, CONST(1, 2, 5, 12), 2, 2, 3);
    case 9:
        return dfqi_join_window_heads(r->g, CONST(1, 3, 3, 4, 5), 2);
    default:
        return dfqi_inter_head(r->g, CONST(1, 3, 3, 4, 4), 2, 0, DFQI_DISTANCE_SQUARE);
    }
}

START_TEST(test_mistake)
{
    rig r = dfqt_rig(1, 2, 1);
    ck_assert_int_eq(mistake(&r, _i), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_status(r.g), DFQ_E_SHAPE);
    ck_assert_msg(strstr(r.ctx->error, "must"), "%s", r.ctx->error);
    dfqt_rig_fini(&r);
}
END_TEST

TCase *dfqt_windows_case(void)
{
    TCase *c = tcase_create("windows");
    tcase_add_loop_test(c, test_partition, 0, 2 * SIDE);
    tcase_add_test(c, test_mask);
    tcase_add_test(c, test_bias);
    tcase_add_test(c, test_merge);
    tcase_add_loop_test(c, test_mistake, 0, 11);
    return c;
}
