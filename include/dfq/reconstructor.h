/** @file dfq/reconstructor.h
 *  @ingroup stable
 *  A reconstructor moves the weights of a quantized network (the *student*) unit by unit, so that
 *  each unit gives what it gives in the float original (the *teacher*). It needs no labels and no
 *  image of the training set.
 *
 *  Use: dfq_reconstructor_create() with synthetic images, dfq_reconstructor_run(), and the student
 *  is reconstructed in place. It can be tuned afterwards (dfq/tuner.h).
 *
 *  **Units** follow each other in the network: the embedding or the stem, transformer blocks,
 *  residual units, the classifier. A unit ends where the rest of the network reads one value alone,
 *  and has at least 4 layers in a transformer, 2 in a convolutional network; so families need no
 *  list of them. The units before the running one are done, those behind it do not matter yet.
 *
 *  **Loss.** With x and x~ the inputs of unit u in teacher and student on the same images, a step
 *  moves weights, biases, norms, scales and zero points of the unit against the gradient of
 *
 *      L = mean (u_s(x~') - u_t(x))^2 / L0  +  feature_weight * mean (F(u_s(x~')) - f)^2 / F0
 *
 *  The second term is there in the last feature_units units: F is the rest of the teacher up to
 *  the input of its classifier, f what the teacher has there (GLF-Q, 2026). L0 and F0 are the
 *  errors of the first step. x~' has half of its values, by chance, from x, and each quantizer of
 *  activations inside lets half of the values pass as they are (QDrop, ICLR 2022, arXiv
 *  2203.05740), so that the unit does not learn the errors of these images by heart. Gradients pass
 *  rounding straight through. A weight begins in the cell of its code, where it is nearest to the
 *  float weight: the first forward pass is that of the student as it was.
 *
 *  **Result.** If L on all views, without any dropping, is not below what it was before the unit's
 *  steps, the unit gets its parameters back.
 *
 *  **Views.** Inputs of units are kept for `views` images, drawn from those given once: as they
 *  are, or cropped and mirrored; with ::DFQ_AUGMENT_SYNTHETIC paler and partly blurred, a quarter
 *  of them dead leaves. Memory for them is three times the largest unit's input or output, at most
 *  1 GiB: fewer are drawn if more would be needed.
 *
 *  The same teacher, student, images, options and build give the same bits at any number of
 *  threads. One thread at a time may use a reconstructor and the two networks; a second job on the
 *  same student must not run meanwhile. */
#ifndef DFQ_RECONSTRUCTOR_H
#define DFQ_RECONSTRUCTOR_H

#include <dfq/job.h>
#include <dfq/status.h>
#include <dfq/tuner.h>
#include <dfq/types.h>
#include <dfq/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Options of dfq_reconstructor_create(). Fill with dfq_reconstructor_options_init() first. */
typedef struct dfq_reconstructor_options {
    uint32_t struct_size;      /**< set by init */
    int32_t augment;           /**< DFQ_AUGMENT_* of dfq/tuner.h; synthetic, CNNs none */
    int64_t steps;             /**< of each unit, 1..10 million; 400 */
    int64_t batch;             /**< images of a step, 1..4096; 2, CNNs 32. Cut to the views */
    int64_t views;             /**< images whose inputs of units are kept, 1..1 million; 512, CNNs
                                    1024. Without augmentation cut to the images */
    uint64_t seed;             /**< of views, their order and dropping; 0 */
    float learning_rate;       /**< Adam's, of weights, 0..1000; 3e-4. All fall by a cosine to 0 */
    float bias_learning_rate;  /**< of biases, norms and embeddings, 0..1000; 3e-3 */
    float scale_learning_rate; /**< of the logarithms of activation scales, and of zero points,
                                    0..1000; 5e-3 */
    float feature_weight;      /**< of the final feature's error, 0..1e6; 1 */
    int32_t feature_units;     /**< how many of the last units before the classifier have it in
                                    their loss, 0..1000; 7, CNNs 0 */
    int32_t drop;              /**< 0: nothing is dropped; 1 */
} dfq_reconstructor_options;

/** Writes the defaults.
 *  @param options what to fill; then change what you want
 *  @param size    sizeof(dfq_reconstructor_options) of the caller
 *  @param graph   the network, teacher or student, whose family decides some of them; NULL: a
 *                 vision transformer */
