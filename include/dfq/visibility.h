/** @file dfq/visibility.h
 *  @ingroup stable
 *  Visibility and checking attributes shared by all public headers. */
#ifndef DFQ_VISIBILITY_H
#define DFQ_VISIBILITY_H

#if defined(__GNUC__)
/** Marks a symbol that the shared library exports. */
#define DFQ_API __attribute__((visibility("default")))
/** An exported function whose returned ::dfq_status must be checked. */
#define DFQ_CHECKED DFQ_API __attribute__((warn_unused_result))
#else
#define DFQ_API
#define DFQ_CHECKED DFQ_API
#endif

#endif
