/* The table of supernet families, one row each. Common code calls a family through its row. */
#ifndef DFQI_NN_SUPERNET_PRIV_H
#define DFQI_NN_SUPERNET_PRIV_H

#include "nn/supernet.h"

/* The list of a family's layers, in the order of use. */
typedef struct dfqi_super_list {
    dfqi_super_layer *rows;      /* NULL: only counted */
    const int32_t *path;         /* layers off it are left out; NULL: none is */
    int32_t n, tensors;          /* layers so far, and what they hold */
    int32_t cell, choice, index; /* of the last one */
    int32_t tail;                /* a cell was listed */
    /* Sees each of them; NULL: nothing does. */
    void (*each)(void *user, const dfqi_super_layer *layer);
    void *user;
} dfqi_super_list;

dfqi_super_list dfqi_super_list_make(dfqi_super_layer *rows, const int32_t *path);
/* Adds a layer, of which index and tail are set here. */
void dfqi_super_list_add(dfqi_super_list *l, const dfqi_super_layer *layer);

typedef struct dfqi_super_row {
    /* The gain of initial weights, which are drawn from N(0, gain / fan_in). */
    float gain;
    float eps; /* of the norms */
    /* Checks a space for this family; may be NULL. */
    DFQI_CHECKED dfq_status (*check)(dfq_context *ctx, const dfqi_supernet_space *s);
    /* How many cells a space has. */
    int64_t (*cells)(const dfqi_supernet_space *s);
    /* Lists all layers; sets net->skips. Knows net->path. */
    void (*list)(dfqi_supernet *net, dfqi_super_list *l);
    /* The result of dfqi_supernet_macs by a formula, which is fast enough to compare choices in
     * each step of a warm-up. */
    double (*work)(const dfqi_supernet *net, const int32_t *path);
    /* From p->x to p->logits; sets p->span. */
    void (*forward)(dfqi_super_pass *p, const int32_t *path, dfqi_super_mode mode);
    /* See dfqi_supernet_inherit; NULL: choices share their weights anyway. */
    DFQI_CHECKED dfq_status (*inherit)(dfqi_supernet *net, const int32_t *path);
} dfqi_super_row;

extern const dfqi_super_row dfqi_super_row_mbconv, dfqi_super_row_vit;
const dfqi_super_row *dfqi_super_row_of(const dfqi_supernet_space *s);

/* The space and path of a derived network without its layers: skips are set by listing them. */
void dfqi_super_outline(const dfqi_supernet_space *space, const int32_t *path, dfqi_supernet *out);
/* dfqi_supernet_new, with all tensors 0. */
DFQI_CHECKED dfq_status dfqi_super_make(dfq_context *ctx, const dfqi_supernet_space *space,
                                        const int32_t *path, dfqi_supernet *out);
/* Adds the parts of layer i's tensors that a path with `in` and `out` channels uses:
 * p->taps[i].t. */
void dfqi_super_params(dfqi_super_pass *p, int32_t i, int64_t in, int64_t out);

/* MBConv: supernet_inherit.c. */
DFQI_CHECKED dfq_status dfqi_super_inherit_mbconv(dfqi_supernet *net, const int32_t *path);

#endif
