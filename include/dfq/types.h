/** @file dfq/types.h
 *  @ingroup stable
 *  All handles, and what several nouns share. The calls of a handle are in the header of its noun.
 *
 *  A handle belongs to the context it was made with, keeps it alive, and is given back by its
 *  dfq_*_release(). Calls on handles of one context come from one thread at a time. Functions that
 *  take no handle (dfq_*_init(), dfq_version(), names of constants) may be called by any thread. */
#ifndef DFQ_TYPES_H
#define DFQ_TYPES_H

/** Allocator, threads, log and progress (dfq/context.h). After fork() the child has a copy that
 *  works, unless another thread was using the context at that moment. */
typedef struct dfq_context dfq_context;

/** A dense tensor (dfq/tensor.h). Immutable once shared; reference counted. */
typedef struct dfq_tensor dfq_tensor;

/** A network with its weights, float or fake-quantized (dfq/graph.h). Reference counted. Only a
 *  dfq_reconstructor, a dfq_tuner and a dfq_trainer change one. */
typedef struct dfq_graph dfq_graph;

/** A fake-quantization module: values to codes and back, with gradients (dfq/quantizer.h).
 *  Reference counted. */
typedef struct dfq_quantizer dfq_quantizer;

/** Bit widths of the layers of a network (dfq/bits.h). */
typedef struct dfq_bits dfq_bits;

/** A job that measures the damages of bit widths (dfq/sensitivity.h). */
typedef struct dfq_sensitivity dfq_sensitivity;

/** A network that only runs: packed weights, planned memory (dfq/runtime.h). */
typedef struct dfq_runtime dfq_runtime;

/** A set of images that stays in its file (dfq/image_set.h). */
typedef struct dfq_image_set dfq_image_set;

/** Labelled images of files, of memory or of a function (dfq/dataset.h). */
typedef struct dfq_dataset dfq_dataset;

/** A job that makes synthetic images (dfq/synthesizer.h). */
typedef struct dfq_synthesizer dfq_synthesizer;

/** A job that tunes a quantized network without labels (dfq/tuner.h). */
typedef struct dfq_tuner dfq_tuner;

/** A job that reconstructs a quantized network unit by unit (dfq/reconstructor.h). */
typedef struct dfq_reconstructor dfq_reconstructor;

/** A job of supervised training (dfq/trainer.h). */
typedef struct dfq_trainer dfq_trainer;

/** The codes of a network as they were: counts those that changed (dfq/crossings.h). */
typedef struct dfq_crossings dfq_crossings;

/** A job that measures the losses around a quantized network (dfq/diagnosis.h). */
typedef struct dfq_diagnosis dfq_diagnosis;

/** A description of one or more accelerators (dfq/accelerator.h). */
typedef struct dfq_accelerator dfq_accelerator;

/** The costs of a network on one accelerator (dfq/cost.h). */
typedef struct dfq_cost dfq_cost;

/** A search for choices within hard limits (dfq/solver.h). */
typedef struct dfq_solver dfq_solver;

/** A job that explores networks and accelerators together (dfq/explorer.h). */
typedef struct dfq_explorer dfq_explorer;

/** Optimisers; g is the gradient of a parameter p, lr its learning rate. */
enum {
    DFQ_OPTIMIZER_SGD = 0,    /**< with Nesterov momentum m = `momentum`: v = m v + g,
                                   p -= lr (g + m v) */
    DFQ_OPTIMIZER_ADAMW = 1,  /**< with decoupled weight decay */
    DFQ_OPTIMIZER_RMSPROP = 2 /**< v = beta2 v + (1 - beta2) g^2, p -= lr g / (sqrt(v) + eps);
                                   decoupled weight decay */
};

#endif
