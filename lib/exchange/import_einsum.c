/* Einsum: products that are written with a letter for each axis, "bhid,bhjd->bhij". A letter of
 * both operands and of the result counts heads, one of both operands alone is summed over, and one
 * of an operand and the result counts rows or columns. */
#include <stdio.h>
#include <string.h>

#include "exchange/import_nodes_priv.h"
#include "io/json.h"

enum { A, B, RESULT, SIDES, LETTERS = 52 };

typedef struct equation {
    char text[DFQI_SHOW_MAX];
    int32_t operands;               /* 1 or 2 */
    int32_t n[SIDES];               /* letters of a side */
    int8_t letters[SIDES][IM_RANK]; /* 0 .. LETTERS - 1, in the order of axes */
    int8_t axis[SIDES][LETTERS];    /* its axis, -1: the side has no such letter */
    int64_t extent[LETTERS];
} equation;

/* Letters of one kind, in the order of the result, or of A where they are summed. */
typedef struct group {
    int32_t n;
    int8_t letters[IM_RANK];
} group;

static void refuse(im *m, const equation *q, const char *why)
{
    dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has the equation \"%.40s\", %s; export it as MatMul",
                 q->text, why);
}

/* -- reading ----------------------------------------------------------------------------------- */

static int32_t letter_of(char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' : c >= 'A' && c <= 'Z' ? c - 'A' + 26 : -1;
}

static void add_letter(im *m, equation *q, int32_t side, int32_t letter)
{
    if (q->n[side] == IM_RANK)
        refuse(m, q, "which has too many letters");
    else if (q->axis[side][letter] >= 0)
        refuse(m, q, "which has a letter twice on one side");
    if (m->status != DFQ_OK) return;
    q->axis[side][letter] = (int8_t)q->n[side];
    q->letters[side][q->n[side]++] = (int8_t)letter;
}

/* Fills all but the extents. */
static void read_text(im *m, equation *q)
{
    const Onnx__AttributeProto *a = dfqi_im_attr(m, "equation");
    char text[DFQI_SHOW_MAX] = "";
    int32_t side = A;
    memset(q, 0, sizeof *q);
    memset(q->axis, -1, sizeof q->axis);
    const size_t length = a && a->has_s ? a->s.len : 0;
    if (length > 0) memcpy(text, a->s.data, length < sizeof text ? length : sizeof text - 1);
    dfqi_show(text, q->text);
    if (length >= sizeof text) refuse(m, q, "which is too long");
    for (const char *c = text; *c && m->status == DFQ_OK; c++) {
        const int32_t letter = letter_of(*c);
        if (*c == ' ') continue;
        if (letter >= 0) {
            add_letter(m, q, side, letter);
        } else if (*c == ',' && side == A) {
            side = B;
        } else if (*c == '-' && c[1] == '>' && side != RESULT) {
            q->operands = side + 1;
            side = RESULT;
            c++;
        } else {
            refuse(m, q, *c == '.' ? "which has an ellipsis" : "which is not of one or two values");
        }
    }
    if (m->status == DFQ_OK && (side != RESULT || q->operands != m->n_in))
        refuse(m, q, "which does not say the axes of each operand and, behind \"->\", the result");
}

static void take_extents(im *m, equation *q, int32_t side, int32_t rank, const int64_t *dims)
{
    if (rank != q->n[side])
        refuse(m, q, "which has another number of letters than an operand axes");
    for (int32_t i = 0; i < q->n[side] && m->status == DFQ_OK; i++) {
        int64_t *extent = &q->extent[q->letters[side][i]];
        if (*extent != 0 && *extent != dims[i])
            refuse(m, q, "which has one letter for axes of two extents");
        *extent = dims[i];
    }
}

static bool read_equation(im *m, equation *q)
{
    read_text(m, q);
    for (int32_t k = 0; k < q->operands && m->status == DFQ_OK; k++) {
        int64_t dims[IM_RANK];
        const im_tensor *c = dfqi_im_const(m, m->in[k]);
        const im_view *x = c ? NULL : dfqi_im_view_of(m, k);
        if (x) dfqi_im_dims(x, dims);
        if (c || x) take_extents(m, q, k, c ? c->rank : x->rank, c ? c->dims : dims);
    }
    for (int32_t i = 0; i < q->n[RESULT] && m->status == DFQ_OK; i++) {
        const int8_t letter = q->letters[RESULT][i];
        if (q->axis[A][letter] < 0 && q->axis[B][letter] < 0)
            refuse(m, q, "whose result has a letter that no operand has");
    }
    return m->status == DFQ_OK;
}

/* The letters of `side` that A, B and the result have (1) or do not have (0). */
static group pick(const equation *q, int32_t side, int a, int b, int result)
{
    group g = {.n = 0};
    for (int32_t i = 0; i < q->n[side]; i++) {
        const int8_t l = q->letters[side][i];
        if ((q->axis[A][l] >= 0) == a && (q->axis[B][l] >= 0) == b &&
            (q->axis[RESULT][l] >= 0) == result)
            g.letters[g.n++] = l;
    }
    return g;
}

