/** @file dfq/synthesizer.h
 *  @ingroup stable
 *  The synthetic-data generator: a job that makes images for data-free quantization from a trained
 *  network alone. No image of the training set is needed.
 *
 *  Use: dfq_synthesizer_create() with a float network, dfq_synthesizer_run(),
 *  dfq_synthesizer_get_images(); then dfq_graph_quantize() and dfq_tuner_create() with the images.
 *
 *  **Vision transformers** (MimiQ, AAAI 2025, arXiv 2407.20021). A batch x of B images starts as
 *  noise, with random classes y. The network f is frozen; the images are optimised:
 *
 *      L(x) = attention_weight * L_IH(x~) + class_weight * CE(f(x~), y) + tv_weight * TV(x)
 *
 *  - x~ is x, rolled by a few pixels, with a random colour offset and contrast per image and
 *    channel, new in every iteration.
 *  - L_IH, the inter-head loss, is the mean of 1 - SSIM^2 (or 1 - |SSIM|) over blocks, images,
 *    patch queries and ordered pairs of heads. SSIM compares the raw query-key products of two
 *    heads (without the class token, each row scaled to 0..1).
 *  - CE is the mean cross-entropy.
 *  - TV, total variation, is the sum of four Frobenius norms of neighbour differences over the
 *    batch, diagonal ones divided by sqrt(2).
 *
 *  AdamW (0.9, 0.999) moves x; its learning rate falls as half a cosine. After each step x is
 *  clamped to the range of real pictures.
 *
 *  With `multi_scale` an image is a sum of planes of 1/1, 1/2, 1/4 ... of its side, interpolated
 *  bilinearly, in luminance and two colour differences. Each plane starts as N(0,0.01) and has an
 *  AdamW of its own, which moves fine scales and colour less. So the energy is spread as in natural
 *  pictures. Without it every pixel is moved by itself, as published.
 *
 *  **Convolutional networks.** Kind BNS (ZeroQ, CVPR 2020, arXiv 2001.00281) replaces L_IH by
 *
 *      L_BNS = mean over BatchNorms of (|m - m'|^2 + |v - v'|^2) / C
 *
 *  m and v are mean and biased variance of the batch per channel, m' and v' the running statistics
 *  of the network, C the number of channels. CE weighs a tenth of class_weight; with 0 no classes
 *  are used.
 *
 *  Kinds GDFQ (ECCV 2020, arXiv 2003.03603), QIMERA (NeurIPS 2021, arXiv 2111.02625) and ARC
 *  (AutoReCon, IJCAI 2021, arXiv 2105.12151) train a generator network, noise and class in, image
 *  out, by CE + 0.1 L_BNS for `iterations` batches, and then sample it.
 *  dfq_tuner_create_with_generator() trains such a network beside a student.
 *
 *  A batch depends on the seed and its own number alone. The same graph, options and build give the
 *  same bits at any thread count, also when a job was stopped and resumed. */
#ifndef DFQ_SYNTHESIZER_H
#define DFQ_SYNTHESIZER_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Kinds of images. */
enum {
    DFQ_SYNTHESIZER_AUTO =
        -1, /**< ATTENTION of vision transformers, BNS of convolutional networks */
    DFQ_SYNTHESIZER_ATTENTION = 0, /**< the whole objective (MimiQ) */
    DFQ_SYNTHESIZER_PRIOR = 1,     /**< class prior and total variation, without L_IH */
    DFQ_SYNTHESIZER_NOISE = 2, /**< N(0,1) clamped to the range of pictures; nothing is optimised */
    DFQ_SYNTHESIZER_PSE = 3,   /**< PSAQ-ViT (ECCV 2022, arXiv 2203.02250), objective and schedule:
                                  see dfq_synthesizer_options */
    DFQ_SYNTHESIZER_BNS = 4,   /**< the objective with L_BNS for L_IH; needs BatchNorms */
    DFQ_SYNTHESIZER_GDFQ = 5,  /**< samples of GDFQ's generator network; needs BatchNorms */
    DFQ_SYNTHESIZER_QIMERA =
        6,                     /**< of Qimera's; in 40 % of the batches images are of mixed classes,
                                   and labels are the largest of each */
    DFQ_SYNTHESIZER_ARC = 7,   /**< samples of AutoReCon's generator network */
    DFQ_SYNTHESIZER_LEAVES = 8 /**< dead leaves: opaque shapes of many sizes with textures and
                                  shading; nothing is optimised and no network is asked
                                  (Baradad et al., NeurIPS 2021, arXiv 2106.05963) */
};

