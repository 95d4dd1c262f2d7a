/* The names that other libraries and training programs give to the tensors of a network, as a table
 * of patterns (naming.c). A file is read under the names that this library gives, which are timm's
 * for vision transformers. */
#ifndef DFQI_NN_NAMING_H
#define DFQI_NN_NAMING_H

#include "base/memory.h"
#include "io/safetensors.h"

struct dfqi_arch;

/* What a naming assumes holds for vision transformers and Swin, where neither metadata nor a name
 * tell. */
typedef struct dfqi_naming {
    const char *name; /* "timm", "torchvision", "transformers" */
    const char *mark; /* a tensor that only files with these names have, without prefixes */
    const struct dfqi_naming_pattern *patterns;
    float eps;                    /* of the norms */
    int32_t imagenet;             /* 1: inputs have the mean and std of ImageNet */
    double crop;                  /* image / resize of the evaluation; 0: as timm has it */
    int32_t bilinear;             /* 1: resampled bilinearly */
    int32_t pad_first, joint_fit; /* Swin: as in dfqi_swin_arch */
} dfqi_naming;

/* A view of a file's tensors under this library's names: prefixes ("module.", "model.") are left
 * out, tensors that no network needs as well, and queries, keys and values that are apart become
 * one. `names` owns the names; the tensors are retained, the metadata are the file's. *out_naming
 * is NULL for networks whose family tells apart its names by itself. DFQ_E_CORRUPT if two tensors
 * get one name or one of queries, keys and values is missing, DFQ_E_SHAPE if their shapes
 * differ. */
DFQI_CHECKED dfq_status dfqi_naming_apply(const dfqi_safetensors *st, const char *path,
                                          dfqi_arena *names, dfqi_safetensors *out,
                                          const dfqi_naming **out_naming);
/* Is the tensor `name` of a file left over: does the network that became of it do without? */
bool dfqi_naming_leaves(const dfqi_naming *naming, const struct dfqi_arch *a, const char *name);
void dfqi_naming_view_fini(dfqi_safetensors *view);

/* Replaces what a vision transformer's properties were assumed to be by what networks with these
 * names have; NULL: nothing. */
void dfqi_naming_assume(const dfqi_naming *naming, struct dfqi_arch *a);
/* Whose names a network's file had; "": nobody's. */
const char *dfqi_naming_word(const dfqi_naming *naming, const struct dfqi_arch *a);

#endif
