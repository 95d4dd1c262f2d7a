/* Draws contact sheets and sheets of attention maps. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "graph/exec.h"
#include "synth/imageset.h"

enum { GAP = 4, TILE_MAX = 112, TILES_MAX = 256 };

/* Of tiles along an axis. */
static int64_t canvas_side(int64_t tiles, int64_t tile)
{
    return tiles * (tile + GAP) + GAP;
}

static dfq_status new_canvas(dfq_context *ctx, int64_t columns, int64_t rows, dfqi_size tile,
                             dfqi_image *out)
{
    int64_t width = canvas_side(columns, tile.width), height = canvas_side(rows, tile.height);
    if (width > INT32_MAX || height > INT32_MAX)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "the sheet is %lld x %lld pixels, which is too large; take fewer images",
                         (long long)width, (long long)height);
    DFQI_TRY(dfqi_image_new(ctx, (int32_t)width, (int32_t)height, out));
    memset(out->rgb, 255, (size_t)width * (size_t)height * 3);
    return DFQ_OK;
}

static void paste(dfqi_image *canvas, const dfqi_image *tile, int64_t column, int64_t row)
{
    int64_t left = GAP + column * (tile->width + GAP), top = GAP + row * (tile->height + GAP);
    for (int64_t y = 0; y < tile->height; y++)
        memcpy(canvas->rgb + ((top + y) * canvas->width + left) * 3,
               tile->rgb + y * tile->width * 3, (size_t)tile->width * 3);
}

static dfq_status new_image(dfq_context *ctx, dfqi_size size, dfqi_image *out)
{
    return dfqi_image_new(ctx, (int32_t)size.width, (int32_t)size.height, out);
}

/* One image in the size of a tile. */
static dfq_status picture(const dfqi_model *m, const float *x, dfqi_size tile, dfqi_image *out)
{
    const dfqi_arch *a = &m->net.arch;
    dfqi_image im;
    DFQI_TRY(new_image(m->ctx, a->image, &im));
    dfqi_image_denormalise(x, a->mean, a->std, &im);
    if (dfqi_same_size(tile, a->image)) {
        *out = im;
        return DFQ_OK;
    }
    dfq_status status =
        dfqi_image_resize(&im, (int32_t)tile.width, (int32_t)tile.height, DFQI_BICUBIC, out);
    dfqi_image_fini(&im);
    return status;
}

static int64_t shrunk(int64_t extent, int64_t longer)
{
    const int64_t n = extent * TILE_MAX / longer;
    return n > 0 ? n : 1;
}

static dfqi_size tile_of(const dfqi_model *m)
{
    const dfqi_size image = m->net.arch.image;
    const int64_t longer = dfqi_longer(image);
    if (longer < TILE_MAX) return image;
    return (dfqi_size){shrunk(image.height, longer), shrunk(image.width, longer)};
}

/* Of a sheet of n images, as square as can be. */
static int64_t columns_of(int64_t n)
{
    int64_t columns = 1;
    while (columns * columns < n) columns++;
    return columns;
}

void dfqi_contact_sheet_size(const dfqi_model *m, int64_t n, int64_t *width, int64_t *height)
{
    if (n > TILES_MAX) n = TILES_MAX;
    int64_t columns = columns_of(n);
    *width = canvas_side(columns, tile_of(m).width);
    *height = canvas_side((n + columns - 1) / columns, tile_of(m).height);
}

dfq_status dfqi_contact_sheet(const dfqi_model *m, const dfqi_images *images, const char *path)
{
    const dfqi_size tile = tile_of(m);
    int64_t n = images->n < TILES_MAX ? images->n : TILES_MAX, columns = columns_of(n);
    dfqi_image canvas, im;
    dfq_status status = DFQ_OK;
    const float *x;
    DFQI_TRY(new_canvas(m->ctx, columns, (n + columns - 1) / columns, tile, &canvas));
    for (int64_t i = 0; i < n; i++) {
        DFQI_GOTO(dfqi_images_at(images, i, 1, &x), out);
        DFQI_GOTO(picture(m, x, tile, &im), out);
        paste(&canvas, &im, i % columns, i / columns);
        dfqi_image_fini(&im);
    }
    status = dfqi_image_write_png(m->ctx, path, &canvas, NULL);
out:
    dfqi_image_fini(&canvas);
    return status;
}

/* -- attention --------------------------------------------------------------------------------- */

/* Dark blue over purple and orange to light yellow; v in 0..1. */
static void colour(double v, uint8_t rgb[3])
{
    static const uint8_t stops[5][3] = {
        {8, 8, 40}, {88, 18, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 164}};
    double at = v * 4;
    int i = at >= 4 ? 3 : (int)at;
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)rint(stops[i][c] + (at - i) * (stops[i + 1][c] - stops[i][c]));
}

