/* The cases of the io suite, one file each, and what they share: a context whose memory is counted
 * and a folder of their own, made before and checked and removed after each test. */
#ifndef DFQT_IO_CASES_H
#define DFQT_IO_CASES_H

#include <check.h>

#include "base/context.h"

extern dfq_context *io_ctx;

TCase *io_case(const char *name); /* with the fixture */

/* A path in the test's folder; NULL: the folder itself. Valid until eight calls later. */
const char *io_path(const char *name);
void io_put(const char *path, const void *bytes, size_t size);
void io_put_text(const char *path, const char *text);
/* malloc'd content of a file. */
unsigned char *io_get(const char *path, size_t *out_size);
int io_entries(void);                    /* how many files and folders the test's folder holds */
const char *io_golden(const char *name); /* a path in tests/golden/io; fails the test if absent */

/* dfqt_asset(), which leaves nothing of the test's folder where it skips. */
void io_asset(const char *name, char *buf, size_t cap);

/* The status, and an error text of one line without a trailing dot that holds `part`. */
void io_fails(dfq_status got, dfq_status want, const char *part);
void io_works(dfq_status got);

/* The sweep of support/fail_alloc.h. */
void io_sweep(dfq_status (*scenario)(dfq_context *ctx, void *arg), void *arg, int32_t threads);

TCase *dfqt_file_case(void);
TCase *dfqt_folder_case(void);
TCase *dfqt_json_case(void);
TCase *dfqt_look_case(void);
TCase *dfqt_safetensors_case(void);
TCase *dfqt_safetensors_broken_case(void);
TCase *dfqt_shards_case(void);
TCase *dfqt_image_case(void);
TCase *dfqt_golden_case(void);
TCase *dfqt_dataset_case(void);
TCase *dfqt_class_names_case(void);
TCase *dfqt_real_case(void);

#endif
