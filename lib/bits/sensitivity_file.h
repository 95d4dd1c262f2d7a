/* Checkpoints of measured damages. */
#ifndef DFQI_BITS_SENSITIVITY_FILE_H
#define DFQI_BITS_SENSITIVITY_FILE_H

#include "bits/sensitivity.h"

/* `options`: a text of what decides the damages beside network and images. */
DFQI_CHECKED dfq_status dfqi_sensitivity_save(dfqi_sensitivity *s, const char *options,
                                              const char *path);
/* DFQ_E_INVALID: of other options, network or images; then nothing has changed. */
DFQI_CHECKED dfq_status dfqi_sensitivity_load(dfqi_sensitivity *s, const char *options,
                                              const char *path);

#endif
