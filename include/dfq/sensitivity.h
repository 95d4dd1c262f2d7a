/** @file dfq/sensitivity.h
 *  @ingroup advanced
 *  Which layers bear few bits: a job that measures the damage of each width in each layer of a
 *  vision transformer or a convolutional network without data, and chooses the widths of all layers
 *  (dfq/bits.h) within limits.
 *
 *  The *damage* d of a width is the KL divergence of the float network's probabilities and those of
 *  the network with this one layer's weights (or activations) at this width, a mean over synthetic
 *  images. Weights are rounded and activations have grids as dfq_graph_quantize() makes them. The
 *  *prediction* for a table of widths is the sum of its damages; it ranks tables, and is below the
 *  divergence that they have together (docs/METHODS.md, Bits of layers).
 *
 *  Use: dfq_sensitivity_create(), dfq_sensitivity_run(), dfq_sensitivity_choose(), then
 *  dfq_graph_quantize() with dfq_bits_get_configs(). */
#ifndef DFQ_SENSITIVITY_H
#define DFQ_SENSITIVITY_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/accelerator.h>
#include <dfq/bits.h>
#include <dfq/status.h>
#include <dfq/types.h>
#include <dfq/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Widths that are measured. */
enum {
    DFQ_SENSITIVITY_MIN = 2,   /**< bits of the first one */
    DFQ_SENSITIVITY_WIDTHS = 7 /**< their number: 2..8 bits */
};

/** Options of dfq_sensitivity_create(). Fill with dfq_sensitivity_options_init() first. */
typedef struct dfq_sensitivity_options {
    uint32_t struct_size; /**< set by init */
    int32_t images;       /**< images that damages are measured on, 1..4096; 32. Of given ones the
                               first, else drawn shapes (dead leaves) */
    uint64_t seed;        /**< of drawn images; 0 */
} dfq_sensitivity_options;

/** Writes defaults: `size` must be sizeof(dfq_sensitivity_options) of the caller. */
DFQ_API void dfq_sensitivity_options_init(dfq_sensitivity_options *options, size_t size);

/** Prepares a job.
 *  @param graph           a float vision transformer or CNN; kept alive, must stay as it is
 *  @param images          F32 [n,3,S,S], normalised; kept alive. NULL: drawn images, with scales
 *                         of rows, of a transformer; static scales need some
 *  @param quantize        how layers will be quantized, as dfq_graph_quantize() takes it, in mode
 *                         improved and without layers of their own; of its widths act_bits alone
 *                         matters, where act_group is chosen by it.
 *                         NULL: its defaults
 *  @param options         NULL for defaults
 *  @param out_sensitivity to be given back with dfq_sensitivity_release()
 *  @return ::DFQ_E_INVALID (options out of range, a quantized network, mode parity, layers,
 *          no images for static scales, as of a convolutional network),
 *          ::DFQ_E_SHAPE (images), ::DFQ_E_UNSUPPORTED (a network of neither kind, or one without
 *          classes), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_sensitivity_create(const dfq_graph *graph, const dfq_tensor *images,
                                              const dfq_quantize_options *quantize,
                                              const dfq_sensitivity_options *options,
                                              dfq_sensitivity **out_sensitivity);

/** Ends a job. NULL is fine. */
DFQ_API void dfq_sensitivity_release(dfq_sensitivity *sensitivity);

/** One unit of work: the network quantized at one width, seven times; then all widths of one layer.
 *  @param out_finished 1: nothing is left to do; else 0
 *  @return ::DFQ_E_NUMERIC (logits that are not finite), ::DFQ_E_CANCELLED, ::DFQ_E_NOMEM, or as
 *          dfq_graph_quantize(). */
DFQ_CHECKED dfq_status dfq_sensitivity_step(dfq_sensitivity *sensitivity, int32_t *out_finished);

/** Steps until the end. Reports stage "sensitivity".
 *  @return ::DFQ_E_CANCELLED (between two units: call again to go on), otherwise as
 *          dfq_sensitivity_step(). */
DFQ_CHECKED dfq_status dfq_sensitivity_run(dfq_sensitivity *sensitivity);