static int64_t count(const equation *q, const group *g)
{
    int64_t n = 1;
    for (int32_t i = 0; i < g->n; i++) n *= q->extent[g->letters[i]];
    return n;
}

/* The places along the letters of a list that entry i of it has. */
static void places(const equation *q, int32_t n, const int8_t *letters, int64_t i, int64_t *at)
{
    for (int32_t k = n - 1; k >= 0; k--) {
        at[letters[k]] = i % q->extent[letters[k]];
        i /= q->extent[letters[k]];
    }
}

/* Does a letter of an operand neither meet the other one nor stay in the result? */
static bool sums_alone(const equation *q)
{
    return pick(q, A, 1, 0, 0).n > 0 || pick(q, B, 0, 1, 0).n > 0;
}

/* -- of two computed values -------------------------------------------------------------------- */

/* All atoms of the axes that a group has in an operand. */
static im_axis atoms_of(const equation *q, const im_view *v, int32_t side, const group *g)
{
    im_axis all = {.n = 0};
    for (int32_t i = 0; i < g->n; i++) {
        const im_axis *axis = &v->axes[q->axis[side][g->letters[i]]];
        for (int32_t k = 0; k < axis->n; k++) all.atoms[all.n++] = axis->atoms[k];
    }
    return all;
}

/* A value [heads, rows, columns] with the axes of the result. */
static im_view result_view(const equation *q, int32_t base, const group g[3])
{
    im_view y = {.base = base, .rank = q->n[RESULT], .scale = 1};
    for (int32_t k = 0; k < 3; k++)
        for (int32_t i = 0; i < g[k].n; i++) {
            const int8_t l = g[k].letters[i];
            if (q->extent[l] == 1) continue;
            y.axes[q->axis[RESULT][l]] = (im_axis){.n = 1, .atoms = {y.n_atoms}};
            y.atoms[y.n_atoms++] = (im_atom){q->extent[l], -1};
        }
    return y;
}

static void product(im *m, const equation *q)
{
    const im_view *a = dfqi_im_view_of(m, 0), *b = dfqi_im_view_of(m, 1);
    const group g[3] = {pick(q, RESULT, 1, 1, 1), pick(q, RESULT, 1, 0, 1),
                        pick(q, RESULT, 0, 1, 1)},
                summed = pick(q, A, 1, 1, 0);
    if (!a || !b) return;
    if (count(q, &summed) == 1) {
        refuse(m, q, "which sums over no axis of both operands");
        return;
    }
    const im_axis of_a[3] = {atoms_of(q, a, A, &g[0]), atoms_of(q, a, A, &g[1]),
                             atoms_of(q, a, A, &summed)},
                  of_b[3] = {atoms_of(q, b, B, &g[0]), atoms_of(q, b, B, &g[2]),
                             atoms_of(q, b, B, &summed)};
    const int64_t dims[3] = {count(q, &g[0]), count(q, &g[1]), count(q, &g[2])};
    im_view y = result_view(q, dfqi_im_product(m, a, of_a, b, of_b, dims), g);
    y.scale = a->scale * b->scale;
    dfqi_im_set_view(m, 0, &y);
}

/* -- of a value and a weight ------------------------------------------------------------------- */

/* The weight as a linear layer has it: [columns of the result, summed]. */
static float *weight_of(im *m, const equation *q, int32_t side, const group *columns,
                        const group *summed)
{
    const im_tensor *w = dfqi_im_const(m, m->in[side]);
    const int64_t outs = count(q, columns), k = count(q, summed);
    float *to = dfqi_im_work(m, outs, k) ? dfqi_im_alloc(m, (size_t)(outs * k), sizeof *to) : NULL;
    for (int64_t i = 0; to && i < outs * k; i++) {
        int64_t at[LETTERS] = {0}, from = 0;
        places(q, columns->n, columns->letters, i / k, at);
        places(q, summed->n, summed->letters, i % k, at);
        for (int32_t j = 0; j < w->rank; j++) from = from * w->dims[j] + at[q->letters[side][j]];
        to[i] = w->f[from];
    }
    return to;
}

/* The view with the letters `rows` as its first axes, and the summed ones as its last. */
static im_view rows_view(const equation *q, const im_view *x, int32_t side, const group *rows,
                         const group *summed)
{
    im_view v = *x;
    v.rank = rows->n + 1;
    for (int32_t i = 0; i < rows->n; i++) v.axes[i] = x->axes[q->axis[side][rows->letters[i]]];
    v.axes[rows->n] = atoms_of(q, x, side, summed);
    return v;
}

