/* File helpers: queries, reading, writing, removal. */
#ifndef DFQ_TOOLS_FILES_H
#define DFQ_TOOLS_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum file_kind { FILE_NONE, FILE_REGULAR, FILE_FOLDER, FILE_OTHER /* a device or pipe */ };

enum file_kind file_kind(const char *path);
uint64_t file_size(const char *path); /* 0 if there is none */

/* A whole file in new memory; NULL with *size 0 and errno if it cannot be read, or
 * holds nothing. */
void *file_read(const char *path, size_t *size);

/* Is it a model and no JSON text, by its first bytes, or by its name if it cannot be read? */
int file_is_model(const char *path);

/* Fingerprint of a file's bytes; 0, or -1 if it cannot be read. */
int file_hash(const char *path, uint64_t *hash);

/* A file that `write` fills, beside and renamed; `write` gives -1 without memory. 0, or -1 with
 * errno. */
int file_write_with(const char *path, int (*write)(FILE *f, const void *what), const void *what);
/* The same with a small text. */
int file_write_text(const char *path, const char *text);

/* Every file of a folder, and of folders in it, until `visit` gives something but 0. */
void folder_walk(const char *path, int (*visit)(const char *path, void *arg), void *arg);

/* Removes a folder and what is in it, folders inside included; what is not there is fine. */
void folder_remove(const char *path);

#endif
