/* Brings the axes of a view into the order that an op needs, by the ops that move data. */
#include <string.h>

#include "exchange/import_priv.h"

/* Atoms in the order in which they lie in memory now. */
typedef struct order {
    int32_t base, n, atoms[IM_ATOMS];
} order;

static int64_t extents(const im_view *v, const int32_t *atoms, int32_t first, int32_t last)
{
    int64_t n = 1;
    for (int32_t i = first; i < last; i++) n *= v->atoms[atoms[i]].extent;
    return n;
}

static int32_t one(im *m, dfqi_structure_kind kind, int32_t x, int32_t rank, const int64_t *dims)
{
    dfqi_structure_op op = {.kind = kind, .n_in = 1, .in = {x}, .n_out = 1};
    return dfqi_im_op(m, &op, rank, dims);
}

int32_t dfqi_im_reshaped(im *m, int32_t base, int32_t rank, const int64_t *dims)
{
    if (m->status != DFQ_OK) return -1;
    const im_draft_value *v = &m->draft.values[base];
    if (v->rank == rank && memcmp(v->dims, dims, (size_t)rank * sizeof *dims) == 0) return base;
    const im_draft_op *maker = dfqi_im_maker(m, base);
    if (maker && maker->op.kind == DFQI_STRUCTURE_RESHAPE)
        return dfqi_im_reshaped(m, maker->op.in[0], rank, dims);
    dfqi_structure_op op = {
        .kind = DFQI_STRUCTURE_RESHAPE, .n_in = 1, .in = {base}, .n_out = 1, .n_ints = rank};
    memcpy(op.ints, dims, (size_t)rank * sizeof *dims);
    return dfqi_im_op(m, &op, rank, dims);
}

/* One swap of two neighbouring blocks, the first `x` atoms and the `y` behind them. */
static void swap_blocks(im *m, const im_view *v, order *o, int32_t x, int32_t y)
{
    int32_t moved[IM_ATOMS];
    int64_t a = extents(v, o->atoms, 0, x), b = extents(v, o->atoms, x, x + y),
            c = extents(v, o->atoms, x + y, o->n);
    const im_draft_op *maker = dfqi_im_maker(m, o->base);
    if (c == 1) {
        int64_t height = y == 2 ? v->atoms[o->atoms[x]].extent : b;
        int32_t image = dfqi_im_reshaped(m, o->base, 3, (int64_t[]){a, height, b / height});
        o->base =
            one(m, DFQI_STRUCTURE_CHANNELS_LAST, image, 3, (int64_t[]){height, b / height, a});
    } else if (maker && maker->op.kind == DFQI_STRUCTURE_MATMUL_NN) {
        int32_t heads = dfqi_im_reshaped(m, o->base, 3, (int64_t[]){a, b, c});
        o->base = one(m, DFQI_STRUCTURE_JOIN_HEADS, heads, 2, (int64_t[]){b, a * c});
    } else {
        dfqi_structure_op op = {.kind = DFQI_STRUCTURE_SPLIT_HEADS,
                                .n_in = 1,
                                .in = {dfqi_im_reshaped(m, o->base, 2, (int64_t[]){a, b * c})},
                                .n_out = 1,
                                .n_ints = 2,
                                .ints = {b, 1}};
        o->base = dfqi_im_op(m, &op, 3, (int64_t[]){b, a, c});
    }
    memcpy(moved, o->atoms, sizeof moved);
    memcpy(o->atoms, moved + x, (size_t)y * sizeof *moved);
    memcpy(o->atoms + y, moved, (size_t)x * sizeof *moved);
}

/* Each swap brings one more atom to its place from behind. */
static void permute(im *m, const im_view *v, order *o, const int32_t *want)
{
    for (int32_t end = o->n; end > 0 && m->status == DFQ_OK; end--) {
        int32_t at = 0;
        if (o->atoms[end - 1] == want[end - 1]) continue;
        while (o->atoms[at] != want[end - 1]) at++;
        swap_blocks(m, v, o, at + 1, end - at - 1);
    }
}

/* Queries, keys and values of one layer: [tokens, 3, heads, d] with one of the three picked, wanted
 * as [heads, tokens, d]. All three are outputs of one op. */
