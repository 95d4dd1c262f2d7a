/* Names beside a file: every file is written under one of them and renamed. Needs nothing of the
 * program. */
#ifndef DFQ_TOOLS_BESIDE_H
#define DFQ_TOOLS_BESIDE_H

#include <stdio.h>

/* The file that `path` stands for, in new memory: a link is followed, slashes at the end go. */
char *beside_final(const char *path);

/* The folder a path lies in, in new memory, and what it is called there. */
char *beside_folder(const char *path);
const char *beside_base(const char *path);

/* PATH with `end` behind it, in new memory. Where the folder takes no name so long, the name gives
 * up as much of its end, and gets a number of its own. */
char *beside_name(const char *path, const char *end);

/* Opens a new file under a name of its own, "PATH.tmpPID-N" as the library does, for `f`; the name
 * is `temp`, the file that it is for `path`. 0, or -1 with errno. */
struct beside {
    FILE *f;
    char *path, *temp;
};
int beside_open(const char *path, struct beside *b);

/* Syncs, closes and renames; with an `error` (an errno value), or when that fails, removes. 0, or -1
 * with errno. */
int beside_close(struct beside *b, int error);

#endif
