/* Layers with widths of their own, and layers that stay float. A layer is a product or a ReLU by
 * its name in the graph: "blocks.0.attn.qkv" has the sites "blocks.0.attn.qkv.weight" and ".input".
 *
 * As text, in files and for people: "NAME=w8a8,NAME=w8,NAME=a8,NAME=float", in which a name may
 * have stars, each of which stands for any characters; later entries win. */
#ifndef DFQI_QUANT_LAYERS_H
#define DFQI_QUANT_LAYERS_H

#include <dfq/quantizer.h>

#include "quant/scheme.h"

/* Gives a new scheme, which has no values yet, what `n` configurations say; they lie `stride` bytes
 * apart. DFQ_E_INVALID names the layers near one that is not there. */
DFQI_CHECKED dfq_status dfqi_scheme_configure(dfqi_scheme *s, const dfq_layer_config *first,
                                              size_t stride, int32_t n);
/* The same from a text; DFQ_E_INVALID where it is none. */
DFQI_CHECKED dfq_status dfqi_scheme_configure_text(dfqi_scheme *s, const char *text);

/* Does a name match a pattern with stars? */
bool dfqi_name_matches(const char *pattern, const char *name);

#endif
