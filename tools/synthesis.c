/* Synthesis jobs of `dfq synth` and `dfq quantize`. */
#include "synthesis.h"

#include <stdlib.h>

#include "temp_file.h"
#include "files.h"
#include "recipe.h"

char *synthesis_folder(const struct session *s)
{
    char *out = path_final(s->o->out), *folder = out ? path_folder(out) : NULL;
    free(out);
    return folder;
}

/* Images wait on the disk that the output goes to; where it is a device, in memory. */
static dfq_status spool(const struct session *s, const struct job *job, dfq_synthesizer *g)
{
    if (!job->enabled) return DFQ_OK;
    char *folder = synthesis_folder(s);
    dfq_status status = folder ? dfq_synthesizer_spool(g, folder) : DFQ_E_NOMEM;
    free(folder);
    return status;
}

int synthesis_open(struct session *s, const struct options *full, const dfq_graph *net,
                   struct job *job, dfq_synthesizer **out)
{
    dfq_synthesizer_options o = recipe_synthesizer(full);
    dfq_synthesizer *g;
    dfq_status status = dfq_synthesizer_create(net, &o, &g);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
    status = spool(s, job, g);
    if (status != DFQ_OK) {
        dfq_synthesizer_release(g);
        return session_fail(s, status, PHASE_WRITE);
    }
    if (job->resumed && file_kind(job->synth) == FILE_REGULAR) {
        status = dfq_synthesizer_load_checkpoint(g, job->synth);
        if (status != DFQ_OK) {
            dfq_synthesizer_release(g);
            return session_fail(s, status, PHASE_READ);
        }
    }
    *out = g;
    return CODE_DONE;
}

/* The system's allocator keeps some of what is given back. */
#define ALLOCATOR_SHARE 1.1

int synthesis_measure(struct session *s, dfq_synthesizer *g, double *seconds, double *bytes)
{
    dfq_synthesizer_cost before = {.struct_size = sizeof before}, c = {.struct_size = sizeof c};
    dfq_status status = dfq_synthesizer_estimate(g, 0, &before);
    if (status == DFQ_OK) status = dfq_synthesizer_estimate(g, before.done < before.units, &c);
    if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
    if (session_interrupted()) return CODE_INTERRUPTED;
    *seconds = before.done < before.units ? c.seconds_left : 0;
    *bytes = ALLOCATOR_SHARE * (double)c.bytes;
    return CODE_DONE;
}

static dfq_status run(void *handle)
{
    return dfq_synthesizer_run(handle);
}

static dfq_status save(void *handle, const char *path)
{
    return dfq_synthesizer_save_checkpoint(handle, path);
}

int synthesis_run(struct session *s, dfq_synthesizer *g, struct job *job, double later)
{
    const struct job_stage stage = {run, save, g, job->synth};
    progress_begin(&s->progress, "synth", 0, later);
    int code = job_run(s, job, &stage);
    progress_end(&s->progress);
    return code;
}

void synthesis_keep(struct session *s, dfq_synthesizer *g, struct job *job)
{
    job_checkpoint(s, job, save, g, job->synth);
}
