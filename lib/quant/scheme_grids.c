/* Which grids a scheme has: the mode's own where there is a choice, and groups of channels. */
#include "kernel/weight_groups.h"
#include "quant/scheme_priv.h"

enum { OF_WEIGHTS = 16 }; /* columns with one grid, by default (METHODS.md, Groups of weights) */

/* Kernels have codes of a group in whole vectors. */
static dfq_status check_size(dfq_context *ctx, const char *what, int32_t group)
{
    enum { STEP = 16, MOST = 4096 };
    if (group >= 0 && group <= MOST && group % STEP == 0) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "%s is %d, must be 0 or a multiple of %d up to %d", what,
                     group, STEP, MOST);
}

static dfq_status check_groups(const dfqi_network *net, bool fit, const dfqi_grids *grids)
{
    const int32_t acts = grids->act_group, weights = grids->weight_group;
    if (acts != 0 && grids->act_scale != DFQI_ACT_SCALE_ROW)
        return dfqi_fail(net->ctx, DFQ_E_INVALID,
                         "act_group is %d with scales of tensors; set it to 0", acts);
    if (weights != 0 && !fit)
        return dfqi_fail(net->ctx, DFQ_E_INVALID,
                         "weight_group is %d, and groups of weights are for mode improved of a "
                         "vision transformer; set it to 0",
                         weights);
    DFQI_TRY(check_size(net->ctx, "act_group", acts));
    return check_size(net->ctx, "weight_group", weights);
}

/* Of few codes a group's smaller range is worth its time (METHODS.md, Grids of rows). */
static int32_t choose_group(const dfqi_grids *grids, int32_t act_bits)
{
    if (grids->act_group != DFQI_ACT_GROUP_AUTO) return grids->act_group;
    if (grids->act_scale != DFQI_ACT_SCALE_ROW || act_bits > 4) return 0;
    return act_bits == 4 ? 64 : 32;
}

int64_t dfqi_group_of(int64_t group, int64_t channels)
{
    return group > 0 && group < channels && channels % group == 0 ? group : 0;
}

/* The site's weight; NULL: it is of activations. */
static const dfq_tensor *weight_of(const dfqi_network *net, const dfqi_site *site)
{
    return dfqi_site_is_weight(site) ? dfqi_network_find(net, site->name) : NULL;
}

bool dfqi_scheme_size_groups(const dfqi_network *net, dfqi_scheme *s)
{
    bool some = false;
    for (int32_t i = 0; i < s->n_sites; i++) {
        dfqi_site *site = &s->sites[i];
        const dfq_tensor *w = weight_of(net, site);
        if (!w) continue;
        const int64_t cols = dfqi_tensor_count(w) / w->dims[0];
        site->group = site->bits > DFQI_GROUP_BITS ? 0 : dfqi_group_of(s->grids.weight_group, cols);
        some = some || site->group > 0;
    }
    return some;
}

dfq_status dfqi_scheme_group_weights(const dfqi_network *net, bool chosen, dfqi_scheme *s)
{
    const int32_t asked = s->grids.weight_group;
    const bool some = dfqi_scheme_size_groups(net, s);
    for (int32_t i = 0; i < s->n_sites; i++) {
        dfqi_site *site = &s->sites[i];
        const dfq_tensor *w = weight_of(net, site);
        if (!w) continue;
        dfqi_tensor_release(site->groups);
        site->groups = NULL;
        if (site->group == 0) continue;
        const int64_t rows = w->dims[0], cols = dfqi_tensor_count(w) / rows;
        const int64_t dims[2] = {rows, cols / site->group};
        DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_F32, 2, dims, &site->groups));
    }
    if (!some && chosen) s->grids.weight_group = 0;
    if (some || chosen || asked == 0) return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_INVALID,
                     "weight_group is %d, and no linear layer of %s has weights of at most %d bits "
                     "of several such groups; set it to 0",
                     asked, net->arch.name, DFQI_GROUP_BITS);
}

dfq_status dfqi_need_group(const dfqi_network *net, bool chosen, dfqi_scheme *s)
{
    for (int32_t i = 0; i < s->n_sites; i++)
        if (s->sites[i].group > 0 && !dfqi_site_is_weight(&s->sites[i])) return DFQ_OK;
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
    const bool fit = dfqi_scheme_fits_rows(&net->arch, mode);
    grids->act_group = choose_group(grids, act_bits);
    if (grids->weight_group == DFQI_WEIGHT_GROUP_AUTO) grids->weight_group = fit ? OF_WEIGHTS : 0;
    return check_groups(net, fit, grids);
}
