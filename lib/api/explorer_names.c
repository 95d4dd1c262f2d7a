/* dfq/explorer.h: names and numbers of the groups, of their choices and of the metrics. */
#include <dfq/explorer.h>

#include <stdio.h>

#include "api/explorer_priv.h"
#include "base/memory.h"
#include "base/text.h"

enum { NAME = DFQI_EXPLORER_NAME };

int32_t dfqi_explorer_groups(const dfq_explorer *e)
{
    return e->costs.n_cells + e->costs.n_hw_params;
}

static void name_choice(const dfq_explorer *e, int32_t group, int32_t choice, char out[NAME])
{
    const dfqi_accel_space *a = &e->space.accel;
    const dfqi_values *hw_params[] = {&a->pe_x,     &a->pe_y, &a->rf_words,
                                      &a->dataflow, &a->pe,   &a->glb_kb};
    int32_t at = group - e->costs.n_cells;
    if (at < 0) {
        dfqi_super_choice_name(&e->space.net, choice, out);
    } else if (e->custom) {
        snprintf(out, NAME, "%d", (int)choice);
    } else {
        double v = hw_params[at]->v[choice];
        const char *text = at == 3   ? dfqi_dataflow_name((int32_t)v)
                           : at == 4 ? dfqi_pe_name((int32_t)v)
                                     : NULL;
        if (text != NULL)
            snprintf(out, NAME, "%s", text);
        else
            dfqi_print(out, NAME, "%g", v);
    }
}

/* NULL `model`: the library's accelerators. */
static void name_group(const dfq_explorer *e, const dfq_cost_model *model, int32_t group,
                       char out[NAME])
{
    static const char *const hw_params[] = {"pe_x",     "pe_y",    "rf_words",
                                            "dataflow", "pe_type", "glb_kb"};
    int32_t at = group - e->costs.n_cells;
    if (at < 0)
        snprintf(out, NAME, "cell %d", (int)group);
    else if (model == NULL)
        snprintf(out, NAME, "%s", hw_params[at]);
    else if (model->hw_names != NULL && model->hw_names[at] != NULL)
        snprintf(out, NAME, "%s", model->hw_names[at]);
    else
        snprintf(out, NAME, "hw %d", (int)at);
}

dfq_status dfqi_explorer_make_names(dfq_explorer *e, const dfq_cost_model *model)
{
    int32_t groups = dfqi_explorer_groups(e), n = groups;
    for (int32_t g = 0; g < groups; g++) n += e->costs.choices[g];
    e->names = dfqi_calloc(e->ctx, (size_t)n, sizeof *e->names);
    if (e->names == NULL) return DFQ_E_NOMEM;
    n = groups;
    for (int32_t g = 0; g < groups; g++) {
        name_group(e, model, g, e->names[g]);
        for (int32_t k = 0; k < e->costs.choices[g]; k++) name_choice(e, g, k, e->names[n++]);
    }
    for (int32_t m = 0; m < e->costs.n_metrics; m++) {
        if (model == NULL)
            snprintf(e->metric_names[m], NAME, "%s", dfqi_search_space_metrics[m]);
        else if (model->metrics != NULL)
            snprintf(e->metric_names[m], NAME, "%s", model->metrics[m]);
        else
            snprintf(e->metric_names[m], NAME, "metric %d", (int)m);
        e->metrics[m] = e->metric_names[m];
    }
    return DFQ_OK;
}

int32_t dfq_explorer_get_metrics(const dfq_explorer *explorer)
{
    return explorer != NULL ? explorer->tables.n_metrics : 0;
}

const char *dfq_explorer_get_metric_name(const dfq_explorer *explorer, int32_t metric)
{
    if (metric < 0 || metric >= dfq_explorer_get_metrics(explorer)) return NULL;
    return explorer->tables.metrics[metric];
}

int32_t dfq_explorer_get_cells(const dfq_explorer *explorer)
{
    return explorer != NULL ? explorer->costs.n_cells : 0;
}

int32_t dfq_explorer_get_groups(const dfq_explorer *explorer)
{
    return explorer != NULL ? dfqi_explorer_groups(explorer) : 0;
}

int32_t dfq_explorer_get_choices(const dfq_explorer *explorer, int32_t group)
{
    if (explorer == NULL || group < 0 || group >= dfqi_explorer_groups(explorer)) return 0;
    return explorer->costs.choices[group];
}

const char *dfq_explorer_get_name(const dfq_explorer *explorer, int32_t group, int32_t choice)
{
    int32_t at = dfq_explorer_get_groups(explorer) + choice;
    if (choice < -1 || choice >= dfq_explorer_get_choices(explorer, group)) return NULL;
    for (int32_t g = 0; g < group; g++) at += explorer->costs.choices[g];
    return explorer->names[choice < 0 ? group : at];
}
