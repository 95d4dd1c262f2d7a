/* Options structs that no init has filled: struct_size alone, or not even that. Each is refused
 * with the name of its init, or 0 is what it would have said. */
#include <dfq/dfq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cases.h"

typedef struct scene {
    dfq_context *ctx;
    dfq_graph *net, *low;
    dfq_tensor *images;
    dfq_accelerator *accel;
    dfq_dataset *data;
    char path[32];
} scene;

/* One for each struct: a call that reads `o`. What it makes is given back. */

static dfq_status graph(scene *s, const void *o)
{
    dfq_graph *made = NULL;
    dfq_status status = dfq_graph_create(s->ctx, o, &made);
    dfq_graph_release(made);
    return status;
}

static dfq_status quantize(scene *s, const void *o)
{
    dfq_graph *made = NULL;
    dfq_status status = dfq_graph_quantize(s->net, s->images, o, &made);
    dfq_graph_release(made);
    return status;
}

static dfq_status synthesizer(scene *s, const void *o)
{
    dfq_synthesizer *made = NULL;
    dfq_status status = dfq_synthesizer_create(s->net, o, &made);
    dfq_synthesizer_release(made);
    return status;
}

static dfq_status tuner(scene *s, const void *o)
{
    dfq_tuner *made = NULL;
    dfq_status status = dfq_tuner_create(s->net, s->low, s->images, o, &made);
    dfq_tuner_release(made);
    return status;
}

static dfq_status reconstructor(scene *s, const void *o)
{
    dfq_reconstructor *made = NULL;
    dfq_status status = dfq_reconstructor_create(s->net, s->low, s->images, o, &made);
    dfq_reconstructor_release(made);
    return status;
}

static dfq_status sensitivity(scene *s, const void *o)
{
    dfq_sensitivity *made = NULL;
    dfq_status status = dfq_sensitivity_create(s->net, s->images, NULL, o, &made);
    dfq_sensitivity_release(made);
    return status;
}

static dfq_status live(scene *s, const void *o)
{
    dfq_tuner *made = NULL;
    dfq_status status = dfq_tuner_create_with_generator(s->net, s->low, o, NULL, &made);
    dfq_tuner_release(made);
    return status;
}

static dfq_status diagnosis(scene *s, const void *o)
{
    dfq_diagnosis *made = NULL;
    dfq_status status = dfq_diagnosis_create(s->net, s->low, s->images, NULL, o, &made);
    dfq_diagnosis_release(made);
    return status;
}

static dfq_status trainer(scene *s, const void *o)
{
    dfq_trainer *made = NULL;
    dfq_status status = dfq_trainer_create(s->net, o, &made);
    dfq_trainer_release(made);
    return status;
}

static dfq_status context(scene *s, const void *o)
{
    dfq_context *made = NULL;
    dfq_status status = dfq_context_create(o, &made);
    (void)s;
    dfq_context_release(made);
    return status;
}

static dfq_status costs(scene *s, const void *o)
{
    dfq_cost *made = NULL;
    dfq_status status = dfq_cost_create(s->accel, s->net, o, &made);
    dfq_cost_release(made);
    return status;
}

static dfq_status load(scene *s, const void *o)
{
    dfq_graph *made = NULL;
    char file[48];
    snprintf(file, sizeof file, "%s.net", s->path);
    ck_assert_int_eq(dfq_graph_save(s->net, file, 0), DFQ_OK);
    dfq_status status = dfq_graph_load_with(s->ctx, file, o, &made);
    dfq_graph_release(made);
    unlink(file);
    return status;
}

static dfq_status runtime(scene *s, const void *o)
{
    dfq_runtime *made = NULL;
    dfq_status status = dfq_runtime_create(s->net, o, &made);
    dfq_runtime_release(made);
    return status;
}

static dfq_status export_network(scene *s, const void *o)
{
    dfq_tensor *made = NULL;
    dfq_status status = dfq_graph_export_to_memory(s->net, o, &made, NULL);
    dfq_tensor_release(made);
    return status;
}

