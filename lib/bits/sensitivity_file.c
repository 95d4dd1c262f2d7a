/* Checkpoints of measured damages: state I64 [1] (layers done), damages I64 [14 layers] (bits of
 * doubles). */
#include "bits/sensitivity_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "io/arrays.h"

enum { MARKS = 4 };

static void make_marks(const dfqi_sensitivity *s, const char *options, dfqi_mark marks[MARKS])
{
    static const dfqi_mark names[MARKS] = {
        {.key = "dfq.sensitivity", .what = "version", .text = "2"},
        {.key = "dfq.sensitivity.options", .what = "options"},
        {.key = "dfq.sensitivity.network", .what = "network"},
        {.key = "dfq.sensitivity.images", .what = "images"}};
    size_t pixels = (size_t)(s->mixed.n * dfqi_arch_pixels(&s->mixed.base->arch));
    memcpy(marks, names, sizeof names);
    snprintf(marks[1].text, sizeof marks[1].text, "%s", options);
    snprintf(marks[2].text, sizeof marks[2].text, "%016" PRIx64, dfqi_network_hash(s->mixed.base));
    snprintf(marks[3].text, sizeof marks[3].text, "%016" PRIx64,
             dfqi_hash(DFQI_HASH_START, s->mixed.images, pixels * sizeof(float)));
}

static void list(dfqi_sensitivity *s, int64_t *done, dfqi_arrays *out)
{
    *out = (dfqi_arrays){.ctx = s->mixed.ctx};
    dfqi_arrays_add(out, "", "state", DFQI_I64, 1, done, 0);
    dfqi_arrays_add(out, "", "damages", DFQI_I64, 2 * DFQI_BITS_WIDTHS * (int64_t)s->n, s->damages,
                    0);
}

dfq_status dfqi_sensitivity_save(dfqi_sensitivity *s, const char *options, const char *path)
{
    dfqi_mark marks[MARKS];
    dfqi_arrays all;
    int64_t done = s->done;
    make_marks(s, options, marks);
    list(s, &done, &all);
    dfq_status status =
        all.status == DFQ_OK ? dfqi_arrays_write(&all, path, MARKS, marks) : all.status;
    dfqi_arrays_fini(&all);
    return status;
}

/* Values that the job could not have written. */
static dfq_status check(const dfqi_sensitivity *s, const dfqi_safetensors *st, const char *path)
{
    int64_t done;
    memcpy(&done, dfqi_st_find(st, "state")->data, sizeof done);
    if (done >= 0 && done <= s->n) return DFQ_OK;
    return dfqi_fail(s->mixed.ctx, DFQ_E_CORRUPT,
                     "%s: it tells of %lld layers of %d; the checkpoint is damaged", path,
                     (long long)done, s->n);
}

dfq_status dfqi_sensitivity_load(dfqi_sensitivity *s, const char *options, const char *path)
{
    dfqi_mark marks[MARKS];
    dfqi_arrays all;
    dfqi_safetensors st;
    int64_t done = 0;
    make_marks(s, options, marks);
    DFQI_TRY(
        dfqi_arrays_open(s->mixed.ctx, path, "a checkpoint of sensitivities", MARKS, marks, &st));
    list(s, &done, &all);
    dfq_status status = all.status == DFQ_OK ? dfqi_arrays_check(&all, &st, path) : all.status;
    if (status == DFQ_OK) status = check(s, &st, path);
    if (status == DFQ_OK) {
        dfqi_arrays_take(&all, &st);
        dfqi_sensitivity_resume(s, (int32_t)done);
    }
    dfqi_arrays_fini(&all);
    dfqi_st_fini(&st);
    return status;
}