/* map[Y X] of size `grid` in a tile; NaN and constant maps come out dark. */
static void draw_map(const double *map, dfqi_size grid, dfqi_image *tile)
{
    double lo = map[0], hi = map[0];
    for (int64_t i = 1; i < dfqi_area(grid); i++) {
        lo = fmin(lo, map[i]);
        hi = fmax(hi, map[i]);
    }
    for (int64_t y = 0; y < tile->height; y++)
        for (int64_t x = 0; x < tile->width; x++) {
            const double *row = map + y * grid.height / tile->height * grid.width;
            double v = (row[x * grid.width / tile->width] - lo) / (hi - lo);
            colour(v > 0 && v <= 1 ? v : 0, tile->rgb + (y * tile->width + x) * 3);
        }
}

/* Adds the mean over queries from `first` to `end` of an attention's products x[N,N], per key of
 * the patches, in front of which are t->drop tokens. */
static void add_mean(const dfqi_attention *t, const float *x, int64_t first, int64_t end,
                     double *map)
{
    for (int64_t q = first; q < end; q++)
        for (int64_t k = t->drop; k < t->tokens; k++)
            map[k - t->drop] += x[q * t->tokens + k] / (double)(end - first);
}

/* maps: of H heads the class token's over patches (the mean of all patches' where there is no class
 * token), the raw means of H heads, their mean. */
static dfq_status attention_maps(const dfqi_model *m, const float *image, double *maps)
{
    const dfqi_arch *a = &m->net.arch;
    const int64_t blocks = dfqi_arch_blocks(a), last = blocks - 1;
    dfqi_attention t;
    dfqi_arch_attention(a, last, &t);
    int64_t n = t.tokens - t.drop, square = t.tokens * t.tokens;
    const bool patches = t.drop == 0 || (a->of.vit.parts & DFQI_VIT_NO_CLASS) != 0;
    dfqi_graph *g = NULL;
    dfqi_exec *e = NULL;
    dfqi_id x;
    dfqi_taps taps = {0};
    dfq_status status = DFQ_E_NOMEM;
    taps.raw = dfqi_calloc(m->ctx, 2 * (size_t)blocks, sizeof *taps.raw);
    if (!taps.raw) goto out;
    taps.attn = taps.raw + blocks;
    DFQI_GOTO(dfqi_model_graph(m, 1, &g, &x, &taps), out);
    DFQI_GOTO(dfqi_exec_new(g, &e), out);
    dfqi_exec_bind(e, x, image);
    DFQI_GOTO(dfqi_exec_run(e), out);
    const float *attn = dfqi_exec_data(e, taps.attn[last]);
    const float *raw = dfqi_exec_data(e, taps.raw[last]);
    for (int64_t h = 0; h < t.heads; h++) {
        double *mean = maps + (t.heads + h) * n;
        add_mean(&t, attn + h * square, patches ? t.drop : 0, patches ? t.tokens : 1, maps + h * n);
        add_mean(&t, raw + h * square, t.drop, t.tokens, mean);
        for (int64_t k = 0; k < n; k++) maps[2 * t.heads * n + k] += mean[k] / (double)t.heads;
    }
out:
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_free(m->ctx, taps.raw);
    return status;
}

dfq_status dfqi_attention_sheet(const dfqi_model *m, const dfq_tensor *images, int64_t index,
                                const char *path)
{
    const dfqi_arch *a = &m->net.arch;
    const int64_t blocks = dfqi_arch_blocks(a);
    dfqi_attention t = {0};
    if (blocks > 0) dfqi_arch_attention(a, blocks - 1, &t);
    const dfqi_size grid = t.grid;
    const int64_t n = dfqi_area(grid), heads = t.heads;
    if (t.heads == 0 || t.windows > 1 || t.tokens - t.drop != n)
        return dfqi_fail(m->ctx, DFQ_E_UNSUPPORTED,
                         "%s has no attention of the whole image, which a picture shows; must be a "
                         "ViT, a DeiT, or a Swin whose last block is one window",
                         a->name);
    dfqi_image canvas = {.ctx = m->ctx}, tile = {.ctx = m->ctx}, im = {.ctx = m->ctx};
    dfq_status status = DFQ_E_NOMEM;
    double *maps = dfqi_calloc(m->ctx, (size_t)((2 * heads + 1) * n), sizeof *maps);
    if (!maps) goto out;
    DFQI_GOTO(attention_maps(m, dfqi_tensor_f32(images) + index * dfqi_arch_pixels(a), maps), out);
    DFQI_GOTO(new_canvas(m->ctx, heads + 1, 2, a->image, &canvas), out);
    DFQI_GOTO(new_image(m->ctx, a->image, &tile), out);
    DFQI_GOTO(picture(m, dfqi_tensor_f32(images) + index * dfqi_arch_pixels(a), a->image, &im),
              out);
    paste(&canvas, &im, 0, 0);
    for (int64_t h = 0; h < 2 * heads + 1; h++) {
        draw_map(maps + h * n, grid, &tile);
        if (h < heads)
            paste(&canvas, &tile, h + 1, 0);
        else
            paste(&canvas, &tile, h == 2 * heads ? 0 : h - heads + 1, 1);
    }
    status = dfqi_image_write_png(m->ctx, path, &canvas, NULL);
out:
    dfqi_image_fini(&im);
    dfqi_image_fini(&tile);
    dfqi_image_fini(&canvas);
    dfqi_free(m->ctx, maps);
    return status;
}
