/* Jobs that can be interrupted and resumed. Their state is in the folder OUT.resume beside the
 * output:
 *
 *   job.txt              the options that decide the result, and the evaluations done
 *   synth.safetensors    checkpoint of synthesis
 *   synth.safetensors.images-a or -b: its finished images
 *   tune.safetensors     checkpoint of tuning
 *   explore.safetensors  checkpoint of a co-exploration
 *   samples/             images of a generator network whose tuning has ended, for the report
 *
 * The first checkpoint creates the folder; success removes it. */
#ifndef DFQ_TOOLS_JOB_H
#define DFQ_TOOLS_JOB_H

#include "model.h"
#include "session.h"

struct job {
    char *folder, *text, *synth, *tune, *explore, *samples; /* paths */
    char *options;                                          /* "name value" lines */
    int resumed;                                            /* something was read */
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
void job_close(struct job *job);

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

/* The line after an interruption: how to go on. Returns CODE_INTERRUPTED. */
int job_say_how_to_go_on(struct session *s, const struct job *job);

/* Prints, after the output could not be written, that the job can be resumed. */
void job_say_kept(struct session *s, const struct job *job);

/* Removes the folder of a finished job. */
void job_remove(struct job *job);

#endif
