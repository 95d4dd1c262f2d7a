/* Windows of a map of tokens, and what Swin transformers do with them: partition with a cyclic
 * shift, relative position bias with the mask of shifted windows, and merging of 2 x 2 tokens. */
#include "graph/ops_priv.h"

#include <string.h>

/* attr i of windows, unwindow and window_bias */
enum { HEIGHT, WIDTH, ROWS, COLUMNS, DOWN, RIGHT, PAD_FIRST };
/* attr i[0] and i[1] of merge and unmerge, the map's extents, are HEIGHT and WIDTH as well */

/* Windows along an extent; the last one may stick out. */
static int64_t along(int64_t extent, int64_t side)
{
    return (extent + side - 1) / side;
}

int64_t dfqi_window_count(const dfqi_windowing *w)
{
    return along(w->map.height, w->window.height) * along(w->map.width, w->window.width);
}

static int64_t windows_of(const int64_t *a)
{
    return along(a[HEIGHT], a[ROWS]) * along(a[WIDTH], a[COLUMNS]);
}

enum { EXTENT_MAX = 1 << 15 };

static bool is_extent(int64_t n)
{
    return n >= 1 && n <= EXTENT_MAX;
}

static dfq_status check_map(dfqi_graph *g, const dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    if (is_extent(a[HEIGHT]) && is_extent(a[WIDTH])) return DFQ_OK;
    return dfqi_fail(g->ctx, DFQ_E_SHAPE, "%s: a map of %lld x %lld; extents must be 1 to %d",
                     dfqi_op_get(n->op)->name, (long long)a[HEIGHT], (long long)a[WIDTH],
                     EXTENT_MAX);
}

static dfq_status check_windows(dfqi_graph *g, const dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    DFQI_TRY(check_map(g, n));
    if (is_extent(a[ROWS]) && is_extent(a[COLUMNS]) && a[DOWN] >= 0 && a[RIGHT] >= 0 &&
        a[DOWN] < a[ROWS] && a[RIGHT] < a[COLUMNS])
        return DFQ_OK;
    return dfqi_fail(g->ctx, DFQ_E_SHAPE,
                     "%s: windows of %lld x %lld shifted by %lld and %lld; extents must be 1 to "
                     "%d, a shift below the window's",
                     dfqi_op_get(n->op)->name, (long long)a[ROWS], (long long)a[COLUMNS],
                     (long long)a[DOWN], (long long)a[RIGHT], EXTENT_MAX);
}

/* -- windows: x[B,Y X,C] -> [B,windows rows columns,C]; unwindow: back ------------------------- */

/* An axis of the map: 0 down, 1 across. */
typedef struct axis {
    int64_t extent, window, shift;
    bool pad_first;
} axis;

static axis axis_of(const int64_t *a, int k)
{
    return (axis){a[HEIGHT + k], a[ROWS + k], a[DOWN + k], a[PAD_FIRST] != 0};
}

/* Where row or column `y` of the rolled and padded map comes from; -1: it is padding. */
static int64_t source_of(int64_t y, axis a)
{
    if (!a.pad_first) return y < a.extent ? (y + a.shift) % a.extent : -1;
    y = (y + a.shift) % (along(a.extent, a.window) * a.window);
    return y < a.extent ? y : -1;
}

/* Tokens of c floats between the map and its windows; `back`: to the map. Padding reads as zero.
 * Tokens of a row of a window that lie side by side in the map go together. */
static void move_tokens(const int64_t *a, int64_t c, float *map, float *tokens, bool back)
{
    const axis down = axis_of(a, 0), right = axis_of(a, 1);
    const int64_t rows = a[ROWS], columns = a[COLUMNS], across = along(a[WIDTH], columns);
    for (int64_t i = 0; i < along(a[HEIGHT], rows) * rows; i++) {
        int64_t y = source_of(i, down);
        for (int64_t j = 0, n; j < across * columns; j += n) {
            int64_t x = source_of(j, right), window = i / rows * across + j / columns;
            float *t = tokens + ((window * rows + i % rows) * columns + j % columns) * c;
            for (n = 1; (j + n) % columns != 0; n++)
                if (source_of(j + n, right) != (x < 0 ? -1 : x + n)) break;
            size_t bytes = (size_t)(n * c) * sizeof(float);
            if (y >= 0 && x >= 0) {
                float *m = map + (y * a[WIDTH] + x) * c;
                memcpy(back ? m : t, back ? t : m, bytes);
            } else if (!back) {
                memset(t, 0, bytes);
            }
        }
    }
}

