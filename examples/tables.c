/* Bit widths for the layers of a network and the array that computes it, by tables: the losses and
 * costs of every alternative are known, and those of a choice are their sums. A search finds a
 * choice within hard limits on latency and energy; the exact rule proves how good it is.
 *
 *     tables LATENCY_MS ENERGY_MJ
 *
 * cc tables.c $(pkg-config --cflags --libs dfq) -o tables
 *
 * Exit codes: 0 found and certified, 3 nothing meets the limits, 1 failure. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>

enum { LAYERS = 6, WIDTHS = 3, ARRAYS = 2, METRICS = 2, CELLS = LAYERS * WIDTHS };

static const int bits[WIDTHS] = {2, 4, 8}, lanes[ARRAYS] = {64, 128};

/* Groups 0 .. 5 are the layers, which are cells; group 6 is the array, a hardware parameter. */
static const int32_t choices[LAYERS + 1] = {WIDTHS, WIDTHS, WIDTHS, WIDTHS, WIDTHS, WIDTHS, ARRAYS};

static double loss[CELLS + ARRAYS];         /* of each alternative; arrays have none */
static double cost[METRICS][CELLS][ARRAYS]; /* of each alternative of a layer on each array */
static double base[METRICS][ARRAYS];        /* what every choice costs on an array */

static void fill(void)
{
    for (int i = 0; i < CELLS; i++) {
        int layer = i / WIDTHS, width = bits[i % WIDTHS];
        double mmac = 10 * (layer + 1);
        loss[i] = (layer == 0 || layer == LAYERS - 1 ? 4.0 : 1.0) / (width * width);
        for (int a = 0; a < ARRAYS; a++) {
            cost[0][i][a] = mmac * width / (8.0 * lanes[a]);        /* ms */
            cost[1][i][a] = mmac * width * width * 2e-5 + 1e-3 * a; /* mJ */
        }
    }
    for (int a = 0; a < ARRAYS; a++) base[0][a] = 0.1, base[1][a] = 1e-4 * lanes[a];
}

/* Prints the choice found by a rule. */
static dfq_status solve(dfq_context *context, const dfq_constraint *limits, int32_t rule)
{
    dfq_problem problem;
    dfq_solver_options options;
    dfq_solver *solver = NULL;
    dfq_tensor *choice = NULL;
    dfq_solver_result r = {.struct_size = sizeof r};
    dfq_problem_init(&problem, sizeof problem);
    problem.n_groups = LAYERS + 1;
    problem.n_hw_params = 1;
    problem.n_metrics = METRICS;
    problem.choices = choices;
    problem.loss_table = loss;
    problem.cost_table = &cost[0][0][0];
    problem.base_table = &base[0][0];
    dfq_solver_options_init(&options, sizeof options);
    options.rule = rule;
    options.steps = 500;
    dfq_status status = dfq_solver_create(context, &problem, limits, METRICS, &options, &solver);
    if (status == DFQ_OK) status = dfq_solver_run(solver);
    if (status == DFQ_OK) status = dfq_solver_get_result(solver, &r);
    if (status == DFQ_OK) status = dfq_solver_get_choice(solver, 0, &choice);
    if (status == DFQ_OK) {
        const int32_t *c = dfq_tensor_get_data(choice);
        printf("loss %.4f%s: bits", r.loss, r.proved ? ", the least there is" : "");
        for (int i = 0; i < LAYERS; i++) printf(" %d", bits[c[i]]);
        printf(", %d lanes\n", lanes[c[LAYERS]]);
    }
    dfq_tensor_release(choice);
    dfq_solver_release(solver);
    return status;
}

int main(int argc, char **argv)
{
    dfq_context *context = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: tables LATENCY_MS ENERGY_MJ\n");
        return 2;
    }
    const dfq_constraint limits[METRICS] = {{sizeof *limits, 0, atof(argv[1])},
                                            {sizeof *limits, 1, atof(argv[2])}};
    fill();
    dfq_status status = dfq_context_create(NULL, &context);
    if (status == DFQ_OK) status = solve(context, limits, DFQ_RULE_CONSTRAINT_GRADIENT);
    if (status == DFQ_OK) status = solve(context, limits, DFQ_RULE_EXACT);
    if (status != DFQ_OK)
        fprintf(stderr, "%s: %s\n", dfq_status_name(status), dfq_context_get_error(context));
    dfq_context_release(context);
    return status == DFQ_OK ? EXIT_SUCCESS : status == DFQ_E_INFEASIBLE ? 3 : EXIT_FAILURE;
}
