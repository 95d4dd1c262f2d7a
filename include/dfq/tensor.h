/** @file dfq/tensor.h
 *  @ingroup stable
 *  Tensors: how images, logits and weights cross the border. Dense, row-major, in CPU memory.
 *
 *  A tensor is immutable once it has been handed to another libdfq call; whoever creates one writes
 *  its data before. Reference counts are atomic: dfq_tensor_retain(), dfq_tensor_release() and the
 *  deleters of exported tensors may run on any thread, everything else serves one thread at a time
 *  like the context.
 *
 *  Exchange with NumPy, PyTorch, JAX and others goes by DLPack. libdfq knows the binary layout of
 *  DLPack 1.x and forward-declares the two structs: bring any dlpack.h, or none. */
#ifndef DFQ_TENSOR_H
#define DFQ_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct DLManagedTensor;
struct DLManagedTensorVersioned;

/** Element types; the values never change. */
enum {
    DFQ_DTYPE_F32 = 0,  /**< IEEE binary32 */
    DFQ_DTYPE_F16 = 1,  /**< IEEE binary16 */
    DFQ_DTYPE_BF16 = 2, /**< the upper half of a binary32 */
    DFQ_DTYPE_U8 = 3,   /**< 0..255 */
    DFQ_DTYPE_I8 = 4,   /**< -128..127 */
    DFQ_DTYPE_I32 = 5,  /**< two's complement */
    DFQ_DTYPE_I64 = 6   /**< two's complement */
};

/** Largest rank of a tensor. */
#define DFQ_RANK_MAX 6

/** Value of ::DFQ_RANK_MAX in the loaded library, for bindings that cannot read macros. */
DFQ_API int32_t dfq_rank_max(void);

/** Name of an element type as safetensors writes it, for example "BF16"; "?" for an unknown value.
 *  Static text, never NULL. Any thread. */
DFQ_API const char *dfq_dtype_name(int32_t dtype);

/** Bytes of one element; 0 for an unknown type. Any thread. */
DFQ_API size_t dfq_dtype_bytes(int32_t dtype);

/** Creates a tensor filled with zeros.
 *  @param context    where memory comes from and errors go; kept alive by the tensor
 *  @param dtype      one of DFQ_DTYPE_*
 *  @param rank       number of axes, 0..::DFQ_RANK_MAX; 0 is a scalar with one element
 *  @param dims       `rank` extents, each >= 0, outermost first; copied; may be NULL for rank 0
 *  @param out_tensor one reference, to be given back with dfq_tensor_release()
 *  @return ::DFQ_OK, ::DFQ_E_INVALID (NULL argument, unknown dtype), ::DFQ_E_SHAPE (rank out of
 *          range, negative extent, more bytes than can be addressed), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tensor_create(dfq_context *context, int32_t dtype, int32_t rank,
                                         const int64_t *dims, dfq_tensor **out_tensor);

/** Another reference to the same tensor; returns `tensor`. NULL gives NULL. Any thread. */
DFQ_API dfq_tensor *dfq_tensor_retain(const dfq_tensor *tensor);

/** Gives one reference back; the last one frees the memory or runs the deleter it was imported
 *  with. NULL is fine. Any thread. */
DFQ_API void dfq_tensor_release(dfq_tensor *tensor);

/** First element; the rest follows in row-major order. Borrowed: valid while a reference is held.
 *  Aligned to 64 bytes unless imported. Write only to a tensor you created and have not shared yet.
 *  NULL only for NULL, or for an imported tensor that came without elements. */
DFQ_API void *dfq_tensor_get_data(const dfq_tensor *tensor);

/** The extents, dfq_tensor_get_rank() of them. Borrowed. NULL for NULL. */
DFQ_API const int64_t *dfq_tensor_get_dims(const dfq_tensor *tensor);

/** Number of axes, 0..::DFQ_RANK_MAX. 0 for NULL. */
DFQ_API int32_t dfq_tensor_get_rank(const dfq_tensor *tensor);

/** One of DFQ_DTYPE_*; -1 for NULL. */
DFQ_API int32_t dfq_tensor_get_dtype(const dfq_tensor *tensor);

/** Bytes of all elements together. 0 for NULL. */
DFQ_API size_t dfq_tensor_get_bytes(const dfq_tensor *tensor);

/** Takes over a tensor of another library (DLPack 1.x, what `__dlpack__(max_version=(1, 0))` puts
 *  into its capsule). Row-major memory that is aligned to its element type is used in place: its
 *  owner must not change it any more. Anything else is copied; strides may be negative or zero.
 *  @param dl on ::DFQ_OK it belongs to libdfq, which calls its deleter exactly once, no later than
 *            at the last release; on failure it still belongs to the caller
 *  @param out_tensor one reference, to be given back with dfq_tensor_release()
 *  @return ::DFQ_OK, ::DFQ_E_INVALID (NULL argument, elements without data), ::DFQ_E_UNSUPPORTED
 *          (another major version, of which only the version is read; not on the CPU; an
 *          element type without DFQ_DTYPE_*), ::DFQ_E_SHAPE (rank above ::DFQ_RANK_MAX, negative
 *          extent, too large), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tensor_import_dlpack(dfq_context *context,
                                                struct DLManagedTensorVersioned *dl,
                                                dfq_tensor **out_tensor);

/** As dfq_tensor_import_dlpack(), for the struct without a version that DLPack had before 1.0. */
DFQ_CHECKED dfq_status dfq_tensor_import_dlpack_unversioned(dfq_context *context,
                                                            struct DLManagedTensor *dl,
                                                            dfq_tensor **out_tensor);

/** A view of the tensor for another library, flagged read-only; nothing is copied. It holds a
 *  reference until its deleter runs, on any thread; the deleter must run exactly once, also if the
 *  view is not used.
 *  @return ::DFQ_OK, ::DFQ_E_INVALID (NULL argument), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tensor_export_dlpack(const dfq_tensor *tensor,
                                                struct DLManagedTensorVersioned **out_dl);

/** As dfq_tensor_export_dlpack(), without version. That struct cannot say that the memory is
 *  read-only: it is all the same. */
DFQ_CHECKED dfq_status dfq_tensor_export_dlpack_unversioned(const dfq_tensor *tensor,
                                                            struct DLManagedTensor **out_dl);

#ifdef __cplusplus
}
#endif
#endif