static bool is_third(const im_view *v, const int32_t *want, int32_t n, int32_t *out_at)
{
    int32_t at = 0;
    while (at < v->n_atoms && v->atoms[at].pick < 0) at++;
    if (at == 0 || at + 1 >= v->n_atoms || v->atoms[at].extent != 3) return false;
    int32_t heads = 0;
    while (heads < n && want[heads] > at) heads++;
    if (heads == 0 || n - heads < at + 1) return false;
    for (int32_t i = 0; i < n; i++) {
        int32_t expected = i < heads ? at + 1 + i : i < heads + at ? i - heads : at + 1 + i - at;
        if (want[i] != expected) return false;
    }
    *out_at = at;
    return n == v->n_atoms - 1;
}

static int32_t third(im *m, const im_view *v, const int32_t *want, int32_t n, int32_t at)
{
    int32_t memory[IM_ATOMS], heads = 0;
    while (heads < n && want[heads] > at) heads++;
    for (int32_t i = 0; i < v->n_atoms; i++) memory[i] = i;
    int64_t tokens = extents(v, memory, 0, at), h = extents(v, want, 0, heads),
            d = extents(v, want, heads + at, n), which = v->atoms[at].pick;
    int32_t x = dfqi_im_reshaped(m, v->base, 2, (int64_t[]){tokens, 3 * h * d});
    for (int32_t i = m->draft.n_ops - 1; i >= 0 && m->status == DFQ_OK; i--) {
        const dfqi_structure_op *op = &m->draft.ops[i].op;
        if (op->kind == DFQI_STRUCTURE_SPLIT_HEADS && op->in[0] == x && op->ints[0] == h &&
            op->n_out == 3)
            return op->out + (int32_t)which;
    }
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_SPLIT_HEADS,
                            .n_in = 1,
                            .in = {x},
                            .n_out = 3,
                            .n_ints = 2,
                            .ints = {h, 3}};
    return dfqi_im_op(m, &op, 3, (int64_t[]){h, tokens, d}) + (int32_t)which;
}

/* Picked atoms go to the front, where a row of tokens is taken. */
static void take_picks(im *m, const im_view *v, order *o)
{
    int32_t want[IM_ATOMS], n = 0, picks;
    int64_t index = 0;
    for (int32_t i = 0; i < v->n_atoms; i++) {
        if (v->atoms[i].pick < 0) continue;
        index = index * v->atoms[i].extent + v->atoms[i].pick;
        want[n++] = i;
    }
    picks = n;
    for (int32_t i = 0; i < v->n_atoms; i++)
        if (v->atoms[i].pick < 0) want[n++] = i;
    if (picks == 0) return;
    permute(m, v, o, want);
    int64_t rows = extents(v, want, 0, picks), width = extents(v, want, picks, n);
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_SELECT_TOKEN,
                            .n_in = 1,
                            .in = {dfqi_im_reshaped(m, o->base, 2, (int64_t[]){rows, width})},
                            .n_out = 1,
                            .n_ints = 1,
                            .ints = {index}};
    o->base = dfqi_im_op(m, &op, 1, &width);
    o->n = n - picks;
    memcpy(o->atoms, want + picks, (size_t)o->n * sizeof *want);
}

int32_t dfqi_im_arrange(im *m, const im_view *v, int32_t groups, const im_axis *want)
{
    int32_t list[IM_ATOMS], n = 0, at;
    int64_t dims[5];
    order o = {.base = v->base, .n = v->n_atoms};
    if (m->status != DFQ_OK) return -1;
    for (int32_t g = 0; g < groups; g++) {
        dims[g] = extents(v, want[g].atoms, 0, want[g].n);
        for (int32_t k = 0; k < want[g].n; k++) list[n++] = want[g].atoms[k];
    }
    for (int32_t i = 0; i < v->n_atoms; i++) o.atoms[i] = i;
    if (is_third(v, list, n, &at)) {
        o.base = third(m, v, list, n, at);
    } else {
        take_picks(m, v, &o);
        if (o.n != n) dfqi_im_fail(m, DFQ_E_INTERNAL, "leaves out axes of a value");
        if (m->status == DFQ_OK) permute(m, v, &o, list);
    }
    return m->status == DFQ_OK ? dfqi_im_reshaped(m, o.base, groups, dims) : -1;
}