DFQ_API void dfq_reconstructor_options_init(dfq_reconstructor_options *options, size_t size,
                                            const dfq_graph *graph);

/** Prepares a job. Views are drawn when work begins.
 *  @param teacher the float network; kept alive by the job, must stay as it is. If the student is
 *                 rotated (dfq_graph_info.rotation) the job has a rotated copy of it instead
 *  @param student the quantized one, made from the teacher by dfq_graph_quantize(); kept alive, and
 *                 changed in place
 *  @param images  F32 [n,3,S,S], normalised with the network's mean and std, as those of
 *                 dfq_synthesizer_get_images(); kept alive, must stay as they are
 *  @param options NULL for the defaults
 *  @param out_reconstructor to be given back with dfq_reconstructor_release()
 *  @return ::DFQ_E_INVALID (an option out of range, teacher quantized, student not, ranges of a
 *          CNN not known yet, different contexts), ::DFQ_E_SHAPE (images, or networks of different
 *          sizes), ::DFQ_E_UNSUPPORTED (an option this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_reconstructor_create(const dfq_graph *teacher, dfq_graph *student,
                                                const dfq_tensor *images,
                                                const dfq_reconstructor_options *options,
                                                dfq_reconstructor **out_reconstructor);

/** As dfq_reconstructor_create(), with the images of a set, which are read when views are drawn.
 *  Bits and checkpoints are those of the same images in a tensor.
 *  @param set kept alive by the job; its file must stay as it is
 *  @return as dfq_reconstructor_create(); ::DFQ_E_INVALID (a set of another context). Work may also
 *          return ::DFQ_E_IO, see dfq_image_set_read(). */
DFQ_CHECKED dfq_status dfq_reconstructor_create_from(const dfq_graph *teacher, dfq_graph *student,
                                                     dfq_image_set *set,
                                                     const dfq_reconstructor_options *options,
                                                     dfq_reconstructor **out_reconstructor);

/** Ends a job; the student stays as it is. NULL is fine. */
DFQ_API void dfq_reconstructor_release(dfq_reconstructor *reconstructor);

/** One step of the running unit; the first of a unit also computes what the unit should give, the
 *  last one what it gives now.
 *  @param out_finished 1: nothing is left to do; else 0
 *  @return ::DFQ_E_NUMERIC (the loss is NaN or infinite: the text names the unit and the step, and
 *          the job is over), ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_reconstructor_step(dfq_reconstructor *reconstructor,
                                              int32_t *out_finished);

/** Steps until the end. Reports stage "reconstruct" after each step; its loss is L.
 *  @return ::DFQ_E_CANCELLED (between two steps: call again to go on), otherwise as
 *          dfq_reconstructor_step(). */
DFQ_CHECKED dfq_status dfq_reconstructor_run(dfq_reconstructor *reconstructor);

/** Squared errors of the units done, on all views, in proportion to the power of what should be: a
 *  new F32 [units done, 4], of the unit's output before and after its steps, and of the final
 *  feature before and after, 0 where it is not part of the loss.
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_reconstructor_get_errors(const dfq_reconstructor *reconstructor,
                                                    dfq_tensor **out_errors);

/** Memory, work and time of the job; its units are steps. Allocates nothing that stays.
 *  @return ::DFQ_E_INVALID (struct_size is not set), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_reconstructor_estimate(const dfq_reconstructor *reconstructor,
                                                  dfq_job_cost *out_cost);

/** Writes the state of the job to a safetensors file, beside `path` and renamed: the student's
 *  parameters, scales and zero points, moments of the running unit, errors, and fingerprints of
 *  options, quantizers, teacher and images.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_reconstructor_save_checkpoint(dfq_reconstructor *reconstructor,
                                                         const char *path);

/** Puts a job that was created with the same teacher, quantizers, images and options where a
 *  checkpoint left off, before its first step. Inputs of units are computed anew. The student will
 *  have the same bits as after an uninterrupted job. On failure the student may have changed only
 *  if the status is ::DFQ_E_IO or ::DFQ_E_NOMEM.
 *  @return ::DFQ_E_INVALID (other options, quantizers, teacher or images; a job that has begun),
 *          ::DFQ_E_IO, ::DFQ_E_CORRUPT, ::DFQ_E_UNSUPPORTED (a newer format), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_reconstructor_load_checkpoint(dfq_reconstructor *reconstructor,
                                                         const char *path);

#ifdef __cplusplus
}
#endif
#endif
