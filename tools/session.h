/* Sessions. A session has what every verb needs: context, exit codes, error lines, interruption. */
#ifndef DFQ_TOOLS_SESSION_H
#define DFQ_TOOLS_SESSION_H

#include <dfq/dfq.h>

#include "options.h"
#include "places.h"
#include "progress.h"

/* Exit codes, as --help and docs/CLI.md tell them. */
enum {
    CODE_DONE = 0,
    CODE_FAILED = 1,
    CODE_USAGE = 2,
    CODE_INPUT = 3,
    CODE_INFEASIBLE = 4,
    CODE_OUTPUT = 5,
    CODE_INTERRUPTED = 130
};

/* What was going on when a call failed: decides the exit code of an error of a file. */
enum phase { PHASE_READ, PHASE_WORK, PHASE_WRITE };

struct session {
    const struct options *o;
    dfq_context *ctx;
    struct progress progress;
    struct places places;
    double start;         /* text_now() */
    double checkpoint_at; /* when a running stage shall stop for a checkpoint; 0: not */
    int stop_between;     /* a running job shall stop after each stage but the last */
    int mute;             /* log lines are dropped */
    int diverged;         /* work ended in numbers that are not finite */
};

/* Both print one line on failure. Returns an exit code. */
int session_open(struct session *s, const struct options *o);
void session_close(struct session *s);

/* Prints the one line of a failed call and returns the exit code. */
int session_fail(struct session *s, dfq_status status, enum phase phase);

/* One line on stderr: "dfq VERB: ...". The second returns `code`. */
void session_say(struct session *s, const char *format, ...); /* not with --quiet */
int session_error(struct session *s, int code, const char *format, ...);

/* 1 after Ctrl-C. */
int session_interrupted(void);

/* Peak memory of the process so far, bytes. */
double session_peak(void);

/* Called first: opens those of descriptors 0, 1 and 2 that are closed, so that no file opened later
 * gets one of them and the output that is meant for the terminal. */
void session_occupy(void);

/* Flushes stdout. Returns `code`, or CODE_OUTPUT after one error line if the results could not be
 * written. Called before the work too, to find out whether stdout is closed. `verb` may be NULL. */
int session_results(const char *verb, int code);

#endif
