/* The table of network families, one row each. Common code calls a family through its row. */
#ifndef DFQI_NN_FAMILY_H
#define DFQI_NN_FAMILY_H

#include "io/safetensors.h"
#include "nn/naming.h"
#include "nn/network.h"

/* Room for the name of a layer, and of a parameter of it. */
enum { DFQI_LAYER_MAX = 80, DFQI_NAME_MAX = DFQI_LAYER_MAX + 16 };
/* Larger extents in a file are a mistake, and products of a few smaller ones fit. */
enum { DFQI_EXTENT_MAX = 1 << 24 };

/* One expected parameter. */
typedef struct dfqi_expect {
    char name[DFQI_NAME_MAX];
    int32_t rank;
    int64_t dims[4];
    uint8_t fixed;    /* a statistic: never trained */
    uint8_t variance; /* no entry may be below 0; that of a dead channel is 0 */
} dfqi_expect;

/* What a part of a network does with the residual stream, for its rotation (nn/rotate.h). A linear
 * layer has its bias behind its weight, a LayerNorm its beta behind its gamma. */
typedef enum dfqi_stream_role {
    DFQI_STREAM_ROWS,   /* `linear` is a tensor whose last axis are channels of the stream, and
                           which is added to it: class token, positions, registers */
    DFQI_STREAM_WRITER, /* `linear` adds to the stream */
    DFQI_STREAM_READER, /* `linear` reads the stream behind the LayerNorm `norm` */
    DFQI_STREAM_HEADS   /* `linear` makes queries, keys and values of `heads` heads, `projection`
                           reads what attention makes of the values */
} dfqi_stream_role;

typedef struct dfqi_stream_part {
    dfqi_stream_role role;
    int32_t linear, norm, projection; /* indices of parameters */
    int64_t heads;
    int32_t values_only; /* heads: their queries and keys stay as they are */
    /* Where each stage has a stream: its number, and its channels; 0: all of the network. */
    int32_t stream;
    int64_t channels;
    int64_t repeats; /* a reader of so many tokens one behind another; 0: of one */
    int32_t bare;    /* 1: `linear` has no bias, or a reader's must stay as it is */
} dfqi_stream_part;

struct dfqi_cnn_layer;
struct dfqi_cnn_head;

/* When a family is asked whether it fits a file. */
typedef enum dfqi_family_turn {
    DFQI_TURN_LAST = 0, /* in the order of the table; a name in the file chooses among them */
    DFQI_TURN_FIRST,    /* before those, where the file has no name: its tensors fit others too */
    DFQI_TURN_ALWAYS    /* before all, whatever the name is */
} dfqi_family_turn;

/* What a name says and the tensors contradict: "width", "192", "384". */
typedef struct dfqi_contradiction {
    const char *what;
    char name[64], file[64];
} dfqi_contradiction;

/* Metadata that a family adds to those of all. */
enum { DFQI_FAMILY_META = 3 };

