/* Properties of a network that its tensors do not hold: for each its value as text, and the source
 * of that value. */
#ifndef DFQI_NN_PROPERTY_H
#define DFQI_NN_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>

#include <dfq/graph.h>

typedef enum dfqi_prop {
    DFQI_PROP_IMAGE = 0,
    DFQI_PROP_PATCH,
    DFQI_PROP_GRID,
    DFQI_PROP_HEADS,
    DFQI_PROP_STEM,
    DFQI_PROP_BOTTLENECK,
    DFQI_PROP_ACTIVATION,
    DFQI_PROP_EPS,
    DFQI_PROP_POOLING,
    DFQI_PROP_PADDING,
    DFQI_PROP_CONV_PADDING,
    DFQI_PROP_MEAN,
    DFQI_PROP_STD,
    DFQI_PROP_RESIZE,
    DFQI_PROP_CROP,
    DFQI_PROP_INTERPOLATION,
    DFQI_PROP_COUNT
} dfqi_prop;

/* DFQI_PROP_BIT(HEADS): of a set of properties. */
#define DFQI_PROP_BIT(p) (1u << DFQI_PROP_##p)

struct dfqi_arch;

/* The name of a property is its metadata key, except the crop's key: "crop_pct". */
const char *dfqi_prop_name(dfqi_prop p);
/* DFQ_DECIDES_*, or'ed. */
int32_t dfqi_prop_decides(dfqi_prop p);
/* Does the family have this property? */
bool dfqi_prop_applies(const struct dfqi_arch *a, dfqi_prop p);
/* The property's value as metadata text, with a decimal point in any locale. Returns `text`. */
enum { DFQI_PROP_TEXT = 64 };
const char *dfqi_prop_text(const struct dfqi_arch *a, dfqi_prop p, char text[DFQI_PROP_TEXT]);
/* Every property that applies comes from `source`, or only those that were assumed so far. */
void dfqi_prop_from(struct dfqi_arch *a, int32_t source);

/* The words that metadata use for a value, by number; NULL after the last. */
extern const char *const dfqi_interpolation_words[],
    *const dfqi_stem_words[], *const dfqi_padding_words[],
                                  *const dfqi_conv_padding_words[],
                                      *const dfqi_bottleneck_words[],
                                          *const dfqi_vit_pooling_words[],
                                              *const dfqi_vit_activation_words[];
/* "gelu", "relu", "relu6": the one that the family computes; "token", "avg": how it pools. */
const char *dfqi_activation_word(const struct dfqi_arch *a);
const char *dfqi_pooling_word(const struct dfqi_arch *a);

#endif
