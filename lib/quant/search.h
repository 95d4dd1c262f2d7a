/* The error search for the grid of one quantizer. Statistics of the operand and errors of candidate
 * grids are streamed, so memory does not grow with the number of images. */
#ifndef DFQI_QUANT_SEARCH_H
#define DFQI_QUANT_SEARCH_H

#include "graph/exec.h"
#include "quant/scheme_priv.h"

enum { DFQI_CANDIDATES = 27, DFQI_LOG_CANDIDATES = 6 };

typedef struct dfqi_stats {
    int64_t n;                             /* scales of the site */
    float *min, *max;                      /* [n] */
    double *square;                        /* [n] sum of x^2 */
    double *count;                         /* [n] values seen */
    int candidates;                        /* in use, up to DFQI_CANDIDATES */
    float *scale, *zero_point;             /* [DFQI_CANDIDATES][n] */
    double *error;                         /* [DFQI_CANDIDATES][n] */
    double log_error[DFQI_LOG_CANDIDATES]; /* attention maps only */
    float *tile;                           /* scratch */
} dfqi_stats;

/* An operand as parts of rows: [parts][rows][cols]. Operands with heads have heads parts an image,
 * each with its own scales if there are several (graph/ops_quant.c). */
typedef struct dfqi_view {
    const float *x;
    int64_t parts, heads, rows, cols, scales;
    const float *values; /* attention maps: the other factor, [parts][cols][depth] */
    int64_t depth;
} dfqi_view;

DFQI_CHECKED dfq_status dfqi_stats_new(dfq_context *ctx, int64_t n, int64_t tile_floats,
                                       dfqi_stats *out);
void dfqi_stats_fini(dfq_context *ctx, dfqi_stats *s);
/* Scratch floats for an operand with `cols` columns; `depth` of the values for maps, else 0. */
int64_t dfqi_stats_tile(int64_t cols, int64_t depth);

/* Minimum, maximum and power of each scale's values. */
void dfqi_stats_add(dfqi_stats *s, const dfqi_view *v);
/* Makes candidates that shrink the range from both ends; clears the errors. */
void dfqi_stats_shrink(dfqi_stats *s, const dfqi_site *site);
/* Adds the squared error of every candidate: the error of the operand, or for attention maps the
 * error of the product with the values, because their many small entries add up. */
void dfqi_stats_errors(dfqi_stats *s, const dfqi_site *site, const dfqi_view *v,
                       const dfqi_kernels *k);
/* The best scale and zero point for each scale; for maps the better of both kinds of grid. */
void dfqi_stats_choose(const dfqi_stats *s, dfqi_site *site);

/* -- folding (fold.c) -------------------------------------------------------------------------- */

/* Makes the candidates of folding: mixtures of the scales found for each channel with one common
 * scale. */
void dfqi_fold_candidates(dfqi_stats *s, const dfqi_site *site);
/* Chooses the candidate with the smallest error at the layer's output, which is the error of the
 * activations and of the weight `w`. */
DFQI_CHECKED dfq_status dfqi_fold_choose(dfqi_scheme *scheme, const dfqi_stats *s, dfqi_site *site,
                                         const dfq_tensor *w, int weight_bits);

#endif