static dfq_status dataset(scene *s, const void *o)
{
    dfq_dataset *made = NULL;
    dfq_status status = dfq_dataset_open_with(s->ctx, s->path, o, &made);
    dfq_dataset_release(made);
    return status;
}

static const dfq_constraint limit = {sizeof(dfq_constraint), 0, 1};

static dfq_status explorer(scene *s, const void *o)
{
    dfq_explorer *made = NULL;
    dfq_accelerator *accel = NULL;
    dfq_status status = dfq_accelerator_load(s->ctx, "hdx-space", &accel);
    if (status == DFQ_OK)
        status =
            dfq_explorer_create(s->ctx, "cifar10-small", accel, s->data, &limit, 1, o, NULL, &made);
    dfq_accelerator_release(accel);
    dfq_explorer_release(made);
    return status;
}

static dfq_status solver(scene *s, const void *o)
{
    dfq_problem p;
    dfq_solver *made = NULL;
    dfq_problem_init(&p, sizeof p);
    dfq_status status = dfq_solver_create(s->ctx, &p, &limit, 1, o, &made);
    dfq_solver_release(made);
    return status;
}

static dfq_status quantizer(scene *s, const void *o)
{
    dfq_quantizer *made = NULL;
    dfq_status status = dfq_quantizer_create(s->ctx, o, NULL, NULL, &made);
    dfq_quantizer_release(made);
    return status;
}

#define ROW(name, call, zeros)                                                                     \
    {                                                                                              \
#name, sizeof(name), call, zeros                                                           \
    }

/* `zeros`: init sets nothing but struct_size, so zeros are the defaults. */
static const struct {
    const char *name;
    size_t size;
    dfq_status (*call)(scene *s, const void *o);
    int zeros;
} structs[] = {ROW(dfq_context_options, context, 1),
               ROW(dfq_cost_options, costs, 1),
               ROW(dfq_dataset_options, dataset, 1),
               ROW(dfq_diagnosis_options, diagnosis, 0),
               ROW(dfq_export_options, export_network, 1),
               ROW(dfq_explorer_options, explorer, 0),
               ROW(dfq_synthesizer_options, synthesizer, 0),
               ROW(dfq_generator_options, live, 0),
               ROW(dfq_load_options, load, 1),
               ROW(dfq_quantize_options, quantize, 0),
               ROW(dfq_quantizer_options, quantizer, 0),
               ROW(dfq_reconstructor_options, reconstructor, 0),
               ROW(dfq_sensitivity_options, sensitivity, 0),
               ROW(dfq_solver_options, solver, 0),
               ROW(dfq_trainer_options, trainer, 0),
               ROW(dfq_tuner_options, tuner, 0),
               ROW(dfq_vit_options, graph, 0),
               ROW(dfq_runtime_options, runtime, 0)};

static scene begin(void)
{
    scene s = {.path = "/tmp/dfq-api-XXXXXX"};
    static unsigned char record[3073];
    dfq_vit_options v;
    int fd = mkstemp(s.path);
    ck_assert_int_ge(fd, 0);
    for (int i = 0; i < 10; i++) ck_assert_int_eq(write(fd, record, sizeof record), sizeof record);
    close(fd);
    ck_assert_int_eq(dfq_context_create(NULL, &s.ctx), DFQ_OK);
    dfq_vit_options_init(&v, sizeof v);
    v.image = 16;
    v.patch = 8;
    v.width = v.hidden = 16;
    v.depth = 1;
    v.heads = 2;
    ck_assert_int_eq(dfq_graph_create(s.ctx, &v, &s.net), DFQ_OK);
    ck_assert_int_eq(
        dfq_tensor_create(s.ctx, DFQ_DTYPE_F32, 4, (int64_t[]){4, 3, 16, 16}, &s.images), DFQ_OK);
    float *x = dfq_tensor_get_data(s.images);
    for (int i = 0; i < 4 * 3 * 256; i++) x[i] = (float)(i % 37) / 37 - 0.5f;
    ck_assert_msg(dfq_graph_quantize(s.net, s.images, NULL, &s.low) == DFQ_OK, "%s",
                  dfq_context_get_error(s.ctx));
    ck_assert_int_eq(dfq_accelerator_load(s.ctx, "hdx-space", &s.accel), DFQ_OK);
    ck_assert_msg(dfq_dataset_open(s.ctx, s.path, 10, &s.data) == DFQ_OK, "%s",
                  dfq_context_get_error(s.ctx));
    return s;
}