typedef struct dfqi_family_row {
    const char *names[6]; /* how the architectures' names begin, NULL behind the last */
    dfqi_family_turn turn;
    /* Do the tensors of a file without an architecture's name look like this family? */
    bool (*fits)(const dfqi_safetensors *st);
    /* Properties (1 << DFQI_PROP_*, or'ed) that not all families have, and those that a network
     * of the family lacks although the family, or all families, have them. NULL: none. */
    uint32_t properties;
    bool (*lacks)(const dfqi_arch *a, dfqi_prop p);
    /* The words for activation ("relu") and pooling; pooling NULL: "avg". told_activation: both are
     * what metadata or options say, not the family's own. */
    const char *(*activation)(const dfqi_arch *a);
    const char *(*pooling)(const dfqi_arch *a);
    bool told_activation;
    /* Of a vision transformer. NULL: all are 0. */
    dfqi_sizes (*sizes)(const dfqi_arch *a);
    /* Is the network convolutional? NULL: all of the family are. */
    bool (*convolutional)(const dfqi_arch *a);
    /* What the residual units of a convolutional network are. NULL: plain ones. */
    dfqi_units (*units)(const dfqi_arch *a);
    /* Standard deviation of random weights; 0: by their number of inputs (init.c). */
    float deviation;
    /* The size of the input is told: DFQ_E_SHAPE where the tensors have another. NULL: they fit
     * any, or, where `fixed_image`, just the one that `find` sets. */
    DFQI_CHECKED dfq_status (*told_image)(dfq_context *ctx, const char *path, dfqi_size image,
                                          dfqi_arch *a);
    bool fixed_image;
    /* Another image size: what changes of the architecture beside it (NULL: nothing), and of the
     * tensors in `view`. `fit` NULL: the size cannot be changed so. */
    void (*resize)(dfqi_arch *a, dfqi_size image);
    DFQI_CHECKED dfq_status (*fit)(dfqi_safetensors *view, const dfqi_arch *a);
    /* What a naming (nn/naming.h) tells of this family alone. NULL: namings tell it nothing. */
    void (*assume)(const dfqi_naming *naming, dfqi_arch *a);
    /* Whose names the tensors have, where no naming tells. NULL: nobody's. */
    const char *(*keys)(const dfqi_arch *a);
    /* Is a tensor of this name of no use, though files may have it? NULL: none is. */
    bool (*needless)(const char *name);
    /* Fills `a`, whose family and name (maybe empty) are set, from names and shapes. Other
     * properties get assumed values. */
    DFQI_CHECKED dfq_status (*find)(const dfqi_safetensors *st, const char *path, dfqi_arch *a);
    /* Replaces assumed properties by those known for the architecture's name, if the tensors agree
     * with it. Returns false if the name belongs to a network with other tensors. NULL: names of
     * this family say nothing. */
    bool (*name)(dfqi_arch *a, const char *name, int32_t source);
    /* Do the tensors contradict what a name says? Fills *out. NULL: never. */
    bool (*contradicts)(const dfqi_arch *a, const char *name, dfqi_contradiction *out);
    /* The final check: do tensors and properties fit together? NULL: always. */
    DFQI_CHECKED dfq_status (*check)(dfq_context *ctx, const char *path, const dfqi_arch *a);
    /* "a 12-block vision transformer" */
    void (*describe)(const dfqi_arch *a, char *text, size_t size);
    /* Metadata of which the network is made again: up to DFQI_FAMILY_META, in the arena, their
     * number in *n. NULL: there are none. */
    DFQI_CHECKED dfq_status (*meta)(const dfqi_arch *a, dfqi_arena *arena, dfqi_st_meta *out,
                                    int64_t *n);
    /* Continues a hash with the properties that names and shapes of the parameters do not show.
     * NULL: there are none. */
    uint64_t (*hash)(uint64_t hash, const dfqi_arch *a);
    /* DFQ_E_SHAPE where two architectures of the family, whose parameters have the same names and
     * shapes, do not compute the same. NULL: they do. */
    DFQI_CHECKED dfq_status (*alike)(dfq_context *ctx, const dfqi_arch *teacher,
                                     const dfqi_arch *student);
    /* Of convolutional families: the number of convolutions with a BatchNorm behind them (norms
     * NULL: none), each of them, and the classifier (nn/cnn.h). `layer` is NULL where `count`,
     * `expect` and `forward` do not go by the list. */
    int32_t (*norms)(const dfqi_arch *a);
    void (*layer)(const dfqi_arch *a, int32_t i, struct dfqi_cnn_layer *out);
    void (*head)(const dfqi_arch *a, struct dfqi_cnn_head *out);
    /* Layers with a bias in place of a BatchNorm (squeeze-and-excite), behind those with one in the
     * list of parameters; NULL: there are none. */
    int32_t (*biased)(const dfqi_arch *a);
    void (*biased_layer)(const dfqi_arch *a, int32_t i, struct dfqi_cnn_layer *out);
    int32_t (*count)(const dfqi_arch *a);
    /* All parameters, out[count], in the order of use. */
    void (*expect)(const dfqi_arch *a, dfqi_expect *out);
    void (*forward)(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                    dfqi_taps *taps);
    /* Blocks with attention, and the attention of one of them. NULL: losses cannot look at it. */
    int64_t (*blocks)(const dfqi_arch *a);
    void (*attention)(const dfqi_arch *a, int64_t block, dfqi_attention *out);
    /* The parts that touch the residual stream, all of them, and its channels (those of the widest,
     * where there are several). Returns their number; out may be NULL. NULL: the stream of this
     * family cannot be rotated. */
    int32_t (*stream)(const dfqi_arch *a, dfqi_stream_part *out, int64_t *out_channels);
    /* Why a network of the family cannot be rotated: "it .."; NULL where it says nothing. NULL:
     * never. */
    const char *(*unrotatable)(const dfqi_arch *a);
} dfqi_family_row;

