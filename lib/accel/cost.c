/* Latency and energy of a mapping on an accelerator (docs/METHODS.md, Counting). In DRAM and buffer
 * a word has the width of its operand; partial sums of unfinished outputs have psum_bits. */
#include "accel/cost.h"

#include <math.h>
#include <string.h>

dfq_status dfqi_layer_resolve(dfq_context *ctx, const char *name, const dfqi_layer *l,
                              const dfqi_accel_config *t, dfqi_layer *out)
{
    dfqi_layer own = *l;
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        if (own.bits[v] > t->word_bits)
            return dfqi_fail(
                ctx, DFQ_E_INVALID,
                "%s: operands have %d bits, must be at most the accelerator's word_bits, %d", name,
                own.bits[v], t->word_bits);
        bool there = v != DFQI_W || l->kind == DFQI_LAYER_PRODUCT || l->sum;
        if (own.bits[v] == 0 && there) own.bits[v] = t->float_bits;
    }
    *out = own;
    return DFQ_OK;
}

void dfqi_mapping_levels(const dfqi_accel_config *t, dfqi_mapping *m)
{
    static const uint8_t all = 1 << DFQI_W | 1 << DFQI_I | 1 << DFQI_O;
    static const uint8_t stays[DFQI_FLOW_COUNT] = {1 << DFQI_W, 1 << DFQI_O, all};
    memset(m, 0, sizeof *m);
    m->diagonal = t->dataflow == DFQI_FLOW_RS;
    m->n_levels = m->diagonal ? 3 : 4; /* the others have a register for each operand */
    m->fork = 2;
    m->keep[0] = m->keep[1] = m->keep[3] = all;
    m->keep[2] = stays[t->dataflow];
}

/* As an operand is multiplied: what is kept wider than a word is narrowed to one on its way in. */
static int32_t multiplied(const dfqi_layer *l, const dfqi_accel_config *t, dfqi_operand v)
{
    return l->bits[v] < t->word_bits ? l->bits[v] : t->word_bits;
}

static double rate_of(const dfqi_layer *l, const dfqi_accel_config *t)
{
    return dfqi_pe_rate((dfqi_pe)t->pe, t->word_bits, multiplied(l, t, DFQI_W),
                        multiplied(l, t, DFQI_I));
}

/* The sum of a group of weights is multiplied by the group's multiplier. */
static double mac_pj(const dfqi_layer *l, int32_t w, int32_t a)
{
    enum { MULTIPLIER_BITS = 4 };
    double sum = dfqi_sum_bits(w, a), product = dfqi_mac_pj(w, a, sum);
    if (l->weight_group == 0) return product;
    return product + dfqi_mac_pj(MULTIPLIER_BITS, sum, sum) / l->weight_group;
}

void dfqi_pricing_of(const dfqi_layer *l, const dfqi_accel_config *t, dfqi_pricing *out)
{
    const dfqi_prices *p = &t->price;
    int32_t w = multiplied(l, t, DFQI_W), a = multiplied(l, t, DFQI_I);
    double outputs = dfqi_layer_words(l, DFQI_O), word = t->word_bits,
           per_cycle = 8e3 / t->clock_mhz; /* bits a cycle of 1 GB/s */
    *out = (dfqi_pricing){
        .bits = {dfqi_layer_stored(l, DFQI_W), dfqi_layer_stored(l, DFQI_I), t->psum_bits},
        .rf_bits = {w, a, t->psum_bits}};
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        double share = out->bits[v] / word, inside = out->rf_bits[v] / word;
        out->level[0].read_pj[v] = out->level[0].update_pj[v] = p->dram_pj * share;
        out->level[1].read_pj[v] = p->glb_read_pj * share;
        out->level[1].fill_pj[v] = p->glb_fill_pj * share;
        out->level[1].update_pj[v] = p->glb_write_pj * share;
        out->level[2].read_pj[v] = out->level[2].update_pj[v] = p->rf_pj * inside;
        out->level[2].fill_pj[v] = p->rf_fill_pj * inside;
        out->level[3].read_pj[v] = out->level[3].update_pj[v] = out->level[3].fill_pj[v] =
            p->reg_pj * inside;
        out->noc_pj[v] = p->noc_pj * inside;
    }
    for (int i = 0; i < 4; i++) out->level[i].row_words = 1;
    out->mac_pj = p->mac_pj > 0 ? p->mac_pj : mac_pj(l, w, a);
    out->static_pj = p->static_mw * 1e3 / t->clock_mhz;
    out->dram_pj = p->dram_pj / word;
    out->rate = rate_of(l, t);
    out->dram_bits = t->dram_gb_per_s * per_cycle;
    out->glb_bits = t->glb_gb_per_s * per_cycle;
    out->output_bits = dfqi_layer_stored(l, DFQI_O);
    out->lane_cycles = ceil(outputs * l->effort / t->pe_x);
}