static void end(scene *s)
{
    dfq_dataset_release(s->data);
    dfq_accelerator_release(s->accel);
    dfq_tensor_release(s->images);
    dfq_graph_release(s->low);
    dfq_graph_release(s->net);
    dfq_context_release(s->ctx);
    unlink(s->path);
}

START_TEST(test_unfilled)
{
    scene s = begin();
    char want[64];
    unsigned char *o = calloc(1, structs[_i].size);
    uint32_t size = (uint32_t)structs[_i].size;
    ck_assert_ptr_nonnull(o);
    snprintf(want, sizeof want, "%s_init", structs[_i].name);
    for (int sized = 0; sized < 2; sized++) {
        if (sized) memcpy(o, &size, sizeof size);
        dfq_status status = structs[_i].call(&s, o);
        if (sized && structs[_i].zeros) {
            ck_assert_int_eq(status, DFQ_OK);
            continue;
        }
        ck_assert_int_eq(status, DFQ_E_INVALID);
        if (structs[_i].call == context) continue; /* nothing that could hold a text */
        ck_assert_msg(strstr(dfq_context_get_error(s.ctx), want) != NULL, "%s",
                      dfq_context_get_error(s.ctx));
    }
    free(o);
    end(&s);
}
END_TEST

/* A few fields set by hand are no init either. */
START_TEST(test_half_filled)
{
    scene s = begin();
    dfq_tuner_options t = {.struct_size = sizeof t, .steps = 10, .batch = 2};
    ck_assert_int_eq(tuner(&s, &t), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "dfq_tuner_options_init"));
    dfq_synthesizer_options g = {.struct_size = sizeof g, .images = 4, .batch = 4};
    ck_assert_int_eq(synthesizer(&s, &g), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "dfq_synthesizer_options_init"));
    end(&s);
}
END_TEST

/* Scales of rows: what the network says of itself, and what is refused. */
START_TEST(test_act_scale)
{
    scene s = begin();
    dfq_quantize_options o;
    dfq_graph *low;
    dfq_graph_info info = {.struct_size = sizeof info};
    int kinds[6] = {0};
    dfq_quantize_options_init(&o, sizeof o);
    ck_assert(o.act_scale == DFQ_ACT_SCALE_AUTO);
    o.act_scale = DFQ_ACT_SCALE_ROW;
    ck_assert_int_eq(dfq_graph_quantize(s.net, s.images, &o, &low), DFQ_OK);
    ck_assert_int_eq(dfq_graph_get_info(low, &info), DFQ_OK);
    ck_assert(info.act_scale == DFQ_ACT_SCALE_ROW && info.first_last_bits == 8);
    for (int32_t i = 0; i < info.quantizers; i++) {
        dfq_quantizer_info q = {.struct_size = sizeof q};
        ck_assert_int_eq(dfq_graph_get_quantizer(low, i, &q), DFQ_OK);
        ck_assert(q.kind >= 0 && q.kind < 6);
        kinds[q.kind]++;
        ck_assert(q.scales > 0 || q.kind >= DFQ_QUANTIZER_ROW);
    }
    /* one block: qkv, proj, fc1, fc2 and head; query, key and map; values */
    ck_assert(kinds[DFQ_QUANTIZER_ROW] == 8 && kinds[DFQ_QUANTIZER_COLUMN] == 1);
    ck_assert(kinds[DFQ_QUANTIZER_UNIFORM] + kinds[DFQ_QUANTIZER_LOG] == 0);
    dfq_quantizer *q;
    ck_assert_int_eq(dfq_graph_get_quantizer_handle(low, "blocks.0.attn.av.b", &q), DFQ_OK);
    dfq_tensor *scales;
    ck_assert_int_eq(dfq_quantizer_get_scales(q, &scales), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "finds them in each tensor"));
    dfq_quantizer_release(q);
    dfq_graph_release(low);
    ck_assert_int_eq(dfq_graph_get_info(s.net, &info), DFQ_OK);
    ck_assert(info.act_scale == 0 && info.first_last_bits == 32);
    o.mode = DFQ_MODE_PARITY;
    ck_assert_int_eq(quantize(&s, &o), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "set it to auto or tensor"));
    o.mode = DFQ_MODE_IMPROVED;
    o.act_scale = DFQ_ACT_SCALE_AUTO;
    ck_assert_int_eq(dfq_graph_quantize(s.net, s.images, &o, &low), DFQ_OK);
    ck_assert_int_eq(dfq_graph_get_info(low, &info), DFQ_OK);
    ck_assert(info.act_scale == DFQ_ACT_SCALE_ROW);
    dfq_graph_release(low);
    o.act_scale = 3;
    ck_assert_int_eq(quantize(&s, &o), DFQ_E_INVALID);
    end(&s);
}
END_TEST

