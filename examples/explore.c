/* Own search spaces: bit widths for the 12 blocks of a transformer and the array that computes it,
 * under hard limits on latency and energy. Losses and costs come from callbacks, as they would from
 * a network and a cost model of one's own.
 *
 *     explore LATENCY_MS ENERGY_MJ
 *
 * cc explore.c $(pkg-config --cflags --libs dfq) -lm -o explore
 *
 * Exit codes: 0 found and certified, 3 nothing meets the limits, 1 failure. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCKS = 12, WIDTHS = 3, ARRAYS = 4, GROUPS = BLOCKS + 1, TOTAL = BLOCKS * WIDTHS + ARRAYS };

static const double bits[WIDTHS] = {2, 4, 8};
static const double lanes[ARRAYS] = {64, 128, 192, 256};
static const double macs = 90e6, clock_hz = 200e6; /* of a block */

/* Damage of a width to a block: the first and the last blocks feel it most. */
static double damage(int block, int width)
{
    return (1 + 0.25 * fabs(block - 5.5)) * pow(4, 2 - bits[width]);
}

/* A loss that is no sum: 1 - exp(-all damage). p: [12][3] widths, then [4] arrays. */
static dfq_status loss(const double *p, uint64_t step, double *out_loss, double *out_gradient,
                       void *user)
{
    double sum = 0;
    (void)step, (void)user;
    for (int i = 0; i < BLOCKS * WIDTHS; i++) sum += p[i] * damage(i / WIDTHS, i % WIDTHS);
    *out_loss = 1 - exp(-0.1 * sum);
    for (int i = 0; i < TOTAL && out_gradient; i++)
        out_gradient[i] =
            i < BLOCKS * WIDTHS ? 0.1 * exp(-0.1 * sum) * damage(i / WIDTHS, i % WIDTHS) : 0;
    return DFQ_OK;
}

/* What a block at some width adds on an array: ms, and mJ. Wide arrays are fast, and leak. */
static void block_cost(int width, int array, double cost[2])
{
    cost[0] = 1e3 * macs * bits[width] / 8 / (lanes[array] * clock_hz);
    cost[1] =
        1e-9 * macs * (0.1 * bits[width] * bits[width] / 8 + 0.4) + 2e-4 * lanes[array] * cost[0];
}

/* Costs of the mixture: linear in the widths and in the array. */
static dfq_status costs(const double *p, double *out_costs, double *out_gradients, void *user)
{
    const double *q = p + BLOCKS * WIDTHS;
    (void)user;
    for (int m = 0; m < 2; m++) {
        double *g = out_gradients ? out_gradients + m * TOTAL : NULL;
        out_costs[m] = 0;
        for (int i = 0; i < TOTAL && g; i++) g[i] = 0;
        for (int i = 0; i < BLOCKS * WIDTHS; i++)
            for (int a = 0; a < ARRAYS; a++) {
                double cost[2];
                block_cost(i % WIDTHS, a, cost);
                out_costs[m] += p[i] * q[a] * cost[m];
                if (g) g[i] += q[a] * cost[m], g[BLOCKS * WIDTHS + a] += p[i] * cost[m];
            }
    }
    return DFQ_OK;
}

/* Costs of one choice, exactly. This is what a result is certified by. */
static dfq_status exact(const int32_t *choice, double *out_costs, void *user)
{
    (void)user;
    out_costs[0] = out_costs[1] = 0;
    for (int b = 0; b < BLOCKS; b++) {
        double cost[2];
        block_cost(choice[b], choice[BLOCKS], cost);
        out_costs[0] += cost[0];
        out_costs[1] += cost[1];
    }
    return DFQ_OK;
}

static int print_result(const dfq_solver *solver)
{
    dfq_solver_result r = {.struct_size = sizeof r};
    dfq_solver_metric ms = {.struct_size = sizeof ms}, mj = {.struct_size = sizeof mj};
    dfq_tensor *choice = NULL;
    if (dfq_solver_get_result(solver, &r) != DFQ_OK) return -1;
    if (dfq_solver_get_metric(solver, 0, &ms) != DFQ_OK) return -1;
    if (dfq_solver_get_metric(solver, 1, &mj) != DFQ_OK) return -1;
    if (dfq_solver_get_choice(solver, 0, &choice) != DFQ_OK) return -1;
    const int32_t *c = dfq_tensor_get_data(choice);
    printf("%s: bits", r.verdict == DFQ_VERDICT_CERTIFIED ? "certified" : "nearest");
    for (int b = 0; b < BLOCKS; b++) printf(" %g", bits[c[b]]);
    printf(", %g lanes: loss %.4f, %.2f ms, %.3f mJ\n", lanes[c[BLOCKS]], r.loss, ms.cost, mj.cost);
    if (r.verdict == DFQ_VERDICT_INFEASIBLE)
        printf("tightest: %.2f ms, or %.3f mJ\n", ms.tightest, mj.tightest);
    dfq_tensor_release(choice);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"latency_ms", "energy_mj"};
    int32_t choices[GROUPS];
    dfq_problem problem;
    dfq_solver_options options;
    dfq_context *context = NULL;
    dfq_solver *solver = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: explore LATENCY_MS ENERGY_MJ\n");
        return 2;
    }
    const dfq_constraint limits[2] = {{sizeof *limits, 0, atof(argv[1])},
                                      {sizeof *limits, 1, atof(argv[2])}};
    for (int g = 0; g < BLOCKS; g++) choices[g] = WIDTHS;
    choices[BLOCKS] = ARRAYS;
    dfq_problem_init(&problem, sizeof problem);
    problem.n_groups = GROUPS;
    problem.n_hw_params = 1;
    problem.n_metrics = 2;
    problem.choices = choices;
    problem.metrics = names;
    problem.loss = loss;
    problem.costs = costs;
    problem.exact = exact;
    dfq_solver_options_init(&options, sizeof options);
    options.steps = 1000;
    dfq_status status = dfq_context_create(NULL, &context);
    if (status == DFQ_OK)
        status = dfq_solver_create(context, &problem, limits, 2, &options, &solver);
    if (status == DFQ_OK) status = dfq_solver_run(solver);
    if (status != DFQ_OK)
        fprintf(stderr, "%s: %s\n", dfq_status_name(status), dfq_context_get_error(context));
    if ((status == DFQ_OK || status == DFQ_E_INFEASIBLE) && print_result(solver) != 0)
        status = DFQ_E_INTERNAL;
    dfq_solver_release(solver);
    dfq_context_release(context);
    return status == DFQ_OK ? EXIT_SUCCESS : status == DFQ_E_INFEASIBLE ? 3 : EXIT_FAILURE;
}
