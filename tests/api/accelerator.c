/* dfq/accelerator.h: arguments, options of other ages, and a network from description to costs. */
#include <dfq/dfq.h>

#include <stdio.h>
#include <string.h>

#include "api/cases.h"

static const char json[] =
    "{\"name\": \"two\", \"pe_x\": [8, 16], \"pe_y\": 8, \"rf_words\": 32, \"dataflow\": \"os\","
    " \"pe_type\": \"fusion\", \"word_bits\": 8, \"psum_bits\": 24, \"glb_kb\": 64,"
    " \"clock_mhz\": 500, \"dram_gb_per_s\": 2, \"glb_gb_per_s\": 32}";

static dfq_context *context;
static dfq_graph *graph;
static dfq_accelerator *accel;

static void setup(void)
{
    ck_assert_int_eq(dfq_context_create(NULL, &context), DFQ_OK);
    ck_assert_int_eq(dfq_graph_create(context, NULL, &graph), DFQ_OK);
    ck_assert_msg(dfq_accelerator_parse(context, json, strlen(json), &accel) == DFQ_OK, "%s",
                  dfq_context_get_error(context));
}

static void teardown(void)
{
    dfq_accelerator_release(accel);
    dfq_graph_release(graph);
    dfq_context_release(context);
}

START_TEST(test_description)
{
    dfq_accelerator_config c = {.struct_size = sizeof c};
    ck_assert_str_eq(dfq_accelerator_get_name(accel), "two");
    ck_assert_int_eq(dfq_accelerator_get_count(accel), 2);
    ck_assert_int_eq(dfq_accelerator_get_config(accel, 1, &c), DFQ_OK);
    ck_assert_int_eq(c.pe_x, 16);
    ck_assert_int_eq(c.dataflow, DFQ_DATAFLOW_OS);
    ck_assert_int_eq(c.pe_type, DFQ_PE_FUSION);
    ck_assert_int_eq(c.float_bits, 8);
    ck_assert(c.area_mm2 > 0.1 && c.area_mm2 < 1);
    ck_assert_int_eq(dfq_accelerator_get_config(accel, 2, &c), DFQ_E_INVALID);
    ck_assert_str_eq(dfq_context_get_error(context), "accelerator of two is 2, must be 0 to 1");
    c.struct_size = 0;
    ck_assert_int_eq(dfq_accelerator_get_config(accel, 0, &c), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_accelerator_get_count(NULL), 0);
    ck_assert_str_eq(dfq_accelerator_get_name(NULL), "");
    dfq_accelerator_release(NULL);
    ck_assert_ptr_nonnull(dfq_accelerator_preset_name(0));
}
END_TEST

