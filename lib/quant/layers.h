/* Per-layer bit widths, and layers that stay float. A layer is a product or a ReLU, named as in the
 * graph: "blocks.0.attn.qkv" has the sites "blocks.0.attn.qkv.weight" and ".input".
 *
 * As text, in files and for people, the format is "NAME=w8a8,NAME=w8,NAME=a8,NAME=float". A star in
 * a name matches any characters. Later entries win. */
#ifndef DFQI_QUANT_LAYERS_H
#define DFQI_QUANT_LAYERS_H

#include <dfq/quantizer.h>

#include "quant/scheme.h"

/* Applies `n` layer configurations, `stride` bytes apart, to a new scheme without values. For an
 * unknown layer DFQ_E_INVALID names the nearest ones. */
DFQI_CHECKED dfq_status dfqi_scheme_configure(dfqi_scheme *s, const dfq_layer_config *first,
                                              size_t stride, int32_t n);
/* The same from a text; DFQ_E_INVALID if it is malformed. */
DFQI_CHECKED dfq_status dfqi_scheme_configure_text(dfqi_scheme *s, const char *text);

/* The layer that a site belongs to: "blocks.0.attn.qkv" of "blocks.0.attn.qkv.weight". */
void dfqi_site_layer(const dfqi_site *site, char out[80]);

/* Does a name match a pattern with stars? */
bool dfqi_name_matches(const char *pattern, const char *name);

#endif