/* The rows' axes, and one of all columns, become those of the result. */
static bool split_columns(im *m, const equation *q, const im_view *y, const group *rows,
                          const group *columns, im_view *out)
{
    int64_t dims[IM_RANK];
    int32_t rank = 0;
    im_view w;
    for (int32_t i = 0; i < rows->n; i++) dims[rank++] = q->extent[rows->letters[i]];
    for (int32_t i = 0; i < columns->n; i++) dims[rank++] = q->extent[columns->letters[i]];
    if (!dfqi_im_view_reshape(m, y, rank, dims, &w)) return false;
    *out = w;
    for (int32_t i = 0; i < rank; i++) {
        const int8_t l = i < rows->n ? rows->letters[i] : columns->letters[i - rows->n];
        out->axes[q->axis[RESULT][l]] = w.axes[i];
    }
    return true;
}

static void linear(im *m, const equation *q, int32_t side)
{
    const int32_t of = 1 - side; /* the operand that is computed */
    const im_view *x = dfqi_im_view_of(m, of);
    const im_tensor *w = dfqi_im_const(m, m->in[side]);
    const group both = pick(q, RESULT, 1, 1, 1), rows = pick(q, RESULT, of == A, of == B, 1),
                columns = pick(q, RESULT, of == B, of == A, 1), summed = pick(q, of, 1, 1, 0);
    char layer[DFQI_LAYER_MAX];
    im_view y, z;
    if (!x || !w) return;
    if (both.n > 0 || count(q, &summed) == 1 || count(q, &columns) == 0 || w->is_int) {
        refuse(m, q, "whose constant is not the weight of a linear layer");
        return;
    }
    const float *weight = weight_of(m, q, side, &columns, &summed);
    if (!weight) return;
    dfqi_im_layer_name(m, m->in[side], -1, layer);
    const im_view v = rows_view(q, x, of, &rows, &summed);
    y = dfqi_im_linear_along(m, &v, rows.n, weight, count(q, &columns), layer);
    if (split_columns(m, q, &y, &rows, &columns, &z)) dfqi_im_set_view(m, 0, &z);
}

/* -- the node ---------------------------------------------------------------------------------- */

static void transpose(im *m, const equation *q)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    im_view y = *x;
    for (int32_t i = 0; i < q->n[RESULT]; i++)
        y.axes[i] = x->axes[q->axis[A][q->letters[RESULT][i]]];
    dfqi_im_set_alias(m, 0, 0, &y);
}

void dfqi_im_einsum(im *m)
{
    equation q;
    if (!read_equation(m, &q)) return;
    const bool weight_a = dfqi_im_const(m, m->in[A]) != NULL,
               weight_b = q.operands == 2 && dfqi_im_const(m, m->in[B]) != NULL;
    if (sums_alone(&q))
        refuse(m, &q, "which sums over an axis of one operand alone");
    else if (q.operands == 1)
        transpose(m, &q);
    else if (weight_a || weight_b)
        linear(m, &q, weight_a ? A : B);
    else
        product(m, &q);
}

/* -- of constants ------------------------------------------------------------------------------ */

/* Letters that are summed over, and the number of their terms; false: they are too many. */
static bool summed_letters(const equation *q, group *out, int64_t *terms)
{
    *out = (group){.n = 0};
    *terms = 1;
    for (int32_t l = 0; l < LETTERS; l++) {
        if (q->axis[RESULT][l] >= 0 || (q->axis[A][l] < 0 && q->axis[B][l] < 0)) continue;
        if (out->n == IM_RANK || !dfqi_mul_i64(*terms, q->extent[l], terms)) return false;
        out->letters[out->n++] = (int8_t)l;
    }
    return true;
}

static double term(const equation *q, const im_tensor *const *in, const int64_t *at)
{
    double y = 1;
    for (int32_t k = 0; k < q->operands; k++) {
        int64_t from = 0;
        for (int32_t i = 0; i < q->n[k]; i++)
            from = from * q->extent[q->letters[k][i]] + at[q->letters[k][i]];
        y *= (double)in[k]->f[from];
    }
    return y;
}

void dfqi_im_fold_einsum(im *m, const im_tensor *const *in, im_tensor *out)
{
    equation q;
    group summed;
    int64_t dims[IM_RANK], terms, at[LETTERS] = {0};
    if (!read_equation(m, &q)) return;
    for (int32_t i = 0; i < q.n[RESULT]; i++) dims[i] = q.extent[q.letters[RESULT][i]];
    if (!summed_letters(&q, &summed, &terms))
        refuse(m, &q, "which sums over too many axes");
    else if (in[A]->is_int || (q.operands == 2 && in[B]->is_int))
        refuse(m, &q, "which is of whole numbers");
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, false, q.n[RESULT], dims, out) ||
        !dfqi_im_work(m, out->count, terms))
        return;
    for (int64_t i = 0; i < out->count; i++) {
        double sum = 0;
        places(&q, q.n[RESULT], q.letters[RESULT], i, at);
        for (int64_t t = 0; t < terms; t++) {
            places(&q, summed.n, summed.letters, t, at);
            sum += term(&q, in, at);
        }
        ((float *)(uintptr_t)out->f)[i] = (float)sum;
    }
}
