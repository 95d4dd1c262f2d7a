/* The families of supernets, one row each. What all of them share asks the table. */
#ifndef DFQI_NN_SUPERNET_PRIV_H
#define DFQI_NN_SUPERNET_PRIV_H

#include "nn/supernet.h"

typedef struct dfqi_super_row {
    /* How many cells a space has. */
    int64_t (*cells)(const dfqi_super_space *s);
    /* All layers in the order of use, NULL: only counted; sets net->skips. */
    int32_t (*list)(dfqi_supernet *net, dfqi_super_layer *rows);
    /* Multiply-accumulates of a path, for one image. */
    double (*macs)(const dfqi_supernet *net, const int32_t *path);
    /* From p->x to p->logits. */
    void (*forward)(dfqi_super_pass *p, const int32_t *path, dfqi_super_mode mode);
} dfqi_super_row;

extern const dfqi_super_row dfqi_super_mbconv;
const dfqi_super_row *dfqi_super_row_of(const dfqi_super_space *s);

/* Adds the tensors of layer i as parameters: p->taps[i].t. */
void dfqi_super_params(dfqi_super_pass *p, int32_t i);

#endif
