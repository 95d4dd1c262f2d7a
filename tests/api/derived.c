/* From a search space to a low-bit network: what dfq_explorer_save_network() writes,
 * dfq_graph_load() reads; it is right about the same images and costs the same, and is
 * quantized. */
#include <dfq/dfq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cases.h"

enum { N = 60, CLASSES = 3, RECORD = 1 + 3 * 32 * 32 };

/* Images of 32 pixels are brought to 16. */
static const char *const spaces[2] = {
    "{\"dfq_space\": 1, \"name\": \"three cells\", \"network\": \"mbconv\", \"image_px\": 16,"
    " \"classes\": 3, \"stem\": 4, \"first\": 4, \"head\": 8,"
    " \"stages\": [{\"width\": 4, \"cells\": 1, \"stride\": 1},"
    "  {\"width\": 6, \"cells\": 2, \"stride\": 2}],"
    " \"choices\": [{\"kernel\": 3, \"expand\": 1}, {\"kernel\": 5, \"expand\": 2}]}",
    "{\"dfq_space\": 1, \"name\": \"two stages\", \"network\": \"vit\", \"image_px\": 16,"
    " \"classes\": 3, \"patch_px\": 4, \"tokens\": 8, \"head\": 4, \"stages\": 2, \"optional\": "
    "true,"
    " \"width\": [8, 12], \"depth\": [1, 2], \"heads\": [2], \"ratio\": [2]}"};

static const char hardware[] =
    "{\"pe_x\": [8, 12], \"pe_y\": 8, \"rf_words\": [16, 64], \"dataflow\": [\"ws\", \"os\"],"
    " \"pe_type\": \"fixed\", \"word_bits\": 16, \"psum_bits\": 16, \"glb_kb\": 108,"
    " \"clock_mhz\": 200, \"dram_gb_per_s\": 3.2, \"glb_gb_per_s\": 25.6}";

/* Random numbers, and a channel for each class that is brighter than the others. */
static void write_images(const char *path)
{
    static unsigned char record[RECORD];
    uint32_t state = 7;
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < N; i++) {
        record[0] = (unsigned char)(i % CLASSES);
        for (int k = 1; k < RECORD; k++) {
            state = state * UINT32_C(1664525) + UINT32_C(1013904223);
            record[k] = (unsigned char)(state >> 25);
            if ((k - 1) / 1024 == i % CLASSES) record[k] += (unsigned char)(i % 7 * 10);
        }
        ck_assert_uint_eq(fwrite(record, 1, RECORD, f), RECORD);
    }
    fclose(f);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    fclose(f);
}

typedef struct scene {
    char folder[32], space[64], accel[64], images[64], file[64];
    dfq_context *ctx;
    dfq_dataset *data;
    dfq_explorer *e;
    dfq_graph *net;
    dfq_explorer_result found;
} scene;

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(s->ctx))

