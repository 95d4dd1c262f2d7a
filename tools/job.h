/* Jobs that can be interrupted and resumed. Their state is in the folder OUT.resume beside the
 * output:
 *
 *   job.txt              the options that decide the result, and the evaluations done
 *   synth.safetensors    checkpoint of synthesis
 *   synth.safetensors.images-a or -b: its finished images
 *   sensitivity.safetensors  checkpoint of damages of bit widths
 *   reconstruct.safetensors  checkpoint of reconstruction
 *   tune.safetensors     checkpoint of tuning
 *   explore.safetensors  checkpoint of a co-exploration
 *   samples/             images of a generator network whose tuning has ended, for the report
 *
 * The first checkpoint creates the folder. It is removed when nothing is left to go on with: after
 * success, and after numbers that are not finite, which would come again. */
#ifndef DFQ_TOOLS_JOB_H
#define DFQ_TOOLS_JOB_H

#include "model.h"
#include "session.h"

struct job {
    char *folder, *text, *synth, *sensitivity, *reconstruct, *tune, *explore, *samples; /* paths */
    char *options;          /* "name value" lines */
    int resumed;            /* something was read */
    int made;               /* the folder is there, and it is this job's */
    int kept;               /* the last checkpoint was written */
    int enabled;            /* 0: the output is a device, nothing is kept */
    int saved;              /* the output was written before the interruption */
    struct tally judged[2]; /* float and quantized, on s->o->data */
};

/* Checks room for the output, finds an interrupted job and compares its options. `defaults` has
 * what was not given on the command line filled in. Returns 0 or an exit code, after one error
 * line. */
int job_open(struct session *s, const struct options *defaults, double need, struct job *job);

/* Writes job.txt. 0, or -1 after a warning. */
int job_note(struct session *s, struct job *job);

/* One checkpoint after job_note; `save` writes to `path`. A failure is a warning: the job goes
 * on. */
typedef dfq_status (*job_save)(void *handle, const char *path);
void job_checkpoint(struct session *s, struct job *job, job_save save, void *handle,
                    const char *path);

/* Runs a stage to its end, stopping for checkpoints. Returns 0 or an exit code, after one error
 * line; CODE_INTERRUPTED after the last checkpoint, without a line. */
struct job_stage {
    dfq_status (*run)(void *handle);
    job_save save;
    void *handle;
    const char *path;
};
int job_run(struct session *s, struct job *job, const struct job_stage *stage);

/* The end of a job with exit code `code`: says how to go on, or removes the folder. */
void job_close(struct session *s, int code, struct job *job);

#endif