/* Logits of the network quantized without images; the caller frees them. */
static dfq_tensor *without_images(const scene *s, const dfq_quantize_options *o)
{
    dfq_graph *low;
    dfq_tensor *z;
    ck_assert_msg(dfq_graph_quantize(s->net, NULL, o, &low) == DFQ_OK, "%s",
                  dfq_context_get_error(s->ctx));
    ck_assert_int_eq(dfq_graph_forward(low, s->images, &z), DFQ_OK);
    dfq_graph_release(low);
    return z;
}

/* Without images: the same bits for the same seed, others for another one or another number. */
START_TEST(test_without_images)
{
    scene s = begin();
    dfq_quantize_options o;
    dfq_tensor *z[4];
    dfq_graph *low;
    dfq_quantize_options_init(&o, sizeof o);
    ck_assert_int_eq(o.drawn_images, 0);
    z[0] = without_images(&s, NULL);
    z[1] = without_images(&s, &o);
    o.seed = 1;
    z[2] = without_images(&s, &o);
    o.seed = 0;
    o.drawn_images = 7;
    z[3] = without_images(&s, &o);
    size_t bytes = dfq_tensor_get_bytes(z[0]);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(memcmp(dfq_tensor_get_data(z[0]), dfq_tensor_get_data(z[i]), bytes) == 0,
                         i == 1);
    for (int i = 0; i < 4; i++) dfq_tensor_release(z[i]);
    o.act_scale = DFQ_ACT_SCALE_TENSOR;
    ck_assert_int_eq(dfq_graph_quantize(s.net, NULL, &o, &low), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(s.ctx), "static scales are found on images"));
    o.act_scale = DFQ_ACT_SCALE_AUTO;
    o.drawn_images = -1;
    ck_assert_int_eq(dfq_graph_quantize(s.net, NULL, &o, &low), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "drawn_images is -1"));
    end(&s);
}
END_TEST

