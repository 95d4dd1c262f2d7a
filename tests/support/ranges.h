/* Checks that an options struct's ranges are enforced: each field is set to its least and its most,
 * which are taken, and to what is just outside, which is refused by a text that names the field. */
#ifndef DFQT_RANGES_H
#define DFQT_RANGES_H

#include <check.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/context.h"

typedef enum dfqt_field { DFQT_I32, DFQT_I64, DFQT_F32, DFQT_F64 } dfqt_field;

typedef struct dfqt_range {
    const char *name;
    size_t at;
    dfqt_field kind;
    double least, most;
} dfqt_range;

/* A row for field `name` of struct `type`. */
#define DFQT_RANGE(type, name, kind, least, most)                                                  \
    {                                                                                              \
#name, offsetof(type, name), kind, (double)(least), (double)(most)                         \
    }

enum { DFQT_OPTIONS_MAX = 512 };

/* Sets the field to v, or for side -1 or 1 to the number next to v on that side. */
static inline void dfqt_range_set(const dfqt_range *r, void *options, double v, int side)
{
    unsigned char *at = (unsigned char *)options + r->at;
    float f = side ? nextafterf((float)v, (float)(side * INFINITY)) : (float)v;
    double d = side ? nextafter(v, side * (double)INFINITY) : v;
    int32_t small = (int32_t)((int64_t)v + side);
    int64_t whole = (int64_t)v + side;
    switch (r->kind) {
    case DFQT_I32:
        memcpy(at, &small, sizeof small);
        break;
    case DFQT_I64:
        memcpy(at, &whole, sizeof whole);
        break;
    case DFQT_F32:
        memcpy(at, &f, sizeof f);
        break;
    default:
        memcpy(at, &d, sizeof d);
        break;
    }
}

/* `check` judges options; `defaults` has the `size` bytes that the other fields keep. */
static inline void dfqt_ranges(dfq_context *ctx, const dfqt_range *rows, size_t n,
                               const void *defaults, size_t size,
                               dfq_status (*check)(dfq_context *ctx, const void *options))
{
    union {
        double align;
        unsigned char bytes[DFQT_OPTIONS_MAX];
    } o;
    char want[64];
    ck_assert(size <= sizeof o.bytes);
    for (size_t i = 0; i < n; i++) {
        const dfqt_range *r = &rows[i];
        int real = r->kind == DFQT_F32 || r->kind == DFQT_F64;
        snprintf(want, sizeof want, "%s is ", r->name);
        for (int k = 0; k < 4 + real; k++) {
            double v = k == 4 ? (double)NAN : k < 2 ? r->least : r->most;
            memcpy(o.bytes, defaults, size);
            dfqt_range_set(r, o.bytes, v, k == 1 ? -1 : k == 3 ? 1 : 0);
            dfq_status status = check(ctx, o.bytes);
            if (k == 0 || k == 2)
                ck_assert_msg(status == DFQ_OK, "%s %g: %s", r->name, v, ctx->error);
            else
                ck_assert_msg(status == DFQ_E_INVALID && strstr(ctx->error, want),
                              "%s beside %g is taken: %s", r->name, v, ctx->error);
        }
    }
}

#endif
