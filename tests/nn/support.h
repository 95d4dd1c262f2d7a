/* Contexts, files in memory and the tiny architecture of the golden data. */
#ifndef DFQT_NN_SUPPORT_H
#define DFQT_NN_SUPPORT_H

#include "nn/load.h"

dfq_context *dfqt_context(int32_t threads);
/* A ViT of the given extents; `image` is patch times the side of the token grid. */
dfqi_arch dfqt_arch(int64_t image, int64_t patch, int64_t width, int64_t depth, int64_t heads);
/* A ResNet for small images: `stages` of `units` units, channels from `width`. */
dfqi_arch dfqt_resnet(dfqi_keys keys, int64_t width, int32_t stages, int32_t units);
/* A MobileNetV2. */
dfqi_arch dfqt_mobilenet(dfqi_keys keys);
/* Fills parameters with numbers that tests/golden/cnn.py makes as well. */
void dfqt_fill(dfqi_network *net);
/* The network's tensors as a file that has been read: entries are the network's, borrowed. */
typedef struct file {
    dfqi_safetensors st;
    dfqi_st_entry entries[304];
    dfqi_st_meta meta[24];
} file;
void dfqt_file(const dfqi_network *net, file *out);
void dfqt_file_meta(file *f, const char *key, const char *value);
/* Loads a network as dfqi_model_load() does; o may be NULL. */
DFQI_CHECKED dfq_status dfqt_take(const dfqi_safetensors *st, const char *path,
                                  const dfq_load_options *o, dfqi_arch *arch, dfqi_network *out);
/* The same with each of its allocations refused in turn. */
void dfqt_sweep_take(dfqi_safetensors *st, const dfq_load_options *o);

/* A file of a network that a test changes before it is loaded. */
typedef struct loading {
    dfq_context *ctx;
    dfqi_network source;
    file f;               /* made by the test */
    char names[304][112]; /* room for other names of its tensors */
} loading;
void dfqt_loading_begin(loading *l, const dfqi_arch *a); /* all tensors zero */
void dfqt_loading_end(loading *l);

#endif