START_TEST(test_nulls)
{
    dfq_accelerator *a = NULL;
    dfq_cost *c = NULL;
    double v[2];
    ck_assert_int_eq(dfq_accelerator_load(NULL, "hdx-space", &a), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_accelerator_load(context, NULL, &a), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_accelerator_load(context, "hdx-space", NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_accelerator_parse(context, NULL, 0, &a), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_accelerator_load(context, "nowhere.json", &a), DFQ_E_IO);
    ck_assert_int_eq(dfq_cost_create(accel, NULL, NULL, &c), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_cost_create(NULL, graph, NULL, &c), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_cost_create(accel, graph, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_accelerator_tabulate(accel, graph, NULL, 2, v, v, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_accelerator_tabulate(accel, graph, NULL, 1, v, v, v), DFQ_E_INVALID);
    ck_assert_ptr_null(a);
    ck_assert_ptr_null(c);
    ck_assert_int_eq(dfq_cost_get_count(NULL), 0);
    dfq_cost_release(NULL);
}
END_TEST

START_TEST(test_options)
{
    struct {
        dfq_cost_options known;
        int64_t future;
    } o;
    dfq_cost *c = NULL;
    dfq_cost_options_init(&o.known, sizeof o);
    o.future = 1;
    ck_assert_int_eq(dfq_cost_create(accel, graph, &o.known, &c), DFQ_E_UNSUPPORTED);
    dfq_cost_options_init(&o.known, sizeof o.known);
    o.known.weight_bits = 4;
    ck_assert_int_eq(dfq_cost_create(accel, graph, &o.known, &c), DFQ_E_INVALID);
    o.known.act_bits = 17;
    ck_assert_int_eq(dfq_cost_create(accel, graph, &o.known, &c), DFQ_E_INVALID);
    o.known.act_bits = 4;
    o.known.config = 2;
    ck_assert_int_eq(dfq_cost_create(accel, graph, &o.known, &c), DFQ_E_INVALID);
    ck_assert_ptr_null(c);
    o.known.config = 0;
    o.known.act_scale = 3;
    ck_assert_int_eq(dfq_cost_create(accel, graph, &o.known, &c), DFQ_E_INVALID);
    o.known.act_scale = DFQ_ACT_SCALE_ROW;
    o.known.weight_bits = o.known.act_bits = 0;
    ck_assert_int_eq(dfq_cost_create(accel, graph, &o.known, &c), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(context), "act_scale is 1 without"));
    ck_assert_ptr_null(c);
}
END_TEST

/* Layers add up to the total, the total is what the table says, handles outlive what they came
 * from. */
START_TEST(test_costs)
{
    dfq_cost_options o;
    dfq_cost_info total = {.struct_size = sizeof total}, layer = {.struct_size = sizeof layer};
    dfq_cost_info own = {.struct_size = sizeof own};
    dfq_cost *c;
    dfq_graph_info net = {.struct_size = sizeof net};
    double ms[2], mj[2], mm2[2], sum_ms = 0, sum_pj = 0, in_use = 0, scores = 0;
    dfq_cost_options_init(&o, sizeof o);
    o.weight_bits = o.act_bits = 4;
    o.config = 1;
    ck_assert_msg(dfq_cost_create(accel, graph, &o, &c) == DFQ_OK, "%s",
                  dfq_context_get_error(context));
    ck_assert_int_eq(dfq_accelerator_tabulate(accel, graph, &o, 2, ms, mj, mm2), DFQ_OK);
    ck_assert_int_eq(dfq_graph_get_info(graph, &net), DFQ_OK);
    dfq_accelerator_release(accel);
    accel = NULL;
    dfq_graph_release(graph);
    graph = NULL;
    for (int32_t i = 0; i < dfq_cost_get_count(c); i++) {
        ck_assert_int_eq(dfq_cost_get_layer(c, i, &layer), DFQ_OK);
        sum_ms += layer.ms;
        sum_pj += layer.total_pj;
        in_use += layer.utilization * layer.cycles;
        if (layer.kind == DFQ_LAYER_ROWS) {
            ck_assert_int_eq(layer.weight_bits > 0, strstr(layer.name, "/sum") != NULL);
            ck_assert_ptr_null(layer.mapping);
            ck_assert_int_eq(dfq_cost_evaluate_mapping(c, i, "DRAM", &own), DFQ_E_INVALID);
            continue;
        }
        ck_assert_int_eq(dfq_cost_evaluate_mapping(c, i, layer.mapping, &own), DFQ_OK);
        ck_assert_int_eq(own.fused, 0);
        ck_assert_double_ge(own.cycles, layer.cycles);
        if (layer.fused) /* scores, or the map, then come from DRAM or go there */
            scores += own.dram_bytes - layer.dram_bytes;
        else
            ck_assert(own.cycles == layer.cycles && own.total_pj == layer.total_pj);
    }
    ck_assert_int_eq(dfq_cost_get_total(c, &total), DFQ_OK);
    ck_assert_int_eq(total.kind, DFQ_LAYER_TOTAL);
    ck_assert_double_eq(total.macs, (double)net.macs);
    ck_assert_double_eq_tol(total.ms, sum_ms, 1e-9 * sum_ms);
    ck_assert_double_eq_tol(total.total_pj, sum_pj, 1e-9 * sum_pj);
    ck_assert_double_eq_tol(total.ms, ms[1], 1e-9 * ms[1]);
    ck_assert_double_eq_tol(total.total_pj * 1e-9, mj[1], 1e-9 * mj[1]);
    ck_assert_int_gt(total.fused, 0);
    ck_assert_double_gt(scores, 0);
    ck_assert(total.area_mm2 == mm2[1] && mm2[0] < mm2[1] && ms[0] >= ms[1]);
    ck_assert(total.utilization > 0 && total.utilization <= 1);
    ck_assert_double_eq_tol(total.utilization, in_use / total.cycles, 1e-9);
    ck_assert_int_eq(dfq_cost_get_layer(c, dfq_cost_get_count(c), &layer), DFQ_E_INVALID);
    dfq_cost_release(c);
}
END_TEST

static dfq_cost_info total_with(const char *member)
{
    char text[sizeof json + 64];
    dfq_accelerator *own;
    dfq_accelerator_config c = {.struct_size = sizeof c};
    dfq_cost_info total = {.struct_size = sizeof total};
    dfq_cost *cost;
    snprintf(text, sizeof text, "{%s%s", member, json + 1);
    ck_assert_msg(dfq_accelerator_parse(context, text, strlen(text), &own) == DFQ_OK, "%s",
                  dfq_context_get_error(context));
    ck_assert_int_eq(dfq_accelerator_get_config(own, 1, &c), DFQ_OK);
    ck_assert_int_eq(c.fused_attention, strstr(member, "false") == NULL);
    ck_assert_int_eq(dfq_cost_create(own, graph, NULL, &cost), DFQ_OK);
    ck_assert_int_eq(dfq_cost_get_total(cost, &total), DFQ_OK);
    dfq_cost_release(cost);
    dfq_accelerator_release(own);
    return total;
}

/* Accelerators fuse attentions unless the description says that they cannot. */
START_TEST(test_fused_attention)
{
    static const char bad[] = "{\"fused_attention\": 1, ";
    const dfq_cost_info can = total_with(""), told = total_with("\"fused_attention\": true, ");
    const dfq_cost_info apart = total_with("\"fused_attention\": false, ");
    ck_assert_int_gt(can.fused, 0);
    ck_assert_int_eq(told.fused, can.fused);
    ck_assert_double_eq(told.total_pj, can.total_pj);
    ck_assert_int_eq(apart.fused, 0);
    ck_assert_double_lt(can.total_pj, apart.total_pj);
    ck_assert_double_lt(can.dram_bytes, apart.dram_bytes);
    ck_assert_double_le(can.cycles, apart.cycles);
    char text[sizeof json + sizeof bad];
    dfq_accelerator *own = NULL;
    snprintf(text, sizeof text, "%s%s", bad, json + 1);
    ck_assert_int_eq(dfq_accelerator_parse(context, text, strlen(text), &own), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(context), "fused_attention"));
}
END_TEST

TCase *dfqt_api_accelerator_case(void)
{
    TCase *c = tcase_create("accelerator");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_description);
    tcase_add_test(c, test_fused_attention);
    tcase_add_test(c, test_nulls);
    tcase_add_test(c, test_options);
    tcase_add_test(c, test_costs);
    return c;
}
