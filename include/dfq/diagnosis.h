/** @file dfq/diagnosis.h
 *  @ingroup advanced
 *  Diagnosis of a quantized network by the analyses of AIT (CVPR 2022, arXiv 2203.17008). It
 *  measures the angle between the gradients of KL divergence and cross-entropy; the curvature of
 *  both losses (trace and largest eigenvalue of the Hessian); the losses over a plane through the
 *  weights; and on how many images teacher and student agree. */
#ifndef DFQ_DIAGNOSIS_H
#define DFQ_DIAGNOSIS_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/job.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The losses that are analysed, means over the images. */
enum {
    DFQ_DIAGNOSIS_KL = 0,    /**< T^2 KL(softmax(z_t/T) || softmax(z_s/T)), divided by the number of
                                  classes if asked for: what AIT minimises */
    DFQ_DIAGNOSIS_PLAIN = 1, /**< KL(softmax(z_t) || softmax(z_s)): to compare with the next */
    DFQ_DIAGNOSIS_CE = 2,    /**< cross-entropy with the labels */
    DFQ_DIAGNOSIS_LOSSES = 3 /**< number of losses */
};

/** Columns of dfq_diagnosis_get_weights(); add DFQ_DIAGNOSIS_KL, _PLAIN or _CE to NORM and
 *  TRACE. */
enum {
    DFQ_DIAGNOSIS_COSINE = 0, /**< of the angle between the gradients of KL and CE */
    DFQ_DIAGNOSIS_NORM = 1,   /**< of the gradient, Euclidean; 3 columns */
    DFQ_DIAGNOSIS_TRACE = 4,  /**< of the weight's block of the Hessian; 3 columns */
    DFQ_DIAGNOSIS_COUNT = 7   /**< number of columns */
};

/** Options of dfq_diagnosis_create(). Fill with dfq_diagnosis_options_init() first. */
typedef struct dfq_diagnosis_options {
    uint32_t struct_size; /**< set by init */
    /** 1: losses, gradients and the plane have rounded activations, as the student does; 0: float
     *  activations. Hessians always have float activations; default 1 */
    int32_t round_activations;
    int64_t batch;             /**< images at a time, 1..4096; 16 */
    uint64_t seed;             /**< of all directions; 0 */
    float temperature;         /**< T, 0.001..1000; 20 (AIT's) */
    int32_t divide_by_classes; /**< 1: KL is divided by the number of classes, as AIT does; 1 */
    int32_t probes;            /**< random vectors of the trace, 0..10000; 10. 0 leaves it out */
    int32_t power_iterations;  /**< of each eigenvalue at most, 0..10000; 30. 0 leaves them out */
    int32_t grid;              /**< points along a side of the plane, odd, 3..101; 11. 0 leaves it
                                    out */
    int32_t reserved;          /**< 0 */
} dfq_diagnosis_options;

/** Results so far, of all losses together. Filled by dfq_diagnosis_get_result(). NaN: not
 *  measured. */
typedef struct dfq_diagnosis_result {
    uint32_t struct_size;    /**< bytes the caller has room for; set before the call */
    int32_t weights;         /**< quantized weight tensors */
    int64_t values;          /**< their elements together */
    int64_t images;          /**< how many were given */
    int64_t agree;           /**< on how many teacher and student find the same class */
    int64_t teacher_correct; /**< on how many the teacher finds the label */
    int64_t student_correct; /**< on how many the student does */
    double cosine;           /**< of the angle between the gradients of KL and CE, over all weights
                                  together */
} dfq_diagnosis_result;

/** Results of one loss so far. Filled by dfq_diagnosis_get_loss(). NaN: not measured. */
typedef struct dfq_diagnosis_loss {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t settled;      /**< 1: the last power iteration changed the eigenvalue by 1 % at most */
    double loss;          /**< at the student's weights */
    double gradient_norm; /**< Euclidean */
    double trace;         /**< of the Hessian, by Hutchinson: mean of v^T H v over random signs v.
                               Divided by dfq_diagnosis_result::values it is the mean curvature */
    double trace_error;   /**< standard error of that mean; NaN with one probe */
    double eigenvalue;    /**< of the Hessian, the one of largest magnitude, by power iteration */
    int32_t iterations;   /**< power iterations done */
    int32_t reserved;     /**< 0 */
} dfq_diagnosis_loss;

/** Writes defaults: `size` must be sizeof(dfq_diagnosis_options) of the caller. */
DFQ_API void dfq_diagnosis_options_init(dfq_diagnosis_options *options, size_t size);

