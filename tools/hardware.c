/* Describes an accelerator as text and JSON. */
#include "hardware.h"

static const char *const flows[] = {"ws", "os", "rs"};
static const char *const types[] = {"fixed", "fusion", "serial"};

char *hardware_words(const dfq_accelerator_config *hw, char out[HARDWARE_TEXT])
{
    snprintf(out, HARDWARE_TEXT,
             "%d x %d elements (%s, %s), %lld words of %d bits each, buffer %g KB, %g MHz, DRAM "
             "%g GB/s",
             (int)hw->pe_x, (int)hw->pe_y, flows[hw->dataflow], types[hw->pe_type],
             (long long)hw->rf_words, (int)hw->word_bits, hw->glb_kb, hw->clock_mhz,
             hw->dram_gb_per_s);
    return out;
}

void hardware_json(struct json *j, const dfq_accelerator_config *hw)
{
    json_int(j, "pe_x", hw->pe_x);
    json_int(j, "pe_y", hw->pe_y);
    json_int(j, "rf_words", hw->rf_words);
    json_text(j, "dataflow", flows[hw->dataflow]);
    json_text(j, "pe_type", types[hw->pe_type]);
    json_int(j, "word_bits", hw->word_bits);
    json_int(j, "psum_bits", hw->psum_bits);
    json_int(j, "float_bits", hw->float_bits);
    json_fraction(j, "glb_kb", hw->glb_kb);
    json_fraction(j, "clock_mhz", hw->clock_mhz);
    json_fraction(j, "dram_gb_per_s", hw->dram_gb_per_s);
    json_fraction(j, "glb_gb_per_s", hw->glb_gb_per_s);
    json_fraction(j, "area_mm2", hw->area_mm2);
    json_int(j, "fused_attention", hw->fused_attention);
}
