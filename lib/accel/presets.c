/* Built-in accelerator descriptions. */
#include <stdio.h>
#include <string.h>

#include "accel/accel_config_priv.h"
#include "io/folder.h"

typedef struct preset {
    const char *name, *json;
} preset;

static const preset presets[] = {
    /* The chip of JSSC 2017 with the energies that reproduce its Table V (tests/accel/eyeriss.c).
     * Its memories' bandwidths are not the limit there. */
    {"eyeriss-chip",
     "{\"pe_x\": 14, \"pe_y\": 12, \"rf_words\": 261, \"dataflow\": \"rs\", \"pe_type\": \"fixed\","
     " \"word_bits\": 16, \"psum_bits\": 16, \"float_bits\": 16,"
     " \"glb_kb\": 108, \"clock_mhz\": 200, \"dram_gb_per_s\": 1000, \"glb_gb_per_s\": 1000,"
     " \"energy\": {\"mac_pj\": 2, \"rf_pj\": 1, \"rf_fill_pj\": 0, \"reg_pj\": 0, \"noc_pj\": 4,"
     " \"glb_read_pj\": 15, \"glb_write_pj\": 15, \"glb_fill_pj\": 0, \"dram_pj\": 460, "
     "\"static_mw\": 30}}"},
    /* The design of ISCA 2016, Fig. 10, in multiples of a multiplication's energy. */
    {"eyeriss-isca16",
     "{\"pe_x\": 16, \"pe_y\": 16, \"rf_words\": 256, \"dataflow\": \"rs\", \"pe_type\": \"fixed\","
     " \"word_bits\": 16, \"psum_bits\": 16, \"float_bits\": 16,"
     " \"glb_kb\": 128, \"clock_mhz\": 200, \"dram_gb_per_s\": 1000, \"glb_gb_per_s\": 1000,"
     " \"energy\": {\"mac_pj\": 1, \"rf_pj\": 1, \"rf_fill_pj\": 0, \"reg_pj\": 0, \"noc_pj\": 2,"
     " \"glb_read_pj\": 6, \"glb_write_pj\": 6, \"glb_fill_pj\": 0, \"dram_pj\": 200, "
     "\"static_mw\": 0}}"},
    /* One of the space below, with the energies of energy.c. */
    {"eyeriss-16x16",
     "{\"pe_x\": 16, \"pe_y\": 16, \"rf_words\": 64, \"dataflow\": \"rs\", \"pe_type\": \"fixed\","
     " \"word_bits\": 16, \"psum_bits\": 16, \"float_bits\": 16,"
     " \"glb_kb\": 108, \"clock_mhz\": 200, \"dram_gb_per_s\": 3.2, \"glb_gb_per_s\": 25.6}"},
    /* 4335 accelerators (docs/METHODS.md, Search spaces). */
    {"hdx-space",
     "{\"pe_x\": [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],"
     " \"pe_y\": [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],"
     " \"rf_words\": [4, 8, 16, 32, 64], \"dataflow\": [\"ws\", \"os\", \"rs\"],"
     " \"pe_type\": \"fixed\", \"word_bits\": 16, \"psum_bits\": 16, \"float_bits\": 16,"
     " \"glb_kb\": 108, \"clock_mhz\": 200, \"dram_gb_per_s\": 3.2, \"glb_gb_per_s\": 25.6}"},
};

enum { PRESETS = sizeof presets / sizeof *presets };

const char *dfqi_preset_name(int32_t i)
{
    return i >= 0 && i < PRESETS ? presets[i].name : NULL;
}

static dfq_status fail_of_name(dfq_context *ctx, const char *name)
{
    char all[128] = "";
    for (int i = 0; i < PRESETS; i++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", presets[i].name);
    }
    return dfqi_fail(ctx, DFQ_E_IO, "cannot read %s: there is no such file; presets: %s", name,
                     all);
}

dfq_status dfqi_accel_space_load(dfq_context *ctx, const char *name, dfqi_accel_space *out)
{
    dfqi_json *doc;
    for (int i = 0; i < PRESETS; i++)
        if (strcmp(name, presets[i].name) == 0)
            return dfqi_accel_space_parse(ctx, name, presets[i].json, strlen(presets[i].json), out);
    if (!dfqi_path_exists(name)) return fail_of_name(ctx, name);
    dfq_status status = dfqi_json_read(ctx, name, &doc);
    if (status != DFQ_OK) return status;
    status = dfqi_accel_space_read(ctx, name, doc, out);
    dfqi_json_release(doc);
    return status;
}
