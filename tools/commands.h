/* The verbs of dfq. Each runs in an open session and returns an exit code. */
#ifndef DFQ_TOOLS_COMMANDS_H
#define DFQ_TOOLS_COMMANDS_H

#include "session.h"

int cmd_info(struct session *s);
int cmd_eval(struct session *s);
int cmd_run(struct session *s);
int cmd_synth(struct session *s);
int cmd_quantize(struct session *s);
int cmd_export(struct session *s);
int cmd_bench(struct session *s);
int cmd_cost(struct session *s);
int cmd_explore(struct session *s);
int cmd_version(struct session *s);

#endif
