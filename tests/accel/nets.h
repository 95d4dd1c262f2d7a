/* A network of each family, float and with quantizers. */
#ifndef DFQT_ACCEL_NETS_H
#define DFQT_ACCEL_NETS_H

#include "nn/supernet.h"
#include "quant/model.h"

typedef struct dfqt_net_row {
    const dfqi_arch *arch; /* NULL: derived from */
    const dfqi_supernet_space *space;
    const int32_t *path;
    bool quantized; /* what is made of stages has no quantizers */
} dfqt_net_row;

enum { DFQT_WIDE_VIT = 11, DFQT_NETS };
extern const dfqt_net_row dfqt_nets[DFQT_NETS];

/* Weights are 0, quantizers have 4 bits and no ranges yet. */
dfqi_model *dfqt_net(dfq_context *ctx, int i);

#endif