/* Drawn images join those that are given, by their seed and number; static scales have none. */
START_TEST(test_drawn_beside_given)
{
    scene s = begin();
    dfq_quantize_options o;
    dfq_tensor *z[6];
    dfq_quantize_options_init(&o, sizeof o);
    for (int i = 0; i < 6; i++) {
        dfq_graph *low;
        o.drawn_images = (int[]){0, 5, 5, 5, 0, 5}[i];
        o.seed = i == 3;
        o.act_scale = i < 4 ? DFQ_ACT_SCALE_ROW : DFQ_ACT_SCALE_TENSOR;
        ck_assert_msg(dfq_graph_quantize(s.net, s.images, &o, &low) == DFQ_OK, "%s",
                      dfq_context_get_error(s.ctx));
        ck_assert_int_eq(dfq_graph_forward(low, s.images, &z[i]), DFQ_OK);
        dfq_graph_release(low);
    }
    size_t bytes = dfq_tensor_get_bytes(z[0]);
    static const int pairs[][3] = {{0, 1, 0}, {1, 2, 1}, {2, 3, 0}, {4, 5, 1}};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(memcmp(dfq_tensor_get_data(z[pairs[i][0]]),
                                dfq_tensor_get_data(z[pairs[i][1]]), bytes) == 0,
                         pairs[i][2]);
    for (int i = 0; i < 6; i++) dfq_tensor_release(z[i]);
    end(&s);
}
END_TEST

/* Grids of parity mode: each pair makes a network, what is no grid or no choice is refused. */
START_TEST(test_grids)
{
    scene s = begin();
    dfq_quantize_options o;
    dfq_quantize_options_init(&o, sizeof o);
    ck_assert(o.weight_grid == DFQ_WEIGHT_GRID_AUTO && o.act_grid == DFQ_ACT_GRID_AUTO);
    o.weight_grid = DFQ_WEIGHT_GRID_LSQ;
    ck_assert_int_eq(quantize(&s, &o), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "mode improved has its own"));
    o.mode = DFQ_MODE_PARITY;
    for (o.weight_grid = DFQ_WEIGHT_GRID_AUTO; o.weight_grid <= DFQ_WEIGHT_GRID_LSQ;
         o.weight_grid++)
        for (o.act_grid = DFQ_ACT_GRID_AUTO; o.act_grid <= DFQ_ACT_GRID_MINMAX; o.act_grid++)
            ck_assert_msg(quantize(&s, &o) == DFQ_OK, "%s", dfq_context_get_error(s.ctx));
    o.act_grid = DFQ_ACT_GRID_AUTO;
    ck_assert_int_eq(quantize(&s, &o), DFQ_E_INVALID);
    ck_assert_str_eq(dfq_context_get_error(s.ctx),
                     "weight_grid is 4, must be 0 to 3, and act_grid is 0, must be 0 to 2");
    end(&s);
}
END_TEST

/* Each part of rounding alone, none, and all; the result differs, and 0 is all of them. */
START_TEST(test_rounding)
{
    static const int32_t wrong[] = {-1, 17, 32};
    static const int32_t parts[] = {DFQ_ROUNDING_AUTO,  DFQ_ROUNDING_NEAREST, DFQ_ROUNDING_SEARCH,
                                    DFQ_ROUNDING_RIDGE, DFQ_ROUNDING_GPTQ,    DFQ_ROUNDING_BIAS};
    scene s = begin();
    dfq_quantize_options o;
    dfq_quantize_options_init(&o, sizeof o);
    ck_assert_int_eq(o.rounding, DFQ_ROUNDING_AUTO);
    for (int i = 0; i < 3; i++) {
        o.rounding = wrong[i];
        ck_assert_int_eq(quantize(&s, &o), DFQ_E_INVALID);
        ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "rounding is "));
    }
    for (int i = 0; i < 6; i++) {
        o.rounding = parts[i];
        ck_assert_msg(quantize(&s, &o) == DFQ_OK, "%s", dfq_context_get_error(s.ctx));
    }
    end(&s);
}
END_TEST

TCase *dfqt_api_options_case(void)
{
    TCase *tc = tcase_create("options");
    tcase_add_loop_test(tc, test_unfilled, 0, sizeof structs / sizeof structs[0]);
    tcase_add_test(tc, test_half_filled);
    tcase_add_test(tc, test_grids);
    tcase_add_test(tc, test_rounding);
    tcase_add_test(tc, test_act_scale);
    tcase_add_test(tc, test_without_images);
    tcase_add_test(tc, test_drawn_beside_given);
    return tc;
}