static void total(const dfqi_pricing *p, dfqi_cost *c)
{
    c->cycles = fmax(c->compute_cycles, fmax(c->dram_cycles, c->glb_cycles));
    c->pj[DFQI_PART_STATIC] = p->static_pj * c->cycles;
    c->total_pj = 0;
    for (int i = 0; i < DFQI_PARTS; i++) c->total_pj += c->pj[i];
}

/* What is held neither comes from DRAM nor goes there; the mapping has whole sums in a tile. */
static void hold(uint32_t held, dfqi_counts *n)
{
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        if (!(held >> v & 1)) continue;
        n->at[0][v] = (dfqi_access){0};
        n->at[1][v].fills = 0;
    }
}

void dfqi_cost_mapping(const dfqi_layer *l, const dfqi_pricing *p, const dfqi_mapping *m,
                       dfqi_cost *out)
{
    dfqi_counts n;
    double level[DFQI_LEVELS_MAX], dram = 0, glb = 0;
    memset(out, 0, sizeof *out);
    dfqi_mapping_count(l, m, &n);
    hold(p->held, &n);
    dfqi_mapping_energy(m, &n, 0, p->level, level);
    for (int v = 0; v < DFQI_OPERANDS; v++) {
        const dfqi_access *d = &n.at[0][v], *g = &n.at[1][v];
        dram += (d->reads + d->updates) * p->bits[v];
        glb += (g->reads + g->fills + g->updates) * p->bits[v];
        out->pj[DFQI_PART_NOC] += n.delivered[v] * p->noc_pj[v];
    }
    /* Finished outputs leave at their own width. */
    double rest =
        (n.at[0][DFQI_O].updates - n.at[0][DFQI_O].reads) * (p->bits[DFQI_O] - p->output_bits);
    dram -= rest;
    out->macs = n.macs;
    out->dram_bytes = dram / 8;
    out->compute_cycles = fmax(ceil(n.cycles / p->rate), p->lane_cycles);
    out->dram_cycles = dram / p->dram_bits;
    out->glb_cycles = glb / p->glb_bits;
    out->pj[DFQI_PART_MAC] = n.macs * p->mac_pj;
    out->pj[DFQI_PART_RF] = level[2] + (m->n_levels > 3 ? level[3] : 0);
    out->pj[DFQI_PART_GLB] = level[1];
    out->pj[DFQI_PART_DRAM] = dram * p->dram_pj;
    total(p, out);
}

void dfqi_cost_rows(const dfqi_layer *l, const dfqi_accel_config *t, const dfqi_pricing *p,
                    dfqi_cost *out)
{
    double n = (double)l->dim[DFQI_DIM_P], word = t->word_bits;
    double read = n * (dfqi_layer_stored(l, DFQI_I) + dfqi_layer_stored(l, DFQI_W));
    double written = n * dfqi_layer_stored(l, DFQI_O);
    memset(out, 0, sizeof *out);
    out->compute_cycles = p->lane_cycles;
    out->glb_cycles = (read + written) / p->glb_bits;
    out->pj[DFQI_PART_GLB] = (read * t->price.glb_read_pj + written * t->price.glb_write_pj) / word;
    total(p, out);
}

double dfqi_cost_utilization(const dfqi_cost *c, const dfqi_layer *l, const dfqi_accel_config *t)
{
    return c->macs / (c->cycles * t->pe_x * t->pe_y * rate_of(l, t));
}
