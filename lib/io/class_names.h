/* Names of a network's classes: files of names, and the class that a name means. */
#ifndef DFQI_IO_CLASS_NAMES_H
#define DFQI_IO_CLASS_NAMES_H

#include "base/context.h"

/* Never changed once it is made; shared by references. */
typedef struct dfqi_class_names dfqi_class_names;

/* Reads names from text that error texts call `where`. One name a line, in the order of the
 * classes, or an ImageNet synset and a name ("n01440764 tench, Tinca tinca"); or JSON: a list of
 * names, or an object from numbers to names ({"0": "tench"}) or from names to numbers, or one whose
 * member "id2label" is such an object, as transformers' config.json. In place of a name JSON may
 * have a synset and a name, ["n01440764", "tench"]. classes > 0: as many names there must be.
 * DFQ_E_CORRUPT for other text. */
DFQI_CHECKED dfq_status dfqi_class_names_parse(dfq_context *ctx, const char *where,
                                               const char *text, size_t size, int64_t classes,
                                               dfqi_class_names **out);
DFQI_CHECKED dfq_status dfqi_class_names_read(dfq_context *ctx, const char *path, int64_t classes,
                                              dfqi_class_names **out);
dfqi_class_names *dfqi_class_names_retain(const dfqi_class_names *n); /* NULL gives NULL */
void dfqi_class_names_release(dfqi_class_names *n);                   /* NULL ok */
int64_t dfqi_class_names_count(const dfqi_class_names *n);
const char *dfqi_class_names_get(const dfqi_class_names *n, int64_t i); /* 0 <= i < count */

/* The class of a word: its name or its synset, or else one of the words for it that commas separate
 * in its name. -1: no class; -2: of several, two of which are put into `several`. */
int64_t dfqi_class_names_find(const dfqi_class_names *n, const char *word, int64_t several[2]);

/* All of them as one line of JSON, which dfqi_class_names_parse() reads (dfqi_free it). */
DFQI_CHECKED dfq_status dfqi_class_names_json(const dfqi_class_names *n, char **out);

#endif
