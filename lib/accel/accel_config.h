/* Accelerator descriptions. An accelerator is an array of processing elements, each with a register
 * file, and a global buffer and DRAM. A description whose fields have several values stands for all
 * combinations of them. */
#ifndef DFQI_ACCEL_ACCEL_CONFIG_H
#define DFQI_ACCEL_ACCEL_CONFIG_H

#include "accel/energy.h"

typedef enum dfqi_dataflow {
    DFQI_FLOW_WS = 0, /* weight-stationary: filters along x, channels along y */
    DFQI_FLOW_OS,     /* output-stationary: filters or columns along x, pixels along y */
    DFQI_FLOW_RS,     /* row-stationary: output rows along x, filter rows along y */
    DFQI_FLOW_COUNT
} dfqi_dataflow;

const char *dfqi_dataflow_name(int32_t flow); /* "ws" */
const char *dfqi_pe_name(int32_t pe);         /* "fixed" */

/* pJ of one word of word_bits. */
typedef struct dfqi_prices {
    double mac_pj; /* 0: by the widths of the operands */
    double rf_pj;
    double rf_fill_pj;
    double reg_pj; /* latches of elements that keep one operand only in their register file */
    double noc_pj;
    double glb_read_pj, glb_write_pj, glb_fill_pj; /* fill: what comes from DRAM */
    double dram_pj;
    double static_mw;
} dfqi_prices;

/* One accelerator. */
typedef struct dfqi_accel_config {
    int32_t pe_x, pe_y;
    int64_t rf_words;
    int32_t dataflow, pe; /* dfqi_dataflow, dfqi_pe */
    int32_t word_bits, psum_bits;
    int32_t float_bits;      /* of values that no quantizer rounds, in DRAM and buffer */
    int32_t fused_attention; /* 1: scores may stay in the buffer (fused_attention.h) */
    double glb_kb;
    double clock_mhz;
    double dram_gb_per_s, glb_gb_per_s;
    dfqi_prices price;
} dfqi_accel_config;

/* um2 in mm2: elements and buffer, and 5 % for network and control. */
double dfqi_accel_config_mm2(const dfqi_accel_config *t);

enum { DFQI_VALUES_MAX = 64, DFQI_CONFIGS_MAX = 1000000 };

typedef struct dfqi_values {
    int32_t n;
    double v[DFQI_VALUES_MAX]; /* ascending as given */
} dfqi_values;

/* What a description stands for. Configuration i: pe_x is its slowest digit, then pe_y, rf_words,
 * dataflow, pe_type, glb_kb. */
typedef struct dfqi_accel_space {
    char name[64];
    dfqi_values pe_x, pe_y, rf_words, dataflow, pe, glb_kb;
    int32_t word_bits, psum_bits, float_bits, fused_attention;
    double clock_mhz, dram_gb_per_s, glb_gb_per_s;
    int32_t priced; /* 1: `price` was given, 0: by energy.h */
    dfqi_prices price;
} dfqi_accel_space;

int64_t dfqi_accel_space_count(const dfqi_accel_space *s);
/* Do they stand for the same accelerators, in the same order? */
bool dfqi_accel_space_equal(const dfqi_accel_space *a, const dfqi_accel_space *b);
void dfqi_accel_space_config(const dfqi_accel_space *s, int64_t i, dfqi_accel_config *out);

/* A preset's name, else the path of a JSON file. */
DFQI_CHECKED dfq_status dfqi_accel_space_load(dfq_context *ctx, const char *name,
                                              dfqi_accel_space *out);
/* JSON; `name` is what error texts call it. */
DFQI_CHECKED dfq_status dfqi_accel_space_parse(dfq_context *ctx, const char *name, const char *text,
                                               size_t size, dfqi_accel_space *out);
/* Preset `i`, or NULL behind the last. */
const char *dfqi_preset_name(int32_t i);

#endif