/** Prepares a job. The losses are functions of the quantized weights: these start at their
 *  dequantized values and are free floats, not rounded again; all else is constant. Gradients pass
 *  the rounding of activations straight through. Products with the Hessian are central differences
 *  of gradients at 1e-4 of the weights' norm, with float activations: gradients jump at every
 *  rounding threshold, and their differences would show the jumps alone. Memory: about ten floats
 *  for each weight and the activations of one batch, allocated when work begins.
 *  @param teacher       the float network; kept alive, must stay as it is
 *  @param student       the quantized one; kept alive and never changed; it must not be tuned
 *                       before the job ends
 *  @param images        F32 [n,3,S,S], normalised; kept alive
 *  @param labels        I32 [n], classes of the images; NULL: the classes the teacher finds
 *  @param options       NULL for defaults
 *  @param out_diagnosis to be given back with dfq_diagnosis_release()
 *  @return ::DFQ_E_INVALID (an option or a label out of range, teacher quantized, student not,
 *          different contexts), ::DFQ_E_SHAPE (images or labels, networks of different sizes),
 *          ::DFQ_E_UNSUPPORTED (an option this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_diagnosis_create(const dfq_graph *teacher, const dfq_graph *student,
                                            const dfq_tensor *images, const dfq_tensor *labels,
                                            const dfq_diagnosis_options *options,
                                            dfq_diagnosis **out_diagnosis);

/** NULL is fine. */
DFQ_API void dfq_diagnosis_release(dfq_diagnosis *diagnosis);

/** Runs one batch of one pass; a job has many passes over the images.
 *  @param out_finished 1: nothing is left to do; else 0
 *  @return ::DFQ_E_NUMERIC (a loss or a gradient is NaN or infinite), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_diagnosis_step(dfq_diagnosis *diagnosis, int32_t *out_finished);

/** Steps until the end. Reports stage "diagnose".
 *  @return ::DFQ_E_CANCELLED (between two steps: call again to go on), otherwise as
 *          dfq_diagnosis_step(). */
DFQ_CHECKED dfq_status dfq_diagnosis_run(dfq_diagnosis *diagnosis);

/** Memory, work and time of the job; units are batches of its passes, of which an eigenvalue that
 *  settles early needs fewer. Time is known once a batch was run.
 *  @return ::DFQ_E_INVALID (struct_size is not set), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_diagnosis_estimate(const dfq_diagnosis *diagnosis,
                                              dfq_job_cost *out_cost);

/** Writes the job between two batches, about four floats for each weight; written beside and
 *  renamed.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_diagnosis_save_checkpoint(dfq_diagnosis *diagnosis, const char *path);

/** Puts a job that was created with the same networks, images, labels and options where a
 *  checkpoint left off; it ends with the same bits as one that was not interrupted. On failure it
 *  stays as it is.
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT (no such checkpoint), ::DFQ_E_INVALID (made with other
 *          networks, images, labels or options), ::DFQ_E_UNSUPPORTED (another version),
 *          ::DFQ_E_NUMERIC, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_diagnosis_load_checkpoint(dfq_diagnosis *diagnosis, const char *path);

/** The results so far.
 *  @return ::DFQ_E_INVALID (struct_size is not set). */
DFQ_CHECKED dfq_status dfq_diagnosis_get_result(const dfq_diagnosis *diagnosis,
                                                dfq_diagnosis_result *out_result);

/** The results of loss 0 .. ::DFQ_DIAGNOSIS_LOSSES - 1 (DFQ_DIAGNOSIS_KL, _PLAIN, _CE) so far.
 *  @return ::DFQ_E_INVALID (there is no such loss, struct_size is not set). */
DFQ_CHECKED dfq_status dfq_diagnosis_get_loss(const dfq_diagnosis *diagnosis, int32_t loss,
                                              dfq_diagnosis_loss *out_loss);

/** Results for each quantized weight: a new F32 [weights, ::DFQ_DIAGNOSIS_COUNT], columns
 *  DFQ_DIAGNOSIS_*; NaN: not measured.
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_diagnosis_get_weights(const dfq_diagnosis *diagnosis,
                                                 dfq_tensor **out_weights);

/** Name of weight i = 0 .. weights - 1, in the order of dfq_crossings_get_name(). Borrowed; NULL if
 *  i is out of range. */
DFQ_API const char *dfq_diagnosis_get_name(const dfq_diagnosis *diagnosis, int32_t i);

/** The losses over the plane w + x u + y v: a new F32 [3, grid, grid], entry [k][j][i] for loss k
 *  at x = -1 + 2 i / (grid - 1), y the same of j. u and v are Gaussian, each output channel scaled
 *  to the norm of its weights (filter normalisation; Li et al., NeurIPS 2018); biases and norms
 *  stay. NaN: not measured.
 *  @return ::DFQ_E_INVALID (the grid was left out), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_diagnosis_get_surface(const dfq_diagnosis *diagnosis,
                                                 dfq_tensor **out_surface);

#ifdef __cplusplus
}
#endif
#endif
