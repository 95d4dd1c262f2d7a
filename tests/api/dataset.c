/* dfq/dataset.h: options, and what is told of a data set. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cases.h"

static dfq_context *ctx;
static char folder[] = "/tmp/dfq_api_data_XXXXXX";

static char *path(const char *name)
{
    static char full[96];
    snprintf(full, sizeof full, "%s%s", folder, name);
    return full;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(path(name), "wb");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void setup(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(mkdir(path("/n3"), 0777), 0);
    put("/n3/a.png", ""); /* pictures are decoded when they are asked for */
    put("/n3/b.gif", "");
    put("/labels", "folder,label\nn3,3\n");
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
}

static void teardown(void)
{
    dfq_context_release(ctx);
    unlink(path("/n3/a.png"));
    unlink(path("/n3/b.gif"));
    unlink(path("/labels"));
    rmdir(path("/n3"));
    rmdir(folder);
}

START_TEST(test_options)
{
    char labels[96];
    dfq_dataset_options o;
    dfq_dataset_info info = {.struct_size = sizeof info};
    dfq_dataset *d;
    snprintf(labels, sizeof labels, "%s", path("/labels"));
    dfq_dataset_options_init(&o, sizeof o);
    o.classes = 5;
    o.labels_from = labels;
    ck_assert_int_eq(dfq_dataset_open_with(ctx, folder, &o, &d), DFQ_OK);
    ck_assert_int_eq(dfq_dataset_get_label(d, 0), 3);
    ck_assert_int_eq(dfq_dataset_get_info(d, &info), DFQ_OK);
    ck_assert_int_eq(info.struct_size, sizeof info);
    ck_assert_int_eq(info.kind, DFQ_DATASET_FOLDERS);
    ck_assert(info.count == 1 && info.folders == 1 && info.left_out == 1 && info.cropped == 0);
    dfq_dataset_release(d);
    ck_assert_int_eq(dfq_dataset_open_with(ctx, folder, NULL, &d), DFQ_OK);
    ck_assert_int_eq(dfq_dataset_get_label(d, 0), 0);
    info.struct_size = 0;
    ck_assert_int_eq(dfq_dataset_get_info(d, &info), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_dataset_get_info(d, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_dataset_get_info(NULL, &info), DFQ_E_INVALID);
    dfq_dataset_release(d);
    o.classes = 3;
    ck_assert_int_eq(dfq_dataset_open_with(ctx, folder, &o, &d), DFQ_E_SHAPE);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "label is 3"));
    o.struct_size = 0;
    ck_assert_int_eq(dfq_dataset_open_with(ctx, folder, &o, &d), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_dataset_open_with(NULL, folder, NULL, &d), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_dataset_open_with(ctx, NULL, NULL, &d), DFQ_E_INVALID);
}
END_TEST

static void keep_line(int32_t level, const char *line, void *user)
{
    ck_assert_int_eq(level, DFQ_LOG_WARNING);
    snprintf(user, 128, "%s", line);
}

/* Fewer folders than classes are worth a line: it goes where the context says at that time. */
START_TEST(test_log_changes)
{
    char lines[2][128] = {"", ""};
    dfq_dataset *d;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dfq_context_set_log(ctx, i < 2 ? keep_line : NULL, lines[i % 2]), DFQ_OK);
        ck_assert_int_eq(dfq_dataset_open(ctx, folder, 5, &d), DFQ_OK);
        dfq_dataset_release(d);
        ck_assert_int_eq(lines[0][0] != 0, i == 0);
        ck_assert_int_eq(lines[1][0] != 0, i == 1);
        lines[0][0] = lines[1][0] = 0;
    }
}
END_TEST

/* Names of classes: a file of them, what a saved network keeps, and labels that are names. */
START_TEST(test_class_names)
{
    char names[96], labels[96];
    dfq_vit_options v;
    dfq_load_options l;
    dfq_dataset_options o;
    dfq_graph *g, *named, *again;
    dfq_tensor *bytes;
    dfq_dataset *d;
    put("/labels", "[\"cat\", \"dog\", \"emu\"]");
    snprintf(names, sizeof names, "%s", path("/labels"));
    dfq_vit_options_init(&v, sizeof v);
    v.depth = 1;
    v.classes = 3;
    ck_assert_int_eq(dfq_graph_create(ctx, &v, &g), DFQ_OK);
    ck_assert_str_eq(dfq_graph_get_class_name(g, 0), "");
    ck_assert_int_eq(dfq_graph_save_to_memory(g, 0, &bytes), DFQ_OK);
    dfq_load_options_init(&l, sizeof l);
    l.class_names = names;
    ck_assert_int_eq(dfq_graph_load_from_memory(ctx, dfq_tensor_get_data(bytes),
                                                dfq_tensor_get_bytes(bytes), &l, &named),
                     DFQ_OK);
    ck_assert_str_eq(dfq_graph_get_class_name(named, 1), "dog");
    ck_assert_str_eq(dfq_graph_get_class_name(named, 3), "");
    ck_assert_str_eq(dfq_graph_get_class_name(named, -1), "");
    dfq_tensor_release(bytes);
    ck_assert_int_eq(dfq_graph_save_to_memory(named, 0, &bytes), DFQ_OK);
    ck_assert_int_eq(dfq_graph_load_from_memory(ctx, dfq_tensor_get_data(bytes),
                                                dfq_tensor_get_bytes(bytes), NULL, &again),
                     DFQ_OK);
    ck_assert_str_eq(dfq_graph_get_class_name(again, 2), "emu");
    put("/labels", "file,label\nn3/a.png,emu\n");
    snprintf(labels, sizeof labels, "%s", path("/labels"));
    dfq_dataset_options_init(&o, sizeof o);
    o.labels_from = labels;
    o.graph = again;
    ck_assert_int_eq(dfq_dataset_open_with(ctx, folder, &o, &d), DFQ_OK);
    ck_assert_int_eq(dfq_dataset_get_label(d, 0), 2);
    o.graph = g;
    dfq_dataset_release(d);
    ck_assert_int_eq(dfq_dataset_open_with(ctx, folder, &o, &d), DFQ_E_CORRUPT);
    dfq_tensor_release(bytes);
    dfq_graph_release(g);
    dfq_graph_release(named);
    dfq_graph_release(again);
}
END_TEST

TCase *dfqt_api_dataset_case(void)
{
    TCase *c = tcase_create("dataset");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_options);
    tcase_add_test(c, test_class_names);
    tcase_add_test(c, test_log_changes);
    return c;
}