static dfq_status windows_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    const int64_t *a = n->attr.i;
    DFQI_TRY(check_windows(g, n));
    int64_t map = a[HEIGHT] * a[WIDTH], all = windows_of(a) * a[ROWS] * a[COLUMNS];
    bool to_map = n->op == DFQI_OP_UNWINDOW;
    if (!x->batched || x->rank != 3 || x->dims[1] != (to_map ? all : map))
        return dfqi_bad_shape(g, n, 0, "[B,N,C] with the tokens of the map or of its windows");
    dfqi_out(g, n, 0, 1, 3, (int64_t[]){x->dims[0], to_map ? map : all, x->dims[2]});
    return DFQ_OK;
}

static void windows_run(const dfqi_run *r)
{
    const int64_t *in = r->in[0].dims, *out = r->out[0].dims;
    for (int64_t b = 0; b < r->images; b++)
        move_tokens(r->attr->i, in[2], r->in[0].data + b * in[1] * in[2],
                    r->out[0].data + b * out[1] * out[2], false);
}

static void unwindow_run(const dfqi_run *r)
{
    const int64_t *in = r->in[0].dims, *out = r->out[0].dims;
    for (int64_t b = 0; b < r->images; b++)
        move_tokens(r->attr->i, in[2], r->out[0].data + b * out[1] * out[2],
                    r->in[0].data + b * in[1] * in[2], true);
}

/* Each is the transposed map of the other. */
static void windows_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                         const uint8_t *want, dfqi_id *din)
{
    dfqi_op_kind other = n->op == DFQI_OP_WINDOWS ? DFQI_OP_UNWINDOW : DFQI_OP_WINDOWS;
    if (want[0]) din[0] = dfqi_make(g, other, &n->attr, 1, dout);
}

/* -- merge: x[B,Y X,C] -> [B,ceil(Y/2) ceil(X/2),4 C]; unmerge: back --------------------------- */

/* Parts in the order (0,0), (1,0), (0,1), (1,1) of (row, column); outside of the map they are
 * zero. */
static void move_squares(const int64_t *a, int64_t c, float *map, float *merged, bool back)
{
    int64_t down = along(a[HEIGHT], 2), across = along(a[WIDTH], 2);
    for (int64_t i = 0; i < down * across; i++)
        for (int64_t part = 0; part < 4; part++) {
            int64_t y = i / across * 2 + part % 2, x = i % across * 2 + part / 2;
            float *to = merged + (i * 4 + part) * c, *from = map + (y * a[WIDTH] + x) * c;
            bool inside = y < a[HEIGHT] && x < a[WIDTH];
            if (inside)
                memcpy(back ? from : to, back ? to : from, (size_t)c * sizeof(float));
            else if (!back)
                memset(to, 0, (size_t)c * sizeof(float));
        }
}

static dfq_status merge_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    const int64_t *a = n->attr.i;
    DFQI_TRY(check_map(g, n));
    int64_t map = a[HEIGHT] * a[WIDTH], merged = along(a[HEIGHT], 2) * along(a[WIDTH], 2);
    bool to_map = n->op == DFQI_OP_UNMERGE;
    if (!x->batched || x->rank != 3 || x->dims[1] != (to_map ? merged : map) ||
        (to_map && x->dims[2] % 4))
        return dfqi_bad_shape(g, n, 0, "[B,N,C] with the tokens of the map");
    dfqi_out(
        g, n, 0, 1, 3,
        (int64_t[]){x->dims[0], to_map ? map : merged, to_map ? x->dims[2] / 4 : x->dims[2] * 4});
    return DFQ_OK;
}

static void merge_run(const dfqi_run *r)
{
    const int64_t *in = r->in[0].dims, *out = r->out[0].dims;
    for (int64_t b = 0; b < r->images; b++)
        move_squares(r->attr->i, in[2], r->in[0].data + b * in[1] * in[2],
                     r->out[0].data + b * out[1] * out[2], false);
}

static void unmerge_run(const dfqi_run *r)
{
    const int64_t *in = r->in[0].dims, *out = r->out[0].dims;
    for (int64_t b = 0; b < r->images; b++)
        move_squares(r->attr->i, out[2], r->out[0].data + b * out[1] * out[2],
                     r->in[0].data + b * in[1] * in[2], true);
}

static void merge_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    dfqi_op_kind other = n->op == DFQI_OP_MERGE ? DFQI_OP_UNMERGE : DFQI_OP_MERGE;
    if (want[0]) din[0] = dfqi_make(g, other, &n->attr, 1, dout);
}

/* -- relative_bias: table[(2 Y - 1) (2 X - 1),H] -> f[0] table[..][h] as [H,Y X,Y X]; attr i Y, X,
 * H ------------------------------------------------------------------------------------------- */

