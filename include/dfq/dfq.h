/** @file dfq/dfq.h
 *  The whole public surface of libdfq. */
#ifndef DFQ_DFQ_H
#define DFQ_DFQ_H

#include <dfq/accelerator.h>
#include <dfq/bits.h>
#include <dfq/context.h>
#include <dfq/cost.h>
#include <dfq/crossings.h>
#include <dfq/dataset.h>
#include <dfq/diagnosis.h>
#include <dfq/explorer.h>
#include <dfq/export.h>
#include <dfq/graph.h>
#include <dfq/image_set.h>
#include <dfq/job.h>
#include <dfq/quantizer.h>
#include <dfq/reconstructor.h>
#include <dfq/runtime.h>
#include <dfq/sensitivity.h>
#include <dfq/solver.h>
#include <dfq/status.h>
#include <dfq/stream.h>
#include <dfq/synthesizer.h>
#include <dfq/tensor.h>
#include <dfq/trainer.h>
#include <dfq/tuner.h>
#include <dfq/types.h>
#include <dfq/version.h>
#include <dfq/visibility.h>

/** @defgroup stable Stable
 *  For programs that quantize a network, evaluate it, and access the result. Within a soname these
 *  headers change by additions only (docs/ABI.md). */
/** @defgroup advanced Advanced
 *  Research: constraints, co-exploration, training, diagnostics. Functions and constants keep their
 *  meaning; options grow faster, and defaults may move. */

#endif
