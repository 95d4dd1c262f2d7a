/* Which grids a scheme has: the mode's own where there is a choice, and groups of channels. */
#include "quant/scheme_priv.h"

/* Groups are for rows. Kernels have codes of a group in whole vectors. */
static dfq_status check_group(dfq_context *ctx, const dfqi_grids *grids)
{
    enum { STEP = 16, MOST = 4096 };
    const int32_t group = grids->act_group;
    if (group != 0 && grids->act_scale != DFQI_ACT_SCALE_ROW)
        return dfqi_fail(ctx, DFQ_E_INVALID, "act_group is %d with scales of tensors; set it to 0",
                         group);
    if (group >= 0 && group <= MOST && group % STEP == 0) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "act_group is %d, must be 0 or a multiple of %d up to %d",
                     group, STEP, MOST);
}

/* Of few codes a group's smaller range is worth its time (METHODS.md, Grids of rows). */
static int32_t choose_group(const dfqi_grids *grids, int32_t act_bits)
{
    if (grids->act_group != DFQI_ACT_GROUP_AUTO) return grids->act_group;
    if (grids->act_scale != DFQI_ACT_SCALE_ROW || act_bits > 4) return 0;
    return act_bits == 4 ? 64 : 32;
}

dfq_status dfqi_need_group(const dfqi_network *net, bool chosen, dfqi_scheme *s)
{
    for (int32_t i = 0; i < s->n_sites; i++)
        if (s->sites[i].group > 0) return DFQ_OK;
    if (chosen) s->grids.act_group = 0;
    if (s->grids.act_group == 0) return DFQ_OK;
    return dfqi_fail(
        net->ctx, DFQ_E_INVALID,
        "act_group is %d, and no linear layer of %s has inputs of several such groups; "
        "set it to 0 or to a part of their channels",
        s->grids.act_group, net->arch.name);
}

/* The mode's own grids in place of AUTO, where there is a choice. */
static dfq_status choose_own(const dfqi_network *net, dfqi_mode mode, dfqi_grids *grids)
{
    int cnn = dfqi_arch_is_cnn(&net->arch);
    if (grids->act_scale == DFQI_ACT_SCALE_ROW && !dfqi_scheme_fits_rows(&net->arch, mode))
        return dfqi_fail(net->ctx, DFQ_E_UNSUPPORTED,
                         "act_scale row is for mode improved of a vision transformer, not for %s; "
                         "set it to auto or tensor",
                         cnn ? "a convolutional network" : "mode parity");
    bool own = grids->weight_grid == DFQI_WEIGHT_GRID_AUTO && grids->act_grid == DFQI_ACT_GRID_AUTO;
    bool follow = grids->weight_grid == DFQI_WEIGHT_GRID_MINMAX_ASYM &&
                  grids->act_grid == DFQI_ACT_GRID_MINMAX;
    if (cnn && mode == DFQI_MODE_IMPROVED && follow) return DFQ_OK;
    if (cnn || mode != DFQI_MODE_PARITY) {
        if (own) return DFQ_OK;
        return dfqi_fail(net->ctx, DFQ_E_UNSUPPORTED,
                         "grids of weights and activations are for mode parity of a vision "
                         "transformer%s; %s has its own, leave them out",
                         cnn ? ", or both minmax in mode improved of a CNN" : "",
                         cnn ? "a convolutional network" : "mode improved");
    }
    if (grids->weight_grid == DFQI_WEIGHT_GRID_AUTO) grids->weight_grid = DFQI_WEIGHT_GRID_MINMAX;
    if (grids->act_grid == DFQI_ACT_GRID_AUTO) grids->act_grid = DFQI_ACT_GRID_LSQ;
    return DFQ_OK;
}

dfq_status dfqi_choose_grids(const dfqi_network *net, dfqi_mode mode, int32_t act_bits,
                             dfqi_grids *grids)
{
    DFQI_TRY(choose_own(net, mode, grids));
    grids->act_group = choose_group(grids, act_bits);
    return check_group(net->ctx, grids);
}
