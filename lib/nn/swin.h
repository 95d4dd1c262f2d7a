/* Swin transformers (Liu et al., ICCV 2021, arXiv 2103.14030) with the names of timm 0.9 and
 * later. */
#ifndef DFQI_NN_SWIN_H
#define DFQI_NN_SWIN_H

#include "graph/ops.h"
#include "nn/family.h"

/* Parameters of the embedding, of a block, of a merging of tokens, and behind the stages. */
enum { DFQI_SWIN_EMBED = 4, DFQI_SWIN_BLOCK = 13, DFQI_SWIN_MERGE = 3, DFQI_SWIN_TAIL = 4 };

/* The map of tokens of stage s. */
dfqi_size dfqi_swin_map(const dfqi_arch *a, int32_t s);
/* The windows of block j of stage s: every other block is shifted, but not along an axis where one
 * window is as long as the map. */
dfqi_windowing dfqi_swin_windows(const dfqi_arch *a, int32_t s, int32_t j);
/* Do windows stick out of their map? */
bool dfqi_swin_window_pads(const dfqi_windowing *w);
/* Is a map padded for shifted windows, so that the order of both matters? */
bool dfqi_swin_pads(const dfqi_arch *a);
/* The index of the first parameter of block j of stage s; j = -1: of the merging in front, which
 * stage 0 lacks. */
int32_t dfqi_swin_at(const dfqi_arch *a, int32_t s, int32_t j);

/* Another image size: windows keep their share of the map along each axis. */
void dfqi_swin_resize(dfqi_arch *a, dfqi_size image);
/* Interpolates the tables of biases of `view` whose windows are not those of the architecture. What
 * is no table of square windows stays, for the loader to refuse. */
DFQI_CHECKED dfq_status dfqi_swin_fit(dfqi_safetensors *view, const dfqi_arch *a);

/* As in dfqi_family_row. */
int32_t dfqi_swin_count(const dfqi_arch *a);
void dfqi_swin_expect(const dfqi_arch *a, dfqi_expect *out);
void dfqi_swin_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                       dfqi_taps *taps);
int64_t dfqi_swin_blocks(const dfqi_arch *a);
int32_t dfqi_swin_stream(const dfqi_arch *a, dfqi_stream_part *out, int64_t *out_channels);
void dfqi_swin_attention(const dfqi_arch *a, int64_t block, dfqi_attention *out);

#endif
