/* Declarations shared by the files of quant/. */
#ifndef DFQI_QUANT_SCHEME_PRIV_H
#define DFQI_QUANT_SCHEME_PRIV_H

#include "quant/scheme.h"

/* "blocks.0.attn.qkv" and slot 0 of a linear layer -> "blocks.0.attn.qkv.input". */
void dfqi_site_name(dfqi_op_kind op, const char *name, int32_t slot, char *out, size_t cap);

/* Codes of a uniform grid, a weight or a grid found at run time, signed or from 0, and those of a
 * logarithmic grid; by its bits. */
void dfqi_site_set_codes(dfqi_site *site, int is_signed);
void dfqi_site_set_log(dfqi_site *site);

void dfqi_site_fini(dfqi_site *site);

/* Is a CNN's value the image, or what a ReLU made, whose output has a site? */
bool dfqi_has_codes(const dfqi_graph *g, dfqi_id value);

/* The mode's own grids in place of AUTO, where there is a choice. */
DFQI_CHECKED dfq_status dfqi_choose_grids(const dfqi_network *net, dfqi_mode mode, int32_t act_bits,
                                          dfqi_grids *grids);
/* Of groups of which no row is made, those that were chosen are given up, others refused. */
DFQI_CHECKED dfq_status dfqi_need_group(const dfqi_network *net, bool chosen, dfqi_scheme *s);

/* An attention map: the first operand of the product with the values. */
bool dfqi_site_is_map(const dfqi_site *site);

/* The forward graph of a network with frozen parameters. The logits are kept, and `rewrite` is
 * called for the operands. */
DFQI_CHECKED dfq_status dfqi_float_graph(const dfqi_network *net, int64_t batch,
                                         dfqi_rewrite rewrite, void *user, dfqi_graph **out,
                                         dfqi_id *out_x);
/* The same under the quantization pass, with its operands kept: all operands and the logits, or
 * only the operand of site `keep_site` (-1: all). dry: nothing is quantized. */
DFQI_CHECKED dfq_status dfqi_pass_graph(const dfqi_scheme *s, const dfqi_network *net,
                                        int64_t batch, int dry, int32_t keep_site,
                                        dfqi_quant_pass *pass, dfqi_graph **out, dfqi_id *out_x);
/* The same for a CNN whose ranges are tracked: pass->scale, zero_point and range are kept. */
DFQI_CHECKED dfq_status dfqi_track_graph(const dfqi_scheme *s, const dfqi_network *net,
                                         int64_t batch, dfqi_quant_pass *pass, dfqi_graph **out,
                                         dfqi_id *out_x);

/* The scale of each row of w[O,..] by error search: column factors col[K] and weights moment[K] of
 * the squared error may be NULL. Error and power are sums over the weight, out_power may be
 * NULL. */
DFQI_CHECKED dfq_status dfqi_search_weight(dfq_context *ctx, const dfq_tensor *w, int bits,
                                           const float *col, const double *moment, float *scales,
                                           double *out_error, double *out_power);

/* Scales of the weights: error search per row, columns weighted by the mean square of the inputs
 * (moments[i] for site i, NULL: unweighted). `moments` is not read where no weight has an input
 * site. */
DFQI_CHECKED dfq_status dfqi_calibrate_weights(dfqi_scheme *s, const dfqi_network *net,
                                               double *const *moments);

/* What rounding keeps of all images at most; of more images some are left out. */
enum { DFQI_ROUND_LIVE_BYTES = 1 << 30 };

/* Rounds the weights of `student` to their grids so that it follows `teacher` on the images
 * (improved mode, after the scales are found); its biases take up the mean error. Reports
 * progress ("round"). */
DFQI_CHECKED dfq_status dfqi_round_weights(dfqi_scheme *s, const dfqi_network *teacher,
                                           dfqi_network *student, const dfqi_images *images);

#endif
