/* Describes an accelerator as text and JSON. */
#ifndef DFQ_TOOLS_HARDWARE_H
#define DFQ_TOOLS_HARDWARE_H

#include <dfq/accelerator.h>

#include "json.h"

enum { HARDWARE_TEXT = 192 };

/* "16 x 16 elements (rs, fixed), ..."; returns `out`. */
char *hardware_words(const dfq_accelerator_config *hw, char out[HARDWARE_TEXT]);

/* Members of an open object. */
void hardware_json(struct json *j, const dfq_accelerator_config *hw);

#endif
