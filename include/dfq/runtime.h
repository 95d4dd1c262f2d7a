/** @file dfq/runtime.h
 *  @ingroup stable
 *  A runtime is a network that only runs, float or quantized. Weights are packed and memory is
 *  planned once; dfq_runtime_run() allocates nothing. A quantized network is computed on its codes,
 *  in integers, where its grids allow that.
 *
 *  Use: dfq_runtime_load(), dfq_runtime_input_init(), dfq_runtime_run(). A whole program is
 *  examples/infer.c.
 *
 *  Logits of a float network, and of a network with scales of rows, have the bits of
 *  dfq_graph_forward(). With static scales they differ from it in the last bits, because sums of
 *  integers are exact and sums of floats are not. A value that lies between two codes may then get
 *  the other code, which changes what follows. Bits depend neither on the number of threads nor on
 *  the number of images.
 *
 *  A runtime serves one thread at a time, like its context. For a second thread make a second
 *  context and a clone there: clones share the weights. */
#ifndef DFQ_RUNTIME_H
#define DFQ_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/dataset.h>
#include <dfq/visibility.h>
#include <dfq/graph.h>
#include <dfq/status.h>
#include <dfq/tensor.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a runtime is made. */
typedef struct dfq_runtime_options {
    uint32_t struct_size; /**< set by dfq_runtime_options_init() */
    int32_t n_probes;     /**< names in `probes` */
    int64_t batch;        /**< images of a run at most, 1 to 65536 (1) */
    /** Names of values that can be read after a run (dfq_graph_get_probe()); NULL: none. They cost
     *  memory for the whole batch, and time, as what is only read there must be computed. */
    const char *const *probes;
    int32_t profile; /**< 1: runs measure the time of each kind of step (0) */
    /** 1: images of a quantized network are rounded to 8 bits, from black to white, and means in
     *  front of a classifier on a grid of their own, so that the first and the last layer are
     *  computed in integers as well; faster, and no more the very numbers of dfq_graph_forward();
     *  0: they read floats (0) */
    int32_t integer;
} dfq_runtime_options;

/** Images for a run: n images of the size that the network takes, one behind the other. Filled by
 *  dfq_runtime_input_init(), then `data`, `n` and `pixels` are set. */
typedef struct dfq_runtime_input {
    uint32_t struct_size; /**< set by dfq_runtime_input_init() */
    int32_t pixels;       /**< DFQ_PIXELS_*: bytes of 0..255, which the runtime normalises by the
                               network's mean and std, or floats that are normalised already */
    const void *data;     /**< the first image; read during the run alone */
    int64_t n;            /**< images, 1 to the runtime's batch */
    int64_t height;       /**< must be the network's */
    int64_t width;        /**< the same */
    int64_t channels;     /**< the same */
} dfq_runtime_input;

/** Description of a runtime. Filled by dfq_runtime_get_info(). */
typedef struct dfq_runtime_info {
    uint32_t struct_size;  /**< bytes the caller has room for; set before the call */
    int32_t quantized;     /**< 1: of a quantized network */
    int64_t batch;         /**< images of a run, at most */
    int64_t image;         /**< side of the square input, pixels; of another one the longer side */
    int64_t channels;      /**< 3 */
    int64_t classes;       /**< outputs: logits, or features of a network without a head */
    int64_t shared_bytes;  /**< weights and other constants, which clones share */
    int64_t private_bytes; /**< memory for values of this runtime alone */
    int64_t macs;          /**< multiply-accumulates of one image in linear layers, convolutions and
                                attention that are computed */
    int64_t integer_macs;  /**< of them those on codes */
    const char *kernels;   /**< that multiply codes, for example "avx512vnni"; static text */
    int64_t image_height;  /**< of the input, pixels */
    int64_t image_width;   /**< of the input, pixels */
} dfq_runtime_info;

/** A result of the last run. Filled by dfq_runtime_get_output(). */
typedef struct dfq_runtime_output {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t rank;         /**< 2 to 4 */
    int64_t dims[4];      /**< extents, row-major; the first is the images of the last run, 0 before
                               it. Images have channels first */
    const float *data;    /**< borrowed: valid until the next run or the release */
    const char *name;     /**< "logits", or that of the probe; borrowed from the runtime */
} dfq_runtime_output;

/** A kind of steps. Filled by dfq_runtime_get_part(). */
typedef struct dfq_runtime_part {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t integer;      /**< 1: products are of codes */
    int64_t macs;         /**< multiply-accumulates of one image; 0: no products */
    double seconds;       /**< of all runs together, summed over threads; 0 without `profile` */
    const char *name;     /**< "linear", "attention", "layernorm"; static text */
} dfq_runtime_part;

/** Fills `options` with the defaults. @param size sizeof *options */
DFQ_API void dfq_runtime_options_init(dfq_runtime_options *options, size_t size);

/** Makes a runtime of a network as it is now: later changes of the graph do not reach it, and the
 *  graph may be given back.
 *  @param graph       float or quantized; its context is the runtime's
 *  @param options     NULL: the defaults
 *  @param out_runtime to be given back with dfq_runtime_release()
 *  @return ::DFQ_E_INVALID (an option, a name that is no probe, a quantized CNN without ranges),
 *          ::DFQ_E_UNSUPPORTED (a field this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_runtime_create(const dfq_graph *graph,
                                          const dfq_runtime_options *options,
                                          dfq_runtime **out_runtime);

/** Makes a runtime straight from a file, without a graph that stays. What loading needed and the C
 *  library keeps goes back to the system (malloc_trim() of glibc) unless the context has an
 *  allocator.
 *  @param path    as in dfq_graph_load_with()
 *  @param load    what the file may not tell, or NULL
 *  @param options NULL: the defaults
 *  @return as dfq_graph_load_with() and dfq_runtime_create(). */