/* For rows whose networks are not convolutional: false. */
bool dfqi_never(const dfqi_arch *a);

extern const dfqi_family_row dfqi_family_vit, dfqi_family_resnet, dfqi_family_mobilenet,
    dfqi_family_derived, dfqi_family_swin, dfqi_family_efficientnet, dfqi_family_imported;
const dfqi_family_row *dfqi_family_get(dfqi_family family);
/* A network with the names of all parameters but without tensors, and the tensors that it expects:
 * expected[n_params], dfqi_free it. */
DFQI_CHECKED dfq_status dfqi_network_begin(dfq_context *ctx, const dfqi_arch *arch,
                                           dfqi_network *out, dfqi_expect **out_expected);

/* DFQ_E_SHAPE with the text that they differ in their sizes, unless `same`. */
DFQI_CHECKED dfq_status dfqi_need_same(dfq_context *ctx, const dfqi_arch *teacher,
                                       const dfqi_arch *student, bool same);

/* -- imported networks ------------------------------------------------------------------------- */

/* Do the metadata of a file have a structure? */
bool dfqi_imported_fits(const dfqi_safetensors *st);

/* -- for the rows' `find` ---------------------------------------------------------------------- */

/* Sets properties from metadata and from options; options win. */
DFQI_CHECKED dfq_status dfqi_prop_read_meta(const dfqi_safetensors *st, const char *path,
                                            dfqi_arch *a);
/* Warns of keys in the metadata that mean nothing to such a network: another network's, or a
 * mistake. */
void dfqi_prop_warn_unheard(const dfqi_safetensors *st, const char *path, const dfqi_arch *a);
DFQI_CHECKED dfq_status dfqi_prop_read_options(dfq_context *ctx, const char *path,
                                               const dfq_load_options *o, dfqi_arch *a);
/* For the rows' `name` (names.c). */
/* timm's evaluation transform for a ViT of this image size. */
void dfqi_vit_transform(dfqi_arch *a);
bool dfqi_vit_name(dfqi_arch *a, const char *name, int32_t source);
bool dfqi_resnet_name(dfqi_arch *a, const char *name, int32_t source);
bool dfqi_mobilenet_name(dfqi_arch *a, const char *name, int32_t source);
bool dfqi_swin_name(dfqi_arch *a, const char *name, int32_t source);
bool dfqi_inverted_name(dfqi_arch *a, const char *name, int32_t source);
/* transformers has hyphens where timm has underscores. */
void dfqi_name_plain(const char *name, char out[DFQI_NAME_MAX]);
/* DFQ_E_INVALID where the tensors of a file contradict the name that its reader gave. */
DFQI_CHECKED dfq_status dfqi_name_check(dfq_context *ctx, const char *path, const char *name,
                                        const dfqi_arch *a);
/* For the rows' `contradicts` (contradiction.c). */
bool dfqi_vit_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out);
bool dfqi_swin_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out);
bool dfqi_resnet_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out);
bool dfqi_mobilenet_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out);
bool dfqi_inverted_contradicts(const dfqi_arch *a, const char *name, dfqi_contradiction *out);
/* The tensor `name` of the given rank; the error text says that `expected` needs it. */
DFQI_CHECKED dfq_status dfqi_need_tensor(const dfqi_safetensors *st, const char *path,
                                         const char *name, int32_t rank, const char *expected,
                                         const dfq_tensor **out);
/* mean and std of ImageNet's training images, which most networks are trained with */
void dfqi_imagenet_statistics(dfqi_arch *a);
/* What a picture covers before the crop: floor(image / crop), as timm and torchvision have it. */
dfqi_size dfqi_resize_of(dfqi_size image, double crop);
/* The input that options or metadata tell; 0 x 0: neither does. */
dfqi_size dfqi_image_told(const dfqi_safetensors *st, const dfq_load_options *o);
/* Once image, resize and crop are known: resize is that of the crop. One without a width is that of
 * the shorter side, and the other side is in proportion. */
void dfqi_resize_settle(dfqi_arch *a);
/* "224", or "224x160": height and width. Returns `text`. */
enum { DFQI_SIZE_TEXT = 44 };
const char *dfqi_size_text(dfqi_size s, char text[DFQI_SIZE_TEXT]);

#endif
