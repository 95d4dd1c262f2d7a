/* Synthesis jobs of `dfq synth` and `dfq quantize`: create, resume, measure, run with
 * checkpoints. */
#ifndef DFQ_TOOLS_SYNTHESIS_H
#define DFQ_TOOLS_SYNTHESIS_H

#include "job.h"
#include "session.h"

enum { SYNTHESIS_SHOWN = 64 }; /* images that similarity and pictures are made of */

/* All return 0 or an exit code, after one error line; CODE_INTERRUPTED without one. */
int synthesis_open(struct session *s, const struct options *full, const dfq_graph *net,
                   struct job *job, dfq_synthesizer **out);
int synthesis_measure(struct session *s, dfq_synthesizer *g, double *seconds, double *bytes);
int synthesis_run(struct session *s, dfq_synthesizer *g, struct job *job, double later);

/* The folder that images may wait in, in new memory: the one the output goes to. */
char *synthesis_folder(const struct session *s);

/* One more checkpoint, of images that are finished. */
void synthesis_keep(struct session *s, dfq_synthesizer *g, struct job *job);

#endif
