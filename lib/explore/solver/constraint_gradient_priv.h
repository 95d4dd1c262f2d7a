/* The constraint gradient, HDX's gradient manipulation (DAC 2022, arXiv 2301.09312;
 * docs/METHODS.md, Constraint gradient): the smallest change m of the gradient g for which a step x
 * -= rate P (g + m) lowers each violated cost by at least rate delta, to first order. */
#ifndef DFQI_EXPLORE_CONSTRAINT_GRADIENT_PRIV_H
#define DFQI_EXPLORE_CONSTRAINT_GRADIENT_PRIV_H

#include <stdbool.h>
#include <stdint.h>

enum { DFQI_ROWS_MAX = 8 };

/* The quadratic programme of one step. Vectors have n entries. With P = diag(precondition) the
 * update is x -= rate P (g + m), so constraint j falls by rate rows[j].P(g + m) to first order. */
typedef struct dfqi_constraint_gradient {
    int64_t n;
    const double *g;                   /* gradient of the loss */
    const double *precondition;        /* NULL: ones, plain SGD */
    int32_t n_rows;                    /* violated constraints, up to DFQI_ROWS_MAX */
    const double *rows[DFQI_ROWS_MAX]; /* their gradients */
    double delta[DFQI_ROWS_MAX];       /* what each has to fall by, > 0 */
    /* Which violated constraints change the direction: all that would fall by less than delta, or,
     * as published, only those that would rise (rows[j].Pg < 0). */
    bool strict;
} dfqi_constraint_gradient;

/* m = argmin m.Pm subject to rows[j].P(g + m) >= delta[j] (docs/METHODS.md, Constraint gradient).
 * m = 0 if no violated constraint has to be changed. Rows with |row|^2 below 1e-12 are left out,
 * and |m| is cut to 10 |g| + 1e-3. Infeasible constraints are replaced by their sum. */
void dfqi_constraint_gradient_solve(const dfqi_constraint_gradient *q, double *m);

/* delta of the next step: it grows by the factor 1 + p while the limit is violated and is reset
 * otherwise. */
double dfqi_constraint_gradient_delta(double delta, double first, double p, bool violated);

#endif