/** How L_IH measures the distance of two heads with similarity S. */
enum {
    DFQ_DISTANCE_SQUARE = 0,  /**< 1 - S^2: what the authors' program does */
    DFQ_DISTANCE_ABSOLUTE = 1 /**< 1 - |S|: the paper speaks of an absolute similarity */
};

/** Columns of dfq_synthesizer_get_losses(). */
enum {
    DFQ_LOSS_TOTAL = 0,     /**< L */
    DFQ_LOSS_ATTENTION = 1, /**< L_IH, or the entropy term of kind PSE, or L_BNS; unweighted */
    DFQ_LOSS_CLASS = 2,     /**< CE, unweighted */
    DFQ_LOSS_TV = 3,        /**< TV, unweighted; kind PSE: its distance from v */
    DFQ_LOSS_COUNT = 4      /**< number of columns */
};

/** Options of dfq_synthesizer_create(). Fill with dfq_synthesizer_options_init() first.
 *
 *  Kind ::DFQ_SYNTHESIZER_PSE is PSAQ-ViT as published, whatever the options from `tv_weight` to
 *  `multi_scale` say. L_IH is replaced by the patch similarity entropy: minus the sum over blocks
 *  of the entropy of a Gaussian density (width 0.01, 10 points) of cosine similarities between
 *  patches. TV is |TV(x~) - v|, diagonal differences not divided by sqrt(2), weight 0.05; v is
 *  uniform in 2500..3000, drawn once for each batch, for 32 images of 224 pixels, and in
 *  proportion to the root of the number of pixels otherwise. x~ is x rolled by the same offset
 *  on both axes, up to 15 pixels, then 30, and mirrored in half of the iterations. Adam (0.5,
 *  0.9); in each half of the iterations the learning rate rises to 0.2 over a fifth, then falls to
 *  0 along a cosine. The paper's program takes batches of 32 and 1000 iterations.
 *
 *  Kind ::DFQ_SYNTHESIZER_BNS has no colour jitter, which would change the statistics themselves.
 *
 *  The kinds with a generator network use the options kind, images, batch, iterations and seed
 *  alone. The optimiser is Adam (0.5, 0.999) with learning rate 1e-3, which falls to a tenth after
 *  each quarter of the iterations. A batch has 2 images or more and is not cut to `images`. The
 *  publications use batches of 200 (CIFAR) and 16 (ImageNet), and 80,000 iterations beside a
 *  student. Images are the outputs of the generator network, normalised, not clamped. */
typedef struct dfq_synthesizer_options {
    uint32_t struct_size; /**< set by init */
    int32_t kind;         /**< DFQ_SYNTHESIZER_*; default ::DFQ_SYNTHESIZER_AUTO */
    int64_t images;       /**< images in all, 1..10 million; default 256 */
    int64_t batch;        /**< images optimised together, 1..4096, cut to `images`; default 16, of a
                               generator see init. The last batch is computed whole, then cut */
    int64_t iterations;   /**< steps of each batch, or of the generator, 1..1 million; default 100,
                               of a generator 1000; as published see init */
    uint64_t seed;        /**< any number; default 0 */
    float attention_weight;  /**< of L_IH or L_BNS, 0..1e6, 0 leaves the term out; default 1 */
    float class_weight;      /**< of CE, 0..1e6, 0 leaves the term out; default 1 */
    float tv_weight;         /**< of TV, 0..1e6, 0 leaves the term out; default 2.5e-5 */
    float learning_rate;     /**< the first one, 0..1000; default 0.1 */
    float end_learning_rate; /**< what the cosine ends at; default 0.001 */
    float weight_decay;      /**< decoupled, 0..1; default 1e-6 */
    int32_t roll_first;      /**< largest roll in the first half, 0..4096 pixels; default 8 */
    int32_t roll_second;     /**< in the second half; default 16 */
    int32_t flip;            /**< 1: the batch is mirrored in half of the iterations; default 0 */
    int32_t jitter;          /**< 1: colour offset and contrast; default 1 */
    int32_t multi_scale;     /**< 1: multi-scale parametrisation, see above; 0: each pixel is a
                                 parameter, as published; default 1, in mode
                                 ::DFQ_MODE_PARITY 0 */
    int32_t distance;        /**< DFQ_DISTANCE_*: of two heads; default ::DFQ_DISTANCE_SQUARE */
} dfq_synthesizer_options;

