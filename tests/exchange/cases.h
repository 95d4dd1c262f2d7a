/* The cases of the exchange suite, one file each, and what they share. */
#ifndef DFQT_EXCHANGE_CASES_H
#define DFQT_EXCHANGE_CASES_H

#include <check.h>
#include <onnx.pb-c.h>

#include "exchange/onnx.h"

TCase *dfqt_float_case(void);
TCase *dfqt_quantized_case(void);
TCase *dfqt_failure_case(void);
TCase *dfqt_import_case(void);
TCase *dfqt_round_trip_case(void);

/* The file of a network, read back and checked: values have one name each and are there before they
 * are read, all are read, the output is "logits". Free it with onnx__model_proto__free_unpacked. */
Onnx__ModelProto *dfqt_export(const dfqi_model *m, const dfqi_onnx_options *o);
/* Nodes of a type. */
int dfqt_count(const Onnx__ModelProto *p, const char *type);
/* The constant of this name, or NULL. */
const Onnx__TensorProto *dfqt_constant(const Onnx__ModelProto *p, const char *name);
/* The value of a metadata key, or NULL. */
const char *dfqt_meta(const Onnx__ModelProto *p, const char *key);
/* Are n values the wanted ones, but for `bar` times the largest of these? */
void dfqt_near(const float *have, const float *want, int n, double bar);

#endif
