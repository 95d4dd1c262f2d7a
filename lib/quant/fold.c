/* Folding: the spread of a linear layer's input channels is shared between activations and weights.
 *
 * With a scale s[c] for each input channel the error of the activations is smallest. But the
 * weights are then quantized as W diag(s), with one scale for each row, and channels with large s
 * dominate the row. One common scale favours the weights and harms the activations. Between the two
 * lies
 *
 *   s[c] = k S^(1-b) n[c]^b
 *
 * with the best scales n[c] of the channels and their maximum S; b and k are chosen by the error at
 * the layer's output. (The exponent is the idea of SmoothQuant, Xiao et al., ICML 2023; the folding
 * is that of RepQ-ViT, Li et al., ICCV 2023.) */
#include <math.h>
#include <string.h>

#include "quant/search.h"

enum { EXPONENTS = 5, FACTORS = 4 };
static const float exponent[EXPONENTS] = {1.0f, 0.75f, 0.5f, 0.25f, 0.0f};
static const float factor[FACTORS] = {1.0f, 0.8f, 0.6f, 0.45f};
/* Second-order rounding removes about half of the error of rounding to nearest (rounding.c). */
static const double rounding_gain = 0.5;

void dfqi_fold_candidates(dfqi_stats *s, const dfqi_site *site)
{
    const float *natural = dfqi_tensor_f32(site->scale),
                *zero_point = dfqi_tensor_f32(site->zero_point);
    float top = natural[0], mid_code = 0.5f * (site->qmin + site->qmax);
    for (int64_t i = 1; i < s->n; i++)
        if (natural[i] > top) top = natural[i];
    s->candidates = EXPONENTS * FACTORS;
    memset(s->error, 0, (size_t)(s->n * DFQI_CANDIDATES) * sizeof *s->error);
    for (int c = 0; c < s->candidates; c++)
        for (int64_t i = 0; i < s->n; i++) {
            float b = exponent[c / FACTORS];
            /* the range that the channel's own scale covers stays in the middle of the codes */
            float mid = (mid_code - zero_point[i]) * natural[i];
            float scale = factor[c % FACTORS] * powf(top, 1.0f - b) * powf(natural[i], b);
            if (b == 1.0f && c % FACTORS == 0) scale = natural[i];
            s->scale[c * s->n + i] = scale;
            s->zero_point[c * s->n + i] = mid_code - mid / scale;
        }
}

/* Sum over tokens of the squared output error that the activations of candidate c cause. */
static double activation_error(const dfqi_stats *s, int c, const double *w_square)
{
    double sum = 0;
    for (int64_t i = 0; i < s->n; i++) sum += s->error[c * s->n + i] * w_square[i];
    return sum;
}

dfq_status dfqi_fold_choose(dfqi_scheme *scheme, const dfqi_stats *s, dfqi_site *site,
                            const dfq_tensor *w, int weight_bits)
{
    dfq_context *ctx = scheme->ctx;
    int64_t rows = w->dims[0];
    const float *v = dfqi_tensor_f32(w);
    double best = INFINITY, power = 0, error = 0;
    int chosen = 0;
    dfq_status status = DFQ_E_NOMEM;
    double *w_square = dfqi_calloc(ctx, (size_t)s->n, sizeof *w_square);
    double *moment = dfqi_calloc(ctx, (size_t)s->n, sizeof *moment);
    float *scales = dfqi_calloc(ctx, (size_t)rows, sizeof *scales);
    if (!w_square || !moment || !scales) goto out;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < s->n; i++) w_square[i] += (double)v[r * s->n + i] * v[r * s->n + i];
    for (int64_t i = 0; i < s->n; i++)
        moment[i] = s->square[i]; /* sums over tokens, as the errors */
    for (int c = 0; c < s->candidates; c++) {
        double weight_error;
        DFQI_GOTO(dfqi_search_weight(ctx, w, weight_bits, s->scale + c * s->n, moment, scales,
                                     &weight_error, NULL),
                  out);
        double total = activation_error(s, c, w_square) + rounding_gain * weight_error;
        if (total < best) {
            best = total;
            chosen = c;
        }
    }
    for (int64_t i = 0; i < s->n; i++) {
        dfqi_tensor_f32(site->scale)[i] = s->scale[chosen * s->n + i];
        dfqi_tensor_f32(site->zero_point)[i] = s->zero_point[chosen * s->n + i];
        error += s->error[chosen * s->n + i];
        power += s->square[i];
    }
    site->error = power > 0 ? error / power : 0;
    dfqi_log(ctx, DFQ_LOG_DEBUG, "%s: exponent %g, factor %g", site->name,
             (double)exponent[chosen / FACTORS], (double)factor[chosen % FACTORS]);
    status = DFQ_OK;
out:
    dfqi_free(ctx, w_square);
    dfqi_free(ctx, moment);
    dfqi_free(ctx, scales);
    return status;
}
