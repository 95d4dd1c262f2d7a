/* The files and handles of an explorer's tests. */
#include "api/explorer_scene.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IMAGES = 40, RECORD = 3073 };

static const char space_json[] =
    "{\"dfq_space\": 1, \"name\": \"three\", \"network\": \"mbconv\", \"image_px\": 32, "
    "\"classes\": 2,"
    " \"stem\": 8, \"first\": 8, \"head\": 16, \"stages\": [{\"width\": 8, \"cells\": 3, "
    "\"stride\": 2}],"
    " \"choices\": [{\"kernel\": 3, \"expand\": 1}, {\"kernel\": 5, \"expand\": 2}]}";
static const char accel_json[] =
    "{\"pe_x\": [8, 12], \"pe_y\": 8, \"rf_words\": [16, 64], \"dataflow\": [\"ws\", \"os\"],"
    " \"pe_type\": \"fixed\", \"word_bits\": 16, \"psum_bits\": 16, \"glb_kb\": 108,"
    " \"clock_mhz\": 200, \"dram_gb_per_s\": 3.2, \"glb_gb_per_s\": 25.6}";

dfqt_scene scene;

static void write_file(int which, const void *bytes, size_t size)
{
    FILE *f = fopen(scene.files[which], "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

void dfqt_scene_setup(void)
{
    static unsigned char records[IMAGES * RECORD];
    for (int i = 0; i < FILES; i++) {
        strcpy(scene.files[i], "/tmp/dfq-explorer-XXXXXX");
        int fd = mkstemp(scene.files[i]);
        ck_assert_int_ge(fd, 0);
        close(fd);
    }
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < RECORD; k++)
            records[i * RECORD + k] = (unsigned char)(k == 0 ? i % 2 : (k * 7 + i * 31) % 251);
    write_file(SPACE, space_json, sizeof space_json - 1);
    write_file(ACCEL, accel_json, sizeof accel_json - 1);
    write_file(PICTURES, records, sizeof records);
    ck_assert_int_eq(dfq_context_create(NULL, &scene.context), DFQ_OK);
    ck_assert_int_eq(dfq_dataset_open(scene.context, scene.files[PICTURES], 2, &scene.pictures),
                     DFQ_OK);
    ck_assert_int_eq(dfq_accelerator_load(scene.context, scene.files[ACCEL], &scene.accel), DFQ_OK);
}

void dfqt_scene_teardown(void)
{
    dfq_accelerator_release(scene.accel);
    dfq_dataset_release(scene.pictures);
    dfq_context_release(scene.context);
    for (int i = 0; i < FILES; i++) remove(scene.files[i]);
}

dfq_explorer_options dfqt_short_job(void)
{
    dfq_explorer_options o;
    dfq_explorer_options_init(&o, sizeof o);
    ck_assert_int_eq(o.evaluator, DFQ_EVALUATOR_TABLES);
    ck_assert_int_eq(o.evaluator_steps, 12000);
    ck_assert_int_eq(o.hw_generator_steps, 1000);
    o.warmup_steps = o.train_steps = 2;
    o.weight_steps = 1;
    o.sampled_paths = 2;
    o.batch = 4;
    o.evaluator = DFQ_EVALUATOR_NETWORKS;
    o.evaluator_steps = 4000;
    o.hw_generator_steps = 100;
    return o;
}

dfq_status dfqt_create_explorer(const dfq_explorer_options *o, dfq_explorer **out)
{
    const dfq_constraint area = {sizeof(dfq_constraint), DFQ_EXPLORE_AREA, 0.6};
    dfq_solver_options s;
    dfq_solver_options_init(&s, sizeof s);
    s.steps = 4;
    return dfq_explorer_create(scene.context, scene.files[SPACE], scene.accel, scene.pictures,
                               &area, 1, o, &s, out);
}
