/* The table of element types, and the conversions of those that dfqi_dtype does not have. */
#include "io/st_types.h"

#include <math.h>
#include <string.h>

static void from_f64(const unsigned char *in, size_t n, void *out)
{
    float *to = out;
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, in + 8 * i, sizeof v);
        to[i] = (float)v;
    }
}

/* 4 bits of exponent, 3 of mantissa; no infinity, one NaN (Micikevicius et al. 2022, FP8 Formats
 * for Deep Learning). */
static float e4m3(unsigned char v)
{
    enum { BIAS = 7, NONE = 0x7F };
    int exponent = v >> 3 & 15, mantissa = v & 7;
    float size = exponent ? ldexpf((float)(8 + mantissa), exponent - BIAS - 3)
                          : ldexpf((float)mantissa, 1 - BIAS - 3);
    if ((v & NONE) == NONE) size = NAN;
    return v & 128 ? -size : size;
}

static void from_e4m3(const unsigned char *in, size_t n, void *out)
{
    float *to = out;
    for (size_t i = 0; i < n; i++) to[i] = e4m3(in[i]);
}

/* 5 bits of exponent, 2 of mantissa: the upper half of an F16. */
static void from_e5m2(const unsigned char *in, size_t n, void *out)
{
    float *to = out;
    for (size_t i = 0; i < n; i++) to[i] = dfqi_half_to_float((uint16_t)(in[i] << 8));
}

static void from_i16(const unsigned char *in, size_t n, void *out)
{
    int32_t *to = out;
    for (size_t i = 0; i < n; i++) to[i] = (int16_t)(in[2 * i] | in[2 * i + 1] << 8);
}

static void from_u16(const unsigned char *in, size_t n, void *out)
{
    int32_t *to = out;
    for (size_t i = 0; i < n; i++) to[i] = in[2 * i] | in[2 * i + 1] << 8;
}

static void from_u32(const unsigned char *in, size_t n, void *out)
{
    int64_t *to = out;
    for (size_t i = 0; i < n; i++) {
        uint32_t v;
        memcpy(&v, in + 4 * i, sizeof v);
        to[i] = v;
    }
}

/* Numbers beyond I64 become its largest. */
static void from_u64(const unsigned char *in, size_t n, void *out)
{
    int64_t *to = out;
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, in + 8 * i, sizeof v);
        to[i] = v > INT64_MAX ? INT64_MAX : (int64_t)v;
    }
}

const dfqi_st_type *dfqi_st_type_find(const char *name)
{
    static const dfqi_st_type types[] = {{"F32", 4, DFQI_F32, NULL},
                                         {"F16", 2, DFQI_F16, NULL},
                                         {"BF16", 2, DFQI_BF16, NULL},
                                         {"U8", 1, DFQI_U8, NULL},
                                         {"I8", 1, DFQI_I8, NULL},
                                         {"I32", 4, DFQI_I32, NULL},
                                         {"I64", 8, DFQI_I64, NULL},
                                         {"F64", 8, DFQI_F32, from_f64},
                                         {"F8_E4M3", 1, DFQI_F32, from_e4m3},
                                         {"F8_E5M2", 1, DFQI_F32, from_e5m2},
                                         {"BOOL", 1, DFQI_U8, NULL},
                                         {"I16", 2, DFQI_I32, from_i16},
                                         {"U16", 2, DFQI_I32, from_u16},
                                         {"U32", 4, DFQI_I64, from_u32},
                                         {"U64", 8, DFQI_I64, from_u64}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0) return &types[i];
    return NULL;
}