DFQ_CHECKED dfq_status dfq_runtime_load(dfq_context *context, const char *path,
                                        const dfq_load_options *load,
                                        const dfq_runtime_options *options,
                                        dfq_runtime **out_runtime);

/** Makes a runtime that shares the weights, with memory of its own. It may be called while
 *  `runtime` is running in another thread.
 *  @param context     that of the clone: another one than the runtime's, to run beside it
 *  @param out_runtime to be given back with dfq_runtime_release()
 *  @return ::DFQ_E_INVALID, ::DFQ_E_NOMEM. Errors are told by `context`. */
DFQ_CHECKED dfq_status dfq_runtime_clone(const dfq_runtime *runtime, dfq_context *context,
                                         dfq_runtime **out_runtime);

/** Gives a runtime back; the last clone frees the weights. NULL is fine. */
DFQ_API void dfq_runtime_release(dfq_runtime *runtime);

/** Fills `out_info` as far as its struct_size allows. @return ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_runtime_get_info(const dfq_runtime *runtime, dfq_runtime_info *out_info);

/** Name of class i, as dfq_graph_get_class_name() has it of the network that the runtime was made
 *  of. "": not known, or there is no such class; "" for NULL. Borrowed: it lives as long as the
 *  runtime or a clone of it. Any thread. */
DFQ_API const char *dfq_runtime_get_class_name(const dfq_runtime *runtime, int64_t i);

/** Fills `input` with the sizes of the network, n = 1, bytes with channels last, no data.
 *  @param size sizeof *input */
DFQ_API void dfq_runtime_input_init(dfq_runtime_input *input, size_t size,
                                    const dfq_runtime *runtime);

/** Runs the network. Allocates nothing and waits for no lock; work is shared out to the threads of
 *  the context.
 *  @param input      the images
 *  @param out_logits [n][classes], or NULL: dfq_runtime_get_output() has them
 *  @param capacity   floats that out_logits has room for, at least n x classes
 *  @return ::DFQ_OK, ::DFQ_E_INVALID (NULL, pixels of another kind), ::DFQ_E_SHAPE (other sizes
 *          than the network's, n above the batch, too little room). */
DFQ_CHECKED dfq_status dfq_runtime_run(dfq_runtime *runtime, const dfq_runtime_input *input,
                                       float *out_logits, int64_t capacity);

/** Runs the network on a tensor of another library, which is borrowed and read where it lies:
 *  uint8 or float32 (normalised), in CPU memory, with any strides.
 *  @param images   [n,3,height,width], or [n,height,width,3] if channels_last
 *  @param channels_last 0 or 1
 *  @return as dfq_runtime_run(); ::DFQ_E_UNSUPPORTED (another major version of DLPack, another
 *          device or element type). */
DFQ_CHECKED dfq_status dfq_runtime_run_dlpack(dfq_runtime *runtime,
                                              const struct DLManagedTensorVersioned *images,
                                              int32_t channels_last, float *out_logits,
                                              int64_t capacity);

/** Number of outputs: the logits and the probes. 0 for NULL. */
DFQ_API int32_t dfq_runtime_get_output_count(const dfq_runtime *runtime);

/** Output i of the last run: 0 the logits, then the probes in the order of the options.
 *  @param out_output struct_size must be set
 *  @return ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_runtime_get_output(const dfq_runtime *runtime, int32_t i,
                                              dfq_runtime_output *out_output);

/** Judges the runtime as dfq_graph_evaluate() judges a graph, which simulates quantized networks.
 *  @param first       first image
 *  @param n           images; 0: all from `first` on
 *  @return ::DFQ_E_INVALID (range), ::DFQ_E_IO or ::DFQ_E_CORRUPT naming a picture,
 *          ::DFQ_E_CANCELLED, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_runtime_evaluate(dfq_runtime *runtime, const dfq_dataset *dataset,
                                            int64_t first, int64_t n, dfq_accuracy *out_accuracy);

/** Reads a picture file (PNG, JPEG) as the network takes it: resized and cropped as its metadata
 *  say, ready for ::DFQ_PIXELS_U8_NHWC. The log warns of a picture whose middle alone counts.
 *  @param out_pixels [height][width][3], red, green, blue
 *  @param capacity   bytes that out_pixels has room for, at least height x width x 3
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT, ::DFQ_E_UNSUPPORTED (no such picture), ::DFQ_E_SHAPE (too
 *          small a picture, too little room), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_runtime_read_picture(const dfq_runtime *runtime, const char *path,
                                                uint8_t *out_pixels, size_t capacity);

/** Number of kinds of steps; 0 for NULL. */
DFQ_API int32_t dfq_runtime_get_part_count(const dfq_runtime *runtime);

/** Kind i of steps, in the order of their first use.
 *  @param out_part struct_size must be set
 *  @return ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_runtime_get_part(const dfq_runtime *runtime, int32_t i,
                                            dfq_runtime_part *out_part);

/** Measures what the machine can do: operations a second (two for each multiply-accumulate) on
 *  registers alone, by all threads of the runtime's context. It takes about a tenth of a second.
 *  @param out_float   of floats; 0: not known
 *  @param out_integer of codes, by the kernels in use; 0: not known
 *  @return ::DFQ_E_INVALID. */
DFQ_CHECKED dfq_status dfq_runtime_measure_peak(dfq_runtime *runtime, double *out_float,
                                                double *out_integer);

#ifdef __cplusplus
}
#endif
#endif
