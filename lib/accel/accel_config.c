/* Accelerator descriptions: enumerates the combinations of their values, and computes access
 * energies and area (docs/METHODS.md, Prices). */
#include "accel/accel_config.h"

static const char *const flow_names[DFQI_FLOW_COUNT] = {"ws", "os", "rs"};
static const char *const pe_names[DFQI_PE_COUNT] = {"fixed", "fusion", "serial"};

const char *dfqi_dataflow_name(int32_t flow)
{
    return flow >= 0 && flow < DFQI_FLOW_COUNT ? flow_names[flow] : "?";
}

const char *dfqi_pe_name(int32_t pe)
{
    return pe >= 0 && pe < DFQI_PE_COUNT ? pe_names[pe] : "?";
}

double dfqi_accel_config_mm2(const dfqi_accel_config *t)
{
    double element =
        dfqi_pe_um2((dfqi_pe)t->pe, t->word_bits) + dfqi_rf_um2(t->rf_words, t->word_bits);
    return (t->pe_x * (double)t->pe_y * element + dfqi_sram_um2(t->glb_kb)) * 1.05e-6;
}

int64_t dfqi_accel_space_count(const dfqi_accel_space *s)
{
    return (int64_t)s->pe_x.n * s->pe_y.n * s->rf_words.n * s->dataflow.n * s->pe.n * s->glb_kb.n;
}

static bool same_values(const dfqi_values *a, const dfqi_values *b)
{
    bool same = a->n == b->n;
    for (int32_t i = 0; same && i < a->n; i++) same = a->v[i] == b->v[i];
    return same;
}

static bool same_prices(const dfqi_prices *a, const dfqi_prices *b)
{
    return a->mac_pj == b->mac_pj && a->rf_pj == b->rf_pj && a->rf_fill_pj == b->rf_fill_pj &&
           a->reg_pj == b->reg_pj && a->noc_pj == b->noc_pj && a->glb_read_pj == b->glb_read_pj &&
           a->glb_write_pj == b->glb_write_pj && a->glb_fill_pj == b->glb_fill_pj &&
           a->dram_pj == b->dram_pj && a->static_mw == b->static_mw;
}

bool dfqi_accel_space_equal(const dfqi_accel_space *a, const dfqi_accel_space *b)
{
    return same_values(&a->pe_x, &b->pe_x) && same_values(&a->pe_y, &b->pe_y) &&
           same_values(&a->rf_words, &b->rf_words) && same_values(&a->dataflow, &b->dataflow) &&
           same_values(&a->pe, &b->pe) && same_values(&a->glb_kb, &b->glb_kb) &&
           a->word_bits == b->word_bits && a->psum_bits == b->psum_bits &&
           a->float_bits == b->float_bits && a->fused_attention == b->fused_attention &&
           a->clock_mhz == b->clock_mhz && a->dram_gb_per_s == b->dram_gb_per_s &&
           a->glb_gb_per_s == b->glb_gb_per_s && a->priced == b->priced &&
           (!a->priced || same_prices(&a->price, &b->price));
}

static dfqi_prices prices_of(const dfqi_accel_config *t)
{
    double rf = dfqi_rf_pj(t->rf_words, t->word_bits), w = t->word_bits;
    return (dfqi_prices){.rf_pj = rf,
                         .rf_fill_pj = rf,
                         .reg_pj = dfqi_rf_pj(1, t->word_bits),
                         .noc_pj = DFQI_NOC_PJ_PER_BIT * w,
                         .glb_read_pj = dfqi_sram_read_pj(t->glb_kb) * w,
                         .glb_write_pj = dfqi_sram_write_pj(t->glb_kb) * w,
                         .glb_fill_pj = dfqi_sram_write_pj(t->glb_kb) * w,
                         .dram_pj = DFQI_DRAM_PJ_PER_BIT * w};
}

/* Splits the index of `values` off the mixed-radix number *i. */
static double digit(const dfqi_values *values, int64_t *i)
{
    double v = values->v[*i % values->n];
    *i /= values->n;
    return v;
}

void dfqi_accel_space_config(const dfqi_accel_space *s, int64_t i, dfqi_accel_config *out)
{
    dfqi_accel_config t = {.word_bits = s->word_bits,
                           .psum_bits = s->psum_bits,
                           .float_bits = s->float_bits,
                           .fused_attention = s->fused_attention,
                           .clock_mhz = s->clock_mhz,
                           .dram_gb_per_s = s->dram_gb_per_s,
                           .glb_gb_per_s = s->glb_gb_per_s};
    t.glb_kb = digit(&s->glb_kb, &i);
    t.pe = (int32_t)digit(&s->pe, &i);
    t.dataflow = (int32_t)digit(&s->dataflow, &i);
    t.rf_words = (int64_t)digit(&s->rf_words, &i);
    t.pe_y = (int32_t)digit(&s->pe_y, &i);
    t.pe_x = (int32_t)digit(&s->pe_x, &i);
    t.price = s->priced ? s->price : prices_of(&t);
    *out = t;
}