/** What a job costs. Filled by dfq_synthesizer_estimate(). */
typedef struct dfq_synthesizer_cost {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    int64_t bytes;        /**< memory at the peak of the job, of saving its images, and of the
                               similarity of heads of 32 of them, without the network's weights */
    int64_t macs;         /**< multiply-accumulates of one iteration of one batch */
    double seconds;       /**< of one iteration of one batch; NaN: not measured yet */
    double seconds_left;  /**< to the end of the job; NaN: unknown */
    int64_t units;        /**< iterations of all batches; of a generator its own and one for each
                               batch of samples */
    int64_t done;         /**< iterations done */
    int64_t images_done;  /**< images of finished batches */
} dfq_synthesizer_cost;

/** Writes the defaults of a kind of images.
 *  @param options what to fill; then change what you want
 *  @param size    sizeof(dfq_synthesizer_options) of the caller
 *  @param kind    DFQ_SYNTHESIZER_*, which `kind` becomes
 *  @param mode    DFQ_MODE_*: with ::DFQ_MODE_PARITY iterations are those of the publication (2000,
 *                 kind PSE 1000, kind BNS 500) and each pixel is a parameter. A generator network
 *                 has 1000 iterations in both
 *  @param graph   the network the images are for: ::DFQ_SYNTHESIZER_AUTO becomes the kind that it
 *                 stands for, and a generator's batch is 200 for pictures of up to 64 pixels and 16
 *                 for larger ones. NULL: ::DFQ_SYNTHESIZER_AUTO stays, with the iterations of
 *                 ::DFQ_SYNTHESIZER_ATTENTION; small pictures */
DFQ_API void dfq_synthesizer_options_init(dfq_synthesizer_options *options, size_t size,
                                          int32_t kind, int32_t mode, const dfq_graph *graph);

/** Prepares a job. Large memory is allocated only when work begins, so dfq_synthesizer_estimate()
 *  can be asked before.
 *  @param graph         a float network; kept alive by the job, must not be tuned meanwhile
 *  @param options       NULL for defaults
 *  @param out_synthesizer to be given back with dfq_synthesizer_release()
 *  @return ::DFQ_E_INVALID (an option out of range, a quantized network), ::DFQ_E_UNSUPPORTED (an
 *          option this library does not know; a kind that the network has no attention heads or no
 *          BatchNorms for: the text names those that work), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_create(const dfq_graph *graph,
                                              const dfq_synthesizer_options *options,
                                              dfq_synthesizer **out_synthesizer);

/** Ends a job; images handed out stay. NULL is fine. */
DFQ_API void dfq_synthesizer_release(dfq_synthesizer *synthesizer);

/** One iteration of the current batch, or of the generator. A batch that becomes NaN or infinite is
 *  drawn anew, three times at most.
 *  @param out_finished 1: all images are made, there is nothing left to do; else 0
 *  @return ::DFQ_E_NUMERIC (a batch diverged four times, or the generator), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_step(dfq_synthesizer *synthesizer, int32_t *out_finished);

/** Steps until all images are made. Reports stage "synth" after each iteration; its loss is L.
 *  @return ::DFQ_E_CANCELLED (between two iterations: call again to go on), otherwise as
 *          dfq_synthesizer_step(). */
DFQ_CHECKED dfq_status dfq_synthesizer_run(dfq_synthesizer *synthesizer);

/** The images of finished batches.
 *  @param out_images F32 [n,3,S,S], normalised with the network's mean and std; a new reference,
 *                    nothing is copied once the job is complete
 *  @return ::DFQ_E_INVALID (no batch is finished), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_get_images(const dfq_synthesizer *synthesizer,
                                                  dfq_tensor **out_images);

/** Their classes: I32 [n], 0..classes - 1, uniformly random. As dfq_synthesizer_get_images(). */
DFQ_CHECKED dfq_status dfq_synthesizer_get_labels(const dfq_synthesizer *synthesizer,
                                                  dfq_tensor **out_labels);