static dfq_status bias_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *t = dfqi_in(g, n, 0);
    enum { SIDE_MAX = 1024 };
    const int64_t rows = n->attr.i[0], columns = n->attr.i[1], tokens = rows * columns;
    if (rows < 1 || rows > SIDE_MAX || columns < 1 || columns > SIDE_MAX || t->batched ||
        t->rank != 2 || t->dims[0] != (2 * rows - 1) * (2 * columns - 1))
        return dfqi_bad_shape(g, n, 0, "[(2 height - 1) (2 width - 1),H] of a window");
    n->attr.i[2] = t->dims[1];
    dfqi_out(g, n, 0, 0, 3, (int64_t[]){t->dims[1], tokens, tokens});
    return DFQ_OK;
}

/* The row of the table for query i and key j of a window; a: attributes. */
static int64_t table_row(const int64_t *a, int64_t i, int64_t j)
{
    const int64_t rows = a[0], columns = a[1];
    return (i / columns - j / columns + rows - 1) * (2 * columns - 1) + i % columns - j % columns +
           columns - 1;
}

static void bias_run(const dfqi_run *r)
{
    const int64_t *a = r->attr->i, heads = a[2], n = a[0] * a[1];
    const float *t = r->in[0].data;
    float *y = r->out[0].data, factor = r->attr->f[0];
    for (int64_t h = 0; h < heads; h++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) *y++ = factor * t[table_row(a, i, j) * heads + h];
}

static void bias_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_RELATIVE_BIAS_DX, &n->attr, 1, dout);
}

static dfq_status bias_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    dfqi_out(g, n, 0, 0, 2, (int64_t[]){(2 * a[0] - 1) * (2 * a[1] - 1), a[2]});
    return DFQ_OK;
}

static void bias_dx_run(const dfqi_run *r)
{
    const int64_t *a = r->attr->i, heads = a[2], n = a[0] * a[1];
    const float *dy = r->in[0].data;
    float *dt = r->out[0].data, factor = r->attr->f[0];
    memset(dt, 0, (size_t)r->out[0].count * sizeof *dt);
    for (int64_t h = 0; h < heads; h++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) dt[table_row(a, i, j) * heads + h] += factor * *dy++;
}

/* -- window_bias: raw[B,windows H,n,n] + bias[H,n,n] + mask; attr of windows, f[0] the mask ---- */

static dfq_status window_bias_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0), *bias = dfqi_in(g, n, 1);
    const int64_t *a = n->attr.i;
    DFQI_TRY(check_windows(g, n));
    int64_t tokens = a[ROWS] * a[COLUMNS];
    if (bias->batched || bias->rank != 3 || bias->dims[1] != tokens || bias->dims[2] != tokens)
        return dfqi_bad_shape(g, n, 1, "[H,n,n] with the tokens of a window");
    if (!x->batched || x->rank != 4 || x->dims[1] != windows_of(a) * bias->dims[0] ||
        x->dims[2] != tokens || x->dims[3] != tokens)
        return dfqi_bad_shape(g, n, 0, "raw products [B,windows*H,n,n]");
    return dfqi_shape_same(g, n);
}

/* The region of the shifted map along an axis: 0 in front, 1 and 2 on both sides of the place where
 * its ends meet. */
static int64_t region(int64_t at, axis a)
{
    const int64_t padded = along(a.extent, a.window) * a.window;
    return a.shift == 0 || at < padded - a.window ? 0 : at < padded - a.shift ? 1 : 2;
}

/* The region of token `i` of a window. */
static int64_t region_of(const int64_t *a, int64_t window, int64_t i)
{
    const int64_t columns = a[COLUMNS], across = along(a[WIDTH], columns);
    return 3 * region(window / across * a[ROWS] + i / columns, axis_of(a, 0)) +
           region(window % across * columns + i % columns, axis_of(a, 1));
}

void dfqi_window_mask(const dfqi_attr *attr, int64_t window, int64_t first, int64_t rows, float *y)
{
    const int64_t *a = attr->i;
    const int64_t n = a[ROWS] * a[COLUMNS], down = along(a[HEIGHT], a[ROWS]);
    const int64_t across = along(a[WIDTH], a[COLUMNS]);
    bool last = (a[DOWN] > 0 && window / across == down - 1) ||
                (a[RIGHT] > 0 && window % across == across - 1);
    if (!last) return;
    for (int64_t i = 0; i < rows; i++, y += n)
        for (int64_t j = 0, mine = region_of(a, window, first + i); j < n; j++)
            if (region_of(a, window, j) != mine) y[j] += attr->f[0];
}