/** Writes the damages so far, beside `path` and renamed.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_sensitivity_save_checkpoint(dfq_sensitivity *sensitivity,
                                                       const char *path);

/** Takes over the damages of a job with the same network, images and options. What quantizes the
 *  network at one width is done again, if anything is left to measure.
 *  @return ::DFQ_E_INVALID (other options, network or images), ::DFQ_E_IO, ::DFQ_E_CORRUPT,
 *          ::DFQ_E_UNSUPPORTED (a newer format), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_sensitivity_load_checkpoint(dfq_sensitivity *sensitivity,
                                                       const char *path);

/** Damages so far: a new F32 [layers, 2, ::DFQ_SENSITIVITY_WIDTHS] of weights and activations;
 *  layers as in a dfq_bits. NaN: not measured, or there is no such quantizer.
 *  @return ::DFQ_E_NOMEM, ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_sensitivity_get_damages(const dfq_sensitivity *sensitivity,
                                                   dfq_tensor **out_damages);

/** Limits of dfq_sensitivity_choose(). Set up by dfq_bits_limits_init(). */
typedef struct dfq_bits_limits {
    uint32_t struct_size;    /**< set by init */
    int32_t reserved;        /**< 0 */
    double mean_weight_bits; /**< dfq_bits_means.weight_bits at most, 2 or more, with groups of 16
                                  columns 2.5 or more; 0: no limit */
    double mean_act_bits;    /**< dfq_bits_means.act_bits at most, 2 or more; 0: no limit */
    double size_bytes;       /**< of all weights at most, as they lie in a file: their codes and
                                  the grids of their groups; 0: no limit. Scales of rows are left
                                  out, as they are the same at all widths */
    double latency_ms;       /**< of an image, on the accelerator, at most; 0: no limit */
    double energy_mj;        /**< of an image, mJ at most; 0: no limit */
    double area_mm2;         /**< of the accelerator, at most; 0: no limit */
    /** of latency, energy, area and power, which need it; else NULL. Of a description of several,
     *  one is chosen together with the widths. Operands of more bits than its words are not
     *  chosen */
    const dfq_accelerator *accelerator;
    double power_mw; /**< average: energy of an image over its latency, mW at most; 0: no limit.
                          Needs the accelerator */
} dfq_bits_limits;

/** What was chosen. Filled by dfq_sensitivity_choose(). NaN: there is no accelerator. */
typedef struct dfq_bits_choice {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t proved;       /**< 1: it is proved that no widths, with any of the accelerators, have a
                               smaller prediction, costs being sums over layers */
    int64_t config;       /**< number of the accelerator in its description; -1: none was given */
    double predicted;     /**< sum of damages */
    double size_bytes;    /**< of all weights, codes and the grids of groups, as in a file */
    double latency_ms;    /**< by the exact model, as dfq_cost has it */
    double energy_mj;     /**< likewise */
    double area_mm2;      /**< likewise */
    double gap;           /**< share of `predicted` by which other widths, with any of the
                               accelerators, could be better at most, 0..1, costs being sums over
                               layers; 0 if proved */
    int32_t fused_attentions; /**< attentions whose scores stay in the accelerator's buffer, as
                                   dfq_cost has them */
    int32_t reserved;         /**< 0 */
    double power_mw;          /**< energy over latency */
} dfq_bits_choice;

/** Writes "no limit" everywhere: `size` must be sizeof(dfq_bits_limits) of the caller. */
DFQ_API void dfq_bits_limits_init(dfq_bits_limits *limits, size_t size);

/** The widths of least predicted divergence within limits, chosen exactly. The job must be
 *  finished.
 *  Limits hold by the exact cost model. Its tables of an accelerator, or of all of a description,
 *  are made by the first choice and kept until another one is given: further limits take a fraction
 *  of the time.
 *  @param limits     NULL: none, the best widths
 *  @param out_bits   a new table, to be given back with dfq_bits_release()
 *  @param out_choice struct_size must be set; may be NULL
 *  @return ::DFQ_E_INVALID (not finished; limits that are not finite or below 0; latency, energy or
 *          area without an accelerator), ::DFQ_E_INFEASIBLE (the text names the limits and what is
 *          possible), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_sensitivity_choose(dfq_sensitivity *sensitivity,
                                              const dfq_bits_limits *limits, dfq_bits **out_bits,
                                              dfq_bits_choice *out_choice);

/** Local moves from chosen widths, by the divergence that they measure: one bit more for the
 *  weights (or activations) of one layer, one less for another's, within the same limits and on the
 *  same accelerator. The moves of the least predicted divergence are tried first, each once; one
 *  that measures less is kept.
 *  @param limits       as given to dfq_sensitivity_choose(), which chose the widths
 *  @param trials       runs of the network, 1..100000
 *  @param bits         changed
 *  @param choice       of that choice; its costs and prediction are changed, and `proved` is 0 if a
 *                      move was kept
 *  @param out_measured [2] divergence before and after; may be NULL
 *  @return ::DFQ_E_INVALID (not finished, trials out of range, a table of another network, limits
 *          and choice of different accelerators), ::DFQ_E_CANCELLED (nothing has changed), as
 *          dfq_sensitivity_step(). */
DFQ_CHECKED dfq_status dfq_sensitivity_refine(dfq_sensitivity *sensitivity,
                                              const dfq_bits_limits *limits, int32_t trials,
                                              dfq_bits *bits, dfq_bits_choice *choice,
                                              double *out_measured);

/** The divergence that a table of widths has on the images of the job, without rounding it anew:
 *  each layer as it was rounded with the whole network at its width.
 *  @param bits          of the same network; a layer may be float
 *  @param out_predicted by the sum of damages, NaN before the job is finished; may be NULL
 *  @param out_measured  by a run; may be NULL
 *  @return ::DFQ_E_INVALID (a table of another network), as dfq_sensitivity_step(). */
DFQ_CHECKED dfq_status dfq_sensitivity_evaluate(dfq_sensitivity *sensitivity, const dfq_bits *bits,
                                                double *out_predicted, double *out_measured);

#ifdef __cplusplus
}
#endif
#endif
