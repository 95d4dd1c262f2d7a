/* One number of multiply-accumulates for a network, whoever tells it: the network itself (info),
 * its layers and their sum (cost), and the supernet it was derived from (explore). */
#include "accel/cases.h"
#include "accel/nets.h"
#include "accel/table.h"

static double macs_of_report(const dfqi_model *m)
{
    dfqi_accel_space s;
    dfqi_accel_config t;
    dfqi_report r;
    double macs = 0;
    ck_assert_int_eq(dfqi_accel_space_load(m->ctx, "eyeriss-16x16", &s), DFQ_OK);
    dfqi_accel_space_config(&s, 0, &t);
    ck_assert_msg(dfqi_report_new(m, &t, (dfqi_layer_bits){0}, &r) == DFQ_OK, "%s", m->ctx->error);
    for (int32_t i = 0; i < r.list.n_layers; i++)
        macs += dfqi_layer_macs(&r.list.shapes[r.list.layers[i].shape]);
    ck_assert_double_eq(macs, r.total.macs);
    dfqi_report_fini(&r);
    return macs;
}

START_TEST(test_one_number)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = dfqt_net(ctx, _i);
    double macs, derived;
    ck_assert_int_eq(dfqi_network_macs(&m->net, &macs), DFQ_OK);
    ck_assert_double_gt(macs, 100000);
    ck_assert_double_eq(macs_of_report(m), macs);
    if (dfqt_nets[_i].space) {
        dfqi_supernet net;
        ck_assert_int_eq(dfqi_supernet_new(ctx, dfqt_nets[_i].space, NULL, 1, &net), DFQ_OK);
        ck_assert_int_eq(dfqi_supernet_macs(&net, dfqt_nets[_i].path, &derived), DFQ_OK);
        ck_assert_double_eq(derived, macs);
        dfqi_supernet_fini(&net);
    }
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_agree_case(void)
{
    TCase *c = tcase_create("agree");
    tcase_add_loop_test(c, test_one_number, 0, DFQT_NETS);
    return c;
}
