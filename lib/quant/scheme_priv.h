/* Shared by the files of quant/. */
#ifndef DFQI_QUANT_SCHEME_PRIV_H
#define DFQI_QUANT_SCHEME_PRIV_H

#include "quant/scheme.h"

/* "blocks.0.attn.qkv" and slot 0 of a linear layer -> "blocks.0.attn.qkv.input". */
void dfqi_site_name(dfqi_op_kind op, const char *name, int32_t slot, char *out, size_t cap);
/* The site of an operand, -1 if it has none. */
int32_t dfqi_site_index(const dfqi_scheme *s, dfqi_op_kind op, const char *name, int32_t slot);

/* An attention map: the first operand of the product with the values. */
bool dfqi_site_is_map(const dfqi_site *site);

/* The forward graph of a network with frozen parameters, logits kept, operands shown to `rewrite`. */
dfq_status dfqi_float_graph(const dfqi_network *net, int64_t batch, dfqi_rewrite rewrite,
                            void *user, dfqi_graph **out, dfqi_id *out_x);
/* The same under the quantization pass with its operands kept; dry: nothing is quantized. */
dfq_status dfqi_pass_graph(const dfqi_scheme *s, const dfqi_network *net, int64_t batch, int dry,
                           dfqi_quant_pass *pass, dfqi_graph **out, dfqi_id *out_x);

/* Steps of the weights: error search per row, columns weighted by the mean square of the inputs
 * (moments[i] for site i, NULL: unweighted). */
dfq_status dfqi_calibrate_weights(dfqi_scheme *s, const dfqi_network *net, double *const *moments);

#endif
