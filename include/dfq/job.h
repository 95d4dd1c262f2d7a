/** @file dfq/job.h
 *  @ingroup stable
 *  Cost estimate of long jobs: memory, work and time. */
#ifndef DFQ_JOB_H
#define DFQ_JOB_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Cost and progress of a job. Filled by dfq_trainer_estimate(), dfq_diagnosis_estimate(),
 *  dfq_solver_estimate(), dfq_graph_quantize_estimate(), dfq_graph_evaluate_estimate() and
 *  dfq_image_set_save_estimate(). Times hold for this machine under the load that it had during the
 *  measurement. */
typedef struct dfq_job_cost {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    int64_t bytes;        /**< memory at the peak, without networks and images */
    int64_t macs;         /**< multiply-accumulates left; INT64_MAX stands for all larger numbers */
    double seconds_left;  /**< to the end of the job; NaN: nothing was measured yet */
    int64_t units;        /**< of the whole job: steps, batches of a pass or images */
    int64_t done;         /**< units done */
    int64_t file_bytes; /**< of the files that it writes, at most; 0: checkpoints alone, or none */
} dfq_job_cost;

#ifdef __cplusplus
}
#endif
#endif
