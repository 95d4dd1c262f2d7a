/* Mappings as text: "DRAM M3 N4 | GLB C2 | SPACE P13 R3 | RF Q13 N4 S3". Each level lists its
 * loops, outermost first; SPACE lists the spatial loops. A level without loops may be left out. */
#ifndef DFQI_ACCEL_MAPPING_TEXT_H
#define DFQI_ACCEL_MAPPING_TEXT_H

#include "accel/cost.h"

enum { DFQI_MAPPING_TEXT_MAX = 320 };

void dfqi_mapping_print(const dfqi_mapping *m, char out[DFQI_MAPPING_TEXT_MAX]);
/* DFQ_E_INVALID if the text is none, if it does not cover the layer or if it does not fit the
 * accelerator. The layer is resolved. */
DFQI_CHECKED dfq_status dfqi_mapping_parse(dfq_context *ctx, const char *text, const dfqi_layer *l,
                                           const dfqi_accel_config *t, dfqi_mapping *out);

#endif