static void begin(scene *s, int space)
{
    const dfq_constraint limit = {sizeof(dfq_constraint), DFQ_EXPLORE_AREA, 2};
    dfq_explorer_options o;
    dfq_solver_options so;
    dfq_context_options co;
    memset(s, 0, sizeof *s);
    strcpy(s->folder, "/tmp/dfq-derived-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->folder));
    snprintf(s->space, sizeof s->space, "%s/space.json", s->folder);
    snprintf(s->accel, sizeof s->accel, "%s/accel.json", s->folder);
    snprintf(s->images, sizeof s->images, "%s/images.bin", s->folder);
    snprintf(s->file, sizeof s->file, "%s/net", s->folder);
    write_text(s->space, spaces[space]);
    write_text(s->accel, hardware);
    write_images(s->images);
    dfq_explorer_options_init(&o, sizeof o);
    dfq_solver_options_init(&so, sizeof so);
    o.warmup_steps = 4;
    o.train_steps = 60;
    o.batch = 16;
    o.max_shift = 0;
    o.mean[0] = 0.3f;
    so.steps = 4;
    dfq_context_options_init(&co, sizeof co);
    co.threads = 1; /* steps are too small for more */
    ck_assert_int_eq(dfq_context_create(&co, &s->ctx), DFQ_OK);
    OK(dfq_dataset_open(s->ctx, s->images, CLASSES, &s->data));
    dfq_accelerator *accel;
    OK(dfq_accelerator_load(s->ctx, s->accel, &accel));
    OK(dfq_explorer_create(s->ctx, s->space, accel, s->data, &limit, 1, &o, &so, &s->e));
    dfq_accelerator_release(accel);
    OK(dfq_explorer_run(s->e));
    OK(dfq_explorer_save_network(s->e, s->file));
    OK(dfq_graph_load(s->ctx, s->file, NULL, &s->net));
    s->found.struct_size = sizeof s->found;
    OK(dfq_explorer_get_result(s->e, &s->found));
}

static void end(scene *s)
{
    dfq_graph_release(s->net);
    dfq_explorer_release(s->e);
    dfq_dataset_release(s->data);
    dfq_context_release(s->ctx);
    remove(s->file);
    remove(s->images);
    remove(s->accel);
    remove(s->space);
    rmdir(s->folder);
}

/* The choices as the explorer calls them. */
static void choices_of(const scene *s, char *out, size_t size)
{
    dfq_tensor *t;
    size_t at = 0;
    OK(dfq_explorer_get_choice(s->e, 0, &t));
    for (int32_t c = 0; c < dfq_explorer_get_cells(s->e); c++)
        at += (size_t)snprintf(
            out + at, size - at, "%s%s", c ? " " : "",
            dfq_explorer_get_name(s->e, c, ((const int32_t *)dfq_tensor_get_data(t))[c]));
    dfq_tensor_release(t);
}

static void check_info(const scene *s, int space)
{
    char choices[128];
    dfq_graph_info info = {.struct_size = sizeof info};
    OK(dfq_graph_get_info(s->net, &info));
    choices_of(s, choices, sizeof choices);
    ck_assert_str_eq(dfq_graph_get_choices(s->net), choices);
    ck_assert_str_eq(dfq_graph_get_name(s->net), space ? "two stages" : "three cells");
    ck_assert_int_eq(info.family, space ? DFQ_FAMILY_STAGES : DFQ_FAMILY_MBCONV);
    ck_assert_int_eq(info.image, 16);
    ck_assert_int_eq(info.classes, CLASSES);
    ck_assert(info.mean[0] == 0.3f && info.quantized == 0 && (double)info.macs >= s->found.macs);
    ck_assert_int_eq(info.patch, space ? 4 : 0);
    ck_assert_int_eq(info.width, space ? 8 : 0);
    ck_assert(space ? info.batchnorms == 0 : info.batchnorms >= 4 + 2);
}

/* Running statistics are tensors but no parameters. */
static void check_tensors(const scene *s)
{
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_tensor_info t = {.struct_size = sizeof t};
    int64_t values = 0;
    OK(dfq_graph_get_info(s->net, &info));
    int32_t n = dfq_graph_get_tensor_count(s->net);
    for (int32_t i = 0; i < n; i++) {
        OK(dfq_graph_get_tensor_info(s->net, i, &t));
        ck_assert(t.bits == 32 && t.bytes == 4 * t.values && t.float_bytes == t.bytes);
        ck_assert(t.values > 0 && t.name[0] != '\0');
        if (!strstr(t.name, "running_") && !strstr(t.name, "norm.mean") &&
            !strstr(t.name, "norm.var"))
            values += t.values;
    }
    ck_assert_int_eq(values, info.parameters);
    ck_assert_int_eq(dfq_graph_get_tensor_count(NULL), 0);
    ck_assert_int_eq(dfq_graph_get_tensor_info(s->net, n, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_tensor_info(s->net, -1, &t), DFQ_E_INVALID);
    t.struct_size = 0;
    ck_assert_int_eq(dfq_graph_get_tensor_info(s->net, 0, &t), DFQ_E_INVALID);
}

static void check_accuracy(const scene *s)
{
    dfq_accuracy want = {.struct_size = sizeof want}, have = {.struct_size = sizeof have};
    OK(dfq_explorer_evaluate(s->e, s->data, &want));
    OK(dfq_graph_evaluate(s->net, s->data, 0, 0, &have));
    ck_assert_int_eq(have.n, N);
    ck_assert_int_eq(have.correct, want.correct);
    ck_assert(have.correct > N / CLASSES && have.correct <= N); /* it has learned something */
}

static void check_costs(const scene *s)
{
    dfq_accelerator *accel;
    dfq_cost *cost;
    dfq_cost_options o;
    dfq_cost_info total = {.struct_size = sizeof total};
    double want[3];
    for (int32_t m = 0; m < 3; m++) {
        dfq_explorer_metric v = {.struct_size = sizeof v};
        OK(dfq_explorer_get_metric(s->e, m, &v));
        want[m] = v.cost;
    }
    dfq_cost_options_init(&o, sizeof o);
    o.config = s->found.accelerator;
    OK(dfq_accelerator_load(s->ctx, s->accel, &accel));
    OK(dfq_cost_create(accel, s->net, &o, &cost));
    OK(dfq_cost_get_total(cost, &total));
    ck_assert_double_eq_tol(total.ms, want[DFQ_EXPLORE_LATENCY], 1e-12 * total.ms);
    ck_assert_double_eq_tol(total.total_pj * 1e-9, want[DFQ_EXPLORE_ENERGY],
                            1e-12 * total.total_pj);
    ck_assert_double_eq(total.area_mm2, want[DFQ_EXPLORE_AREA]);
    dfq_cost_release(cost);
    dfq_accelerator_release(accel);
}

START_TEST(test_network_of_a_search)
{
    scene s;
    begin(&s, _i);
    check_info(&s, _i);
    check_tensors(&s);
    check_accuracy(&s);
    check_costs(&s);
    end(&s);
}
END_TEST

/* Saved again, at half the width as well, and read back. */
START_TEST(test_saved_again)
{
    scene scenery, *s = &scenery;
    begin(s, _i);
    for (int half = 0; half < 2; half++) {
        dfq_graph *again;
        dfq_accuracy want = {.struct_size = sizeof want}, have = {.struct_size = sizeof have};
        OK(dfq_graph_save(s->net, s->file, half));
        OK(dfq_graph_load(s->ctx, s->file, NULL, &again));
        ck_assert_str_eq(dfq_graph_get_choices(again), dfq_graph_get_choices(s->net));
        OK(dfq_graph_evaluate(s->net, s->data, 0, 0, &want));
        OK(dfq_graph_evaluate(again, s->data, 0, 0, &have));
        if (half == 0) ck_assert_int_eq(have.correct, want.correct);
        ck_assert_int_le(llabs((long long)(have.correct - want.correct)), 2);
        dfq_graph_release(again);
    }
    end(s);
}
END_TEST

/* Tells a file of a network that its stage of stride 2 has stride 1. */
static void change_stride(const char *path)
{
    static const char key[] = "stride\\\":2";
    static char all[1 << 20];
    FILE *f = fopen(path, "rb+");
    ck_assert_ptr_nonnull(f);
    size_t size = fread(all, 1, sizeof all, f), at = 0;
    while (at + sizeof key < size && memcmp(all + at, key, sizeof key - 1) != 0) at++;
    ck_assert_uint_lt(at + sizeof key, size);
    ck_assert_int_eq(fseek(f, (long)(at + sizeof key - 2), SEEK_SET), 0);
    ck_assert_int_eq(fputc('1', f), '1');
    fclose(f);
}

/* Of which no tensor tells. */
static void check_strides(const scene *s, const dfq_tensor *images)
{
    dfq_graph *other;
    dfq_tensor *errors = NULL;
    change_stride(s->file);
    OK(dfq_graph_load(s->ctx, s->file, NULL, &other));
    ck_assert_int_eq(dfq_graph_get_layer_errors(s->net, other, images, &errors), DFQ_E_SHAPE);
    ck_assert_ptr_null(errors);
    ck_assert_msg(strstr(dfq_context_get_error(s->ctx), "stride of cell 1 is 2 in the teacher"),
                  "%s", dfq_context_get_error(s->ctx));
    dfq_graph_release(other);
}

START_TEST(test_quantized)
{
    scene scenery, *s = &scenery;
    dfq_quantize_options o;
    dfq_tensor *images;
    dfq_graph *low = NULL, *again;
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_accuracy want = {.struct_size = sizeof want}, have = {.struct_size = sizeof have};
    begin(s, _i);
    dfq_quantize_options_init(&o, sizeof o);
    o.weight_bits = o.act_bits = 8;
    OK(dfq_dataset_get_batch(s->data, s->net, 0, 16, &images));
    dfq_status status = dfq_graph_quantize(s->net, images, &o, &low);
    if (_i == 1) {
        dfq_tensor_release(images);
        ck_assert_int_eq(status, DFQ_E_UNSUPPORTED);
        ck_assert_ptr_null(low);
        ck_assert_ptr_nonnull(
            strstr(dfq_context_get_error(s->ctx), "must be a ViT, DeiT or Swin for quantization"));
        end(s);
        return;
    }
    OK(status);
    OK(dfq_graph_save(low, s->file, 0));
    OK(dfq_graph_load(s->ctx, s->file, NULL, &again));
    OK(dfq_graph_get_info(again, &info));
    ck_assert_int_eq(info.quantized, 1);
    ck_assert_int_eq(info.family, DFQ_FAMILY_MBCONV);
    ck_assert_str_eq(dfq_graph_get_choices(again), dfq_graph_get_choices(s->net));
    OK(dfq_graph_evaluate(low, s->data, 0, 0, &want));
    OK(dfq_graph_evaluate(again, s->data, 0, 0, &have));
    ck_assert_int_eq(have.correct, want.correct);
    OK(dfq_graph_evaluate(s->net, s->data, 0, 0, &want));
    ck_assert_int_le(llabs((long long)(have.correct - want.correct)), 6);
    check_strides(s, images);
    dfq_tensor_release(images);
    dfq_graph_release(again);
    dfq_graph_release(low);
    end(s);
}
END_TEST

TCase *dfqt_api_derived_case(void)
{
    TCase *c = tcase_create("derived");
    tcase_add_loop_test(c, test_network_of_a_search, 0, 2);
    tcase_add_loop_test(c, test_saved_again, 0, 2);
    tcase_add_loop_test(c, test_quantized, 0, 2);
    return c;
}
