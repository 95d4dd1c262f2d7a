/** @file dfq/version.h
 *  @ingroup stable
 *  Version of libdfq. meson.build reads the three numbers from here, so this is their only home. */
#ifndef DFQ_VERSION_H
#define DFQ_VERSION_H

#include <stdint.h>

#include <dfq/visibility.h>

/** Of these headers; the soname goes by it (docs/ABI.md). */
#define DFQ_VERSION_MAJOR 0
/** As long as the major is 0, each may break the interface. */
#define DFQ_VERSION_MINOR 1
/** Changes nothing of the interface. */
#define DFQ_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the loaded library as 0x00MMmmpp. Compare with the DFQ_VERSION_* macros to find a
 *  header that does not belong to the binary. Any thread. */
DFQ_API uint32_t dfq_version(void);

/** Version of the loaded library as text, "MAJOR.MINOR.PATCH". Static, never NULL. Any thread. */
DFQ_API const char *dfq_version_text(void);

#ifdef __cplusplus
}
#endif
#endif