/** The curves: a new F32 [done, ::DFQ_LOSS_COUNT], one row for each iteration done (columns
 *  DFQ_LOSS_*), as it was before the step, batch after batch. NaN for terms that are not in the
 *  objective.
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_get_losses(const dfq_synthesizer *synthesizer,
                                                  dfq_tensor **out_losses);

/** How alike the heads attend: per block, the mean SSIM over patch queries and pairs of different
 *  heads, a new F32 [depth], between -1 and 1. It is measured on the first `n` finished images, as
 *  they were drawn and as they are. One forward pass each.
 *  @param n at most this many images; 0: all that are finished
 *  @return ::DFQ_E_INVALID (n < 0, no batch is finished), ::DFQ_E_UNSUPPORTED (a convolutional
 *          network), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_get_similarity(const dfq_synthesizer *synthesizer, int64_t n,
                                                      dfq_tensor **out_before,
                                                      dfq_tensor **out_after);

/** Memory, work and time of the job.
 *  @param probe 1: if no iteration was timed yet, evaluates the objective twice and times the
 *  second (the job stays as it is); this allocates the job's memory. 0: takes what is known
 *  @return ::DFQ_E_INVALID (struct_size is not set), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_estimate(dfq_synthesizer *synthesizer, int32_t probe,
                                                dfq_synthesizer_cost *out_cost);

/** Keeps finished images in a file instead of in memory, so that memory for one batch is enough.
 *  The file has no name, takes its disk space at once (4 bytes a value), and is removed when the
 *  synthesizer and its sets are released or the process ends. Call it before the first step,
 *  dfq_synthesizer_load_checkpoint() and an estimate with `probe`.
 *  @param folder where there is room for it
 *  @return ::DFQ_E_INVALID (work has begun), ::DFQ_E_IO, ::DFQ_E_NOMEM. Later steps may return
 *          ::DFQ_E_IO as well; the batch is then made again by the next one. */
DFQ_CHECKED dfq_status dfq_synthesizer_spool(dfq_synthesizer *synthesizer, const char *folder);

/** The finished images of such a synthesizer as a set, which shares the file and may outlive it.
 *  @param out_set to be given back with dfq_image_set_release()
 *  @return ::DFQ_E_INVALID (no dfq_synthesizer_spool(), no batch is finished), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_get_set(const dfq_synthesizer *synthesizer,
                                               dfq_image_set **out_set);

/** Writes the finished images as a set.
 *  @param folder  made if it is not there
 *  @param replace 0: a folder that holds a set already is left alone
 *  @return as dfq_image_set_save_tensors(); ::DFQ_E_INVALID (no batch is finished). */
DFQ_CHECKED dfq_status dfq_synthesizer_save(const dfq_synthesizer *synthesizer, const char *folder,
                                            int32_t replace);

/** Writes the state of the job to a safetensors file, beside `path` and renamed: the current batch
 *  or the generator with its moments, and fingerprints of options and weights. Finished images lie
 *  in a file of their own, `path` with ".images-a" or ".images-b" behind it, to which each is
 *  written once; both files are the checkpoint. One that cannot be written leaves the one before as
 *  it was.
 *  @return ::DFQ_E_IO, ::DFQ_E_EXISTS (a file of that name which is none of a checkpoint),
 *           ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_synthesizer_save_checkpoint(const dfq_synthesizer *synthesizer,
                                                       const char *path);

/** Puts a job that was created with the same graph and options where a checkpoint left off. The
 *  images will have the same bits as those of an uninterrupted job. On failure the job is as it
 *  was.
 *  @return ::DFQ_E_INVALID (other options, other weights, the job is complete already), ::DFQ_E_IO,
 *          ::DFQ_E_CORRUPT, ::DFQ_E_NUMERIC, ::DFQ_E_UNSUPPORTED (a newer format), ::DFQ_E_NOMEM.
 */
DFQ_CHECKED dfq_status dfq_synthesizer_load_checkpoint(dfq_synthesizer *synthesizer,
                                                       const char *path);

#ifdef __cplusplus
}
#endif
#endif
