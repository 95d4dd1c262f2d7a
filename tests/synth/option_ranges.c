/* Ranges of the synthesizer's options, as dfq/synthesizer.h says them. */
#include <dfq/synthesizer.h>

#include "support/ranges.h"
#include "synth/cases.h"
#include "synth/synth_priv.h"

#define ROW(name, kind, least, most) DFQT_RANGE(dfqi_synth_options, name, kind, least, most)

static dfq_status check(dfq_context *ctx, const void *options)
{
    return dfqi_synth_check(ctx, options);
}

START_TEST(test_ranges)
{
    const dfqt_range rows[] = {ROW(kind, DFQT_I32, DFQ_SYNTHESIZER_AUTO, DFQ_SYNTHESIZER_LEAVES),
                               ROW(images, DFQT_I64, 1, 10e6),
                               ROW(batch, DFQT_I64, 1, 4096),
                               ROW(iterations, DFQT_I64, 1, 1e6),
                               ROW(attention_weight, DFQT_F32, 0, 1e6),
                               ROW(class_weight, DFQT_F32, 0, 1e6),
                               ROW(tv_weight, DFQT_F32, 0, 1e6),
                               ROW(learning_rate, DFQT_F32, 0, 1000),
                               ROW(end_learning_rate, DFQT_F32, 0, 1000),
                               ROW(weight_decay, DFQT_F32, 0, 1),
                               ROW(roll_first, DFQT_I32, 0, 4096),
                               ROW(roll_second, DFQT_I32, 0, 4096),
                               ROW(flip, DFQT_I32, 0, 1),
                               ROW(jitter, DFQT_I32, 0, 1),
                               ROW(multi_scale, DFQT_I32, 0, 1),
                               ROW(distance, DFQT_I32, DFQ_DISTANCE_SQUARE, DFQ_DISTANCE_ABSOLUTE)};
    dfq_context *ctx = dfqt_context(1);
    dfqi_synth_options o;
    dfqi_synth_defaults(&o);
    dfqt_ranges(ctx, rows, sizeof rows / sizeof *rows, &o, sizeof o, check);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_option_ranges_case(void)
{
    TCase *c = tcase_create("option_ranges");
    tcase_add_test(c, test_ranges);
    return c;
}