static void window_bias_run(const dfqi_run *r)
{
    int64_t heads = r->in[1].dims[0], n = r->in[1].dims[1], size = n * n;
    int64_t windows = windows_of(r->attr->i);
    for (int64_t k = 0; k < r->images * windows * heads; k++) {
        float *y = r->out[0].data + k * size;
        r->k->add((size_t)size, r->in[0].data + k * size, r->in[1].data + k % heads * size, y);
        dfqi_window_mask(r->attr, k / heads % windows, 0, n, y);
    }
}

static void window_bias_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                             const uint8_t *want, dfqi_id *din)
{
    if (want[0]) din[0] = dout[0];
    if (want[1]) {
        dfqi_attr a = {.i = {dfqi_in(g, n, 1)->dims[0]}};
        dfqi_id sums = dfqi_make(g, DFQI_OP_WINDOW_SUM, &a, 1, dout);
        din[1] = dfqi_sum_batch(g, sums, n->in[1], 0, 1.0f);
    }
}

/* window_sum: x[B,windows H,n,n] -> [B,H,n,n]; attr i[0] H */
static dfq_status window_sum_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    dfqi_out(g, n, 0, 1, 4, (int64_t[]){x->dims[0], n->attr.i[0], x->dims[2], x->dims[3]});
    return DFQ_OK;
}

static void window_sum_run(const dfqi_run *r)
{
    int64_t all = r->in[0].count / r->images, some = r->out[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        float *y = r->out[0].data + b * some;
        const float *x = r->in[0].data + b * all;
        memcpy(y, x, (size_t)some * sizeof *y);
        for (int64_t k = some; k < all; k += some) r->k->axpy((size_t)some, 1.0f, x + k, y);
    }
}

/* -- builders ---------------------------------------------------------------------------------- */

static dfqi_attr attr_of(const dfqi_windowing *w)
{
    return (dfqi_attr){.i = {w->map.height, w->map.width, w->window.height, w->window.width,
                             w->shift.height, w->shift.width, w->pad_first}};
}

dfqi_id dfqi_windows(dfqi_graph *g, dfqi_id x, const dfqi_windowing *w)
{
    dfqi_attr a = attr_of(w);
    return dfqi_make(g, DFQI_OP_WINDOWS, &a, 1, &x);
}

dfqi_id dfqi_unwindow(dfqi_graph *g, dfqi_id x, const dfqi_windowing *w)
{
    dfqi_attr a = attr_of(w);
    return dfqi_make(g, DFQI_OP_UNWINDOW, &a, 1, &x);
}

dfqi_id dfqi_merge(dfqi_graph *g, dfqi_id x, int64_t height, int64_t width)
{
    dfqi_attr a = {.i = {height, width}};
    return dfqi_make(g, DFQI_OP_MERGE, &a, 1, &x);
}

dfqi_id dfqi_relative_bias(dfqi_graph *g, dfqi_id table, dfqi_size window, float factor)
{
    dfqi_attr a = {.i = {window.height, window.width}, .f = {factor}};
    return dfqi_make(g, DFQI_OP_RELATIVE_BIAS, &a, 1, &table);
}

dfqi_id dfqi_window_bias(dfqi_graph *g, dfqi_id raw, dfqi_id bias, const dfqi_windowing *w,
                         float mask)
{
    dfqi_attr a = attr_of(w);
    a.f[0] = mask;
    return dfqi_make(g, DFQI_OP_WINDOW_BIAS, &a, 2, (dfqi_id[]){raw, bias});
}

const dfqi_op dfqi_ops_window[] = {
    {"windows", 1, 1, 1, 0, windows_shape, windows_run, windows_grad, NULL, NULL, NULL},
    {"unwindow", 1, 1, 1, 0, windows_shape, unwindow_run, windows_grad, NULL, NULL, NULL},
    {"merge", 1, 1, 1, 0, merge_shape, merge_run, merge_grad, NULL, NULL, NULL},
    {"unmerge", 1, 1, 1, 0, merge_shape, unmerge_run, merge_grad, NULL, NULL, NULL},
    {"relative_bias", 1, 1, 1, 0, bias_shape, bias_run, bias_grad, NULL, NULL, NULL},
    {"relative_bias_dx", 1, 1, 1, 0, bias_dx_shape, bias_dx_run, NULL, NULL, NULL, NULL},
    {"window_bias", 2, 2, 1, 0, window_bias_shape, window_bias_run, window_bias_grad, NULL, NULL,
     NULL},
    {"window_sum", 1, 1, 1, 0, window_sum_shape, window_sum_run, NULL, NULL, NULL, NULL},
};
