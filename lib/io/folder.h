/* Folders: creating them, testing paths, listing entries. */
#ifndef DFQI_IO_FOLDER_H
#define DFQI_IO_FOLDER_H

#include "base/context.h"

/* mkdir -p. It is fine if the folder is there already. */
DFQI_CHECKED dfq_status dfqi_folder_make(dfq_context *ctx, const char *path);
bool dfqi_path_exists(const char *path);
bool dfqi_path_is_folder(const char *path);
bool dfqi_path_is_file(const char *path); /* a regular file, or a link to one */

/* Names (without the folder), sorted by byte value. Hidden entries are left out. */
typedef struct dfqi_names {
    dfq_context *ctx;
    int64_t count;
    char **names;
} dfqi_names;
typedef enum dfqi_listing {
    DFQI_LIST_PNG,
    DFQI_LIST_PICTURES,
    DFQI_LIST_OTHERS, /* pictures that are not read: BMP, GIF, TIFF and the like */
    DFQI_LIST_FOLDERS
} dfqi_listing;

/* PNG, PICTURES (PNG, JPEG) and OTHERS go by the name's ending, upper or lower case. */
DFQI_CHECKED dfq_status dfqi_folder_list(dfq_context *ctx, const char *path, dfqi_listing what,
                                         dfqi_names *out);
void dfqi_names_fini(dfqi_names *n);

#endif
