/* Places: every file and folder that a run reads or writes, checked before the work starts.
 *   - An input is never overwritten, even with --force.
 *   - No output is written twice.
 *   - Every output can be created under its final name.
 *   - No other run writes it at the same time (lock files). */
#ifndef DFQ_TOOLS_PLACES_H
#define DFQ_TOOLS_PLACES_H

#include <sys/stat.h>

#include "options.h"

struct session;

enum { PLACES = 20 };

/* What is done with a place. */
enum {
    PLACE_READS = 1,
    PLACE_WRITES = 2,
    PLACE_TREE = 4,    /* READS: a folder with all that is in it */
    PLACE_FOLDER = 8,  /* WRITES: a folder */
    PLACE_DEVICE = 16, /* WRITES: may be one */
    PLACE_RESUME = 32  /* WRITES: the folder of checkpoints, under the lock of -o */
};

/* Identity of a file; unknown if it does not exist. */
struct place_id {
    int there;
    dev_t device;
    ino_t inode;
};

struct place {
    enum option_id id;           /* OPT_COUNT: none */
    const char *name;            /* "-o", "--report"; NULL: what stands alone */
    char *text, *path;           /* as given, and what it stands for; NULL: an open stream */
    unsigned what;               /* PLACE_READS, ... */
    mode_t mode;                 /* of what is there */
    struct place_id own, parent; /* of the file, and of the folder it lies in */
    char *lock_path;             /* held for the run; NULL: none */
    int lock;
};

struct places {
    struct place v[PLACES];
    int n;
};

/* Checks all places and locks the outputs. Returns 0 or an exit code, after one error line. */
int places_open(struct session *s);
/* Releases the locks and removes the lock files. */
void places_close(struct session *s);

/* Nothing is replaced without --force: but -o if `out_own`, and the others if `others_own`,
 * since an earlier part of this very job has made them. Returns 0 or an exit code, after one
 * error line. */
int places_unused(struct session *s, int out_own, int others_own);

/* Are `need` bytes free for -o? Returns 0 or an exit code, after one error line. */
int places_room(struct session *s, double need);

/* The same for one output just before it is written: has it come into being since? */
int places_appeared(struct session *s, enum option_id id);

/* The folder of checkpoints, in new memory. */
char *places_resume(const char *out);

/* -- between places.c and places_try.c --------------------------------------------------------- */

/* Fills `id`; the mode of what is there, or 0. */
mode_t place_look(const char *path, struct place_id *id);
int place_same(const struct place_id *a, const struct place_id *b);
/* Checks one output and locks it. Returns 0 or an exit code, after one error line. */
int place_check(struct session *s, struct place *p);
void place_unlock(struct place *p);
/* Creates the output as the run will do, and removes it. 0, or an errno value. */
int place_try(const struct place *p, double need);

#endif
