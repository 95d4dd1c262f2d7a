/** @file dfq/stream.h
 *  @ingroup stable
 *  Readers and writers: a program passes the bytes of a file to libdfq, or gets them from it,
 *  without a file. Both structs are filled by hand: set everything to 0, then struct_size and the
 *  fields that are wanted. */
#ifndef DFQ_STREAM_H
#define DFQ_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes that are read at any offset: a block of memory, or functions of the caller. */
typedef struct dfq_reader {
    uint32_t struct_size; /**< sizeof(dfq_reader) of the caller */
    int32_t reserved;     /**< 0 */
    uint64_t size;        /**< number of bytes */
    /** the bytes, borrowed while the call that takes the reader runs; NULL: `read` is asked for
     *  them */
    const void *data;
    /** Copies bytes `offset` .. `offset` + `size` - 1 to `buffer`. They are within the reader's
     *  size. Called on the thread that is inside libdfq, with offsets that grow.
     *  @return 0 when all bytes are there; any other value ends the reading with ::DFQ_E_IO. */
    int32_t (*read)(uint64_t offset, void *buffer, size_t size, void *user);
    void *user; /**< passed to read */
    /** Name in error texts; for a shard the name that it has in the index. Like a file's name, it
     *  may contain the architecture's. NULL: "memory" */
    const char *name;
} dfq_reader;

/** Where bytes are written, from the first to the last. */
typedef struct dfq_writer {
    uint32_t struct_size; /**< sizeof(dfq_writer) of the caller */
    int32_t reserved;     /**< 0 */
    /** Takes the next `size` bytes, 1 or more. Called on the thread that is inside libdfq.
     *  @return 0; any other value ends the writing with ::DFQ_E_IO. */
    int32_t (*write)(const void *bytes, size_t size, void *user);
    void *user;       /**< passed to write */
    const char *name; /**< what error texts call it; NULL: "memory" */
} dfq_writer;

#ifdef __cplusplus
}
#endif
#endif
