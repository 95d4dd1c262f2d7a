/* Temporary files that are renamed when complete, and helpers for paths. Independent of the rest of
 * the program. */
#ifndef DFQ_TOOLS_TEMP_FILE_H
#define DFQ_TOOLS_TEMP_FILE_H

#include <stdio.h>

/* The file that `path` stands for, in new memory: a link is followed, slashes at the end go. */
char *path_final(const char *path);

/* The folder a path lies in, in new memory, and what it is called there. */
char *path_folder(const char *path);
const char *path_base(const char *path);

/* PATH with `end` behind it, in new memory. Where the folder takes no name so long, the name gives
 * up as much of its end, and gets a number of its own. */
char *path_with_ending(const char *path, const char *end);

/* Opens a new file under a name of its own, "PATH.tmpPID-N" as the library does, for `f`; the name
 * is `temp`, the file that it is for `path`. 0, or -1 with errno. */
struct temp_file {
    FILE *f;
    char *path, *temp;
};
int temp_file_open(const char *path, struct temp_file *b);

/* Syncs, closes and renames; with an `error` (an errno value), or when that fails, removes. 0, or
 * -1 with errno. */
int temp_file_close(struct temp_file *b, int error);

#endif
