/* Latencies grow with kernel and expansion, gains do so less and less, both with noise: so some
 * operators are no use, and which ones are differs from cell to cell. */
#include "toy_problem.h"

#include <math.h>
#include <stdlib.h>

enum { DRAWS = 4096 };

/* SplitMix64 (Steele et al., 2014): a few lines, the same numbers everywhere. */
static double uniform(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

void toy_make(uint64_t seed, toy *out)
{
    uint64_t state = seed * UINT64_C(0xD1342543DE82EF95) + 1;
    for (int cell = 0; cell < TOY_CELLS; cell++) {
        double size = 0.2 + 0.8 * uniform(&state), weight = 0.5 + uniform(&state);
        out->choices[cell] = TOY_OPS;
        for (int op = 0; op < TOY_OPS; op++) {
            double kernel = 3 + 2 * (op / 2), expansion = op % 2 ? 6 : 3;
            double work = expansion / 3 * (0.8 + kernel * kernel / 45);
            out->latency[op + cell * TOY_OPS] = size * work * (0.85 + 0.3 * uniform(&state));
            out->loss[op + cell * TOY_OPS] = -weight * (sqrt(work) + 0.2 * uniform(&state));
        }
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double toy_quantile(const toy *t, uint64_t seed, double share)
{
    double sums[DRAWS];
    uint64_t state = ~seed;
    for (int i = 0; i < DRAWS; i++) {
        sums[i] = 0;
        for (int cell = 0; cell < TOY_CELLS; cell++)
            sums[i] += t->latency[cell * TOY_OPS + (int)(uniform(&state) * TOY_OPS)];
    }
    qsort(sums, DRAWS, sizeof *sums, ascending);
    return sums[(int)(share * (DRAWS - 1))];
}

void toy_pair_make(uint64_t seed, toy_pair *out)
{
    uint64_t state = seed * UINT64_C(0x9FB21C651E98DF25) + 7;
    toy t;
    toy_make(seed, &t);
    *out = (toy_pair){.choices = {0}};
    for (int cell = 0; cell < TOY_CELLS; cell++) out->choices[cell] = TOY_OPS;
    for (int f = 0; f < TOY_HW_PARAMS; f++) out->choices[TOY_CELLS + f] = f < 2 ? 5 : 3;
    for (int i = 0; i < TOY_TOTAL; i++) {
        double suits[3], *latency = out->cost + i * TOY_CONFIGS, *energy;
        energy = latency + TOY_TOTAL * TOY_CONFIGS;
        out->loss[i] = t.loss[i];
        for (int flow = 0; flow < 3; flow++) suits[flow] = 1 + 0.5 * uniform(&state);
        for (int c = 0; c < TOY_CONFIGS; c++) {
            double x = 8 + 4 * (c / 15), y = 8 + 4 * (c / 3 % 5);
            latency[c] = t.latency[i] * (0.2 + 0.8 * 256 / (x * y)) * suits[c % 3];
            energy[c] = 0.2 * t.latency[i] * (1 + 0.3 * suits[c % 3]) + latency[c] * x * y / 2048;
        }
    }
    for (int c = 0; c < TOY_CONFIGS; c++)
        out->base[2 * TOY_CONFIGS + c] = 0.5 + (8 + 4 * (c / 15)) * (8 + 4 * (c / 3 % 5)) / 100.0;
}

double toy_pair_quantile(const toy_pair *t, uint64_t seed, int metric, double share)
{
    double sums[DRAWS];
    uint64_t state = ~seed;
    for (int i = 0; i < DRAWS; i++) {
        int config = (int)(uniform(&state) * TOY_CONFIGS);
        sums[i] = t->base[metric * TOY_CONFIGS + config];
        for (int cell = 0; cell < TOY_CELLS; cell++) {
            int op = cell * TOY_OPS + (int)(uniform(&state) * TOY_OPS);
            sums[i] += t->cost[(metric * TOY_TOTAL + op) * TOY_CONFIGS + config];
        }
    }
    qsort(sums, DRAWS, sizeof *sums, ascending);
    return sums[(int)(share * (DRAWS - 1))];
}
