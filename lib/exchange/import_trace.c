/* Where the entries of a value come from: through the ops that only move data, back to one that
 * computes. Exporters write such moves in many ways; what they do together is compared, not how. */
#include <string.h>

#include "exchange/import_family_priv.h"

/* Moves one behind another; the source of zeros that come from nowhere. */
enum { DEEPEST = 48, NOWHERE = -1 };
/* Entries that are followed in one file. */
static const int64_t most_work = (int64_t)1 << 31;

static bool moves(dfqi_structure_kind kind)
{
    switch ((int)kind) {
    case DFQI_STRUCTURE_PATCHIFY:
    case DFQI_STRUCTURE_SELECT_TOKEN:
    case DFQI_STRUCTURE_SPLIT_HEADS:
    case DFQI_STRUCTURE_JOIN_HEADS:
    case DFQI_STRUCTURE_CHANNELS_LAST:
    case DFQI_STRUCTURE_RESHAPE:
    case DFQI_STRUCTURE_PAD_IMAGE:
    case DFQI_STRUCTURE_CONCAT:
    case DFQI_STRUCTURE_CHANNELS:
    case DFQI_STRUCTURE_REPEAT:
    case IM_ROWS:
        return true;
    default:
        return false;
    }
}

int64_t dfqi_im_entries(const im *m, int32_t value)
{
    const im_draft_value *v = &m->draft.values[value];
    int64_t n = 1;
    for (int32_t k = 0; k < v->rank; k++) n *= v->dims[k];
    return n;
}

int64_t dfqi_im_last(const im *m, int32_t value)
{
    const im_draft_value *v = &m->draft.values[value];
    return v->rank > 0 ? v->dims[v->rank - 1] : 1;
}

int32_t dfqi_im_computed(const im *m, int32_t value)
{
    for (int32_t n = 0; n < DEEPEST; n++) {
        const im_draft_op *maker = dfqi_im_maker(m, value);
        if (!maker || !moves(maker->op.kind)) return value;
        value = maker->op.in[0];
    }
    return -1;
}

/* -- one move ---------------------------------------------------------------------------------- */

/* The operands' entries, and the result's. */
typedef struct move {
    const im_draft_value *x, *y;
    const int32_t *from[2]; /* NULL: entry i itself */
    int32_t *to;
} move;

static int32_t entry(const int32_t *from, int64_t i)
{
    return from ? from[i] : (int32_t)i;
}

/* out[b][a][c] = in[a][b][c] */
static void swap(const move *v, int64_t start, int64_t row, int64_t a, int64_t b, int64_t c)
{
    for (int64_t j = 0; j < b; j++)
        for (int64_t i = 0; i < a; i++)
            for (int64_t k = 0; k < c; k++)
                v->to[(j * a + i) * c + k] = entry(v->from[0], start + i * row + j * c + k);
}

static void patchify(const move *v, int64_t p)
{
    const int64_t *d = v->x->dims;
    int32_t *to = v->to;
    for (int64_t i = 0; i < d[1] / p * (d[2] / p); i++)
        for (int64_t k = 0; k < d[0] * p * p; k++) {
            int64_t y = i / (d[2] / p) * p + k / p % p, x = i % (d[2] / p) * p + k % p;
            *to++ = entry(v->from[0], (k / (p * p) * d[1] + y) * d[2] + x);
        }
}

static void pad(const move *v, const int64_t *border)
{
    const int64_t *d = v->x->dims, *e = v->y->dims;
    for (int64_t y = 0; y < e[0]; y++)
        for (int64_t x = 0; x < e[1]; x++)
            for (int64_t c = 0; c < e[2]; c++) {
                int64_t row = y - border[0], column = x - border[1];
                bool inside = row >= 0 && row < d[0] && column >= 0 && column < d[1];
                v->to[(y * e[1] + x) * e[2] + c] =
                    inside ? entry(v->from[0], (row * d[1] + column) * d[2] + c) : -1;
            }
}

/* Channels first .. of rows of `width` go to rows of `to_width`, from `at` on. */
static void columns(const move *v, int32_t which, int64_t rows, int64_t width, int64_t first,
                    int64_t n, int64_t to_width, int64_t at)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < n; k++)
            v->to[r * to_width + at + k] = entry(v->from[which], r * width + first + k);
}

/* Rows at indices that may count from the end. */
static void listed(const move *v, const int64_t *rows)
{
    const int64_t *d = v->x->dims, width = d[1];
    for (int64_t i = 0; i < v->y->dims[0]; i++)
        for (int64_t k = 0; k < width; k++)
            v->to[i * width + k] =
                entry(v->from[0], (rows[i] + (rows[i] < 0 ? d[0] : 0)) * width + k);
}

static void one_move(const move *v, const im_draft_op *made, int32_t output, int64_t count)
{
    const dfqi_structure_op *op = &made->op;
    const int64_t *d = v->x->dims, *a = op->ints, last = d[v->x->rank - 1];
    const int64_t own = v->y->dims[v->y->rank - 1];
    switch ((int)op->kind) {
    case IM_ROWS:
        listed(v, made->rows);
        break;
    case DFQI_STRUCTURE_PATCHIFY:
        patchify(v, a[0]);
        break;
    case DFQI_STRUCTURE_SELECT_TOKEN:
        columns(v, 0, 1, 0, a[0] * own, own, own, 0);
        break;
    case DFQI_STRUCTURE_SPLIT_HEADS:
        swap(v, output * (last / a[1]), last, d[0], a[0], last / a[1] / a[0]);
        break;
    case DFQI_STRUCTURE_JOIN_HEADS:
        swap(v, 0, d[1] * d[2], d[0], d[1], d[2]);
        break;
    case DFQI_STRUCTURE_CHANNELS_LAST:
        swap(v, 0, d[1] * d[2], d[0], d[1] * d[2], 1);
        break;
    case DFQI_STRUCTURE_PAD_IMAGE:
        pad(v, a);
        break;
    case DFQI_STRUCTURE_CHANNELS:
        columns(v, 0, count / own, last, a[0], own, own, 0);
        break;
    case DFQI_STRUCTURE_REPEAT:
        for (int64_t i = 0; i < count; i++) v->to[i] = entry(v->from[0], i % own);
        break;
    default: /* concat */
        columns(v, 0, count / own, last, 0, last, own, 0);
        columns(v, 1, count / own, own - last, 0, own - last, own, last);
    }
}

/* -- the way back ------------------------------------------------------------------------------ */

/* Entries are counted in 32 bits. */
static bool may_follow(im *m, int64_t count)
{
    m->traced += count;
    return m->status == DFQ_OK && count > 0 && count < INT32_MAX && m->traced < most_work;
}

static bool follow(im *m, int32_t value, int32_t deep, im_trace *out);

static bool follow_move(im *m, int32_t value, const im_draft_op *made, int32_t deep, im_trace *out)
{
    const dfqi_structure_op *op = &made->op;
    im_trace in[2] = {{.at = NULL}, {.at = NULL}};
    const int64_t count = dfqi_im_entries(m, value);
    bool good = follow(m, op->in[0], deep + 1, &in[0]);
    if (good && op->kind == DFQI_STRUCTURE_CONCAT) {
        good = follow(m, op->in[1], deep + 1, &in[1]);
        if (good && in[0].source == NOWHERE) in[0].source = in[1].source;
        good = good && (in[1].source == in[0].source || in[1].source == NOWHERE);
    }
    if (good && op->kind == DFQI_STRUCTURE_RESHAPE) {
        *out = in[0];
        return true;
    }
    move v = {.x = &m->draft.values[op->in[0]],
              .y = &m->draft.values[value],
              .from = {in[0].at, in[1].at}};
    if (good && !(v.to = dfqi_calloc(m->ctx, (size_t)count, sizeof *v.to))) m->status = DFQ_E_NOMEM;
    good &= m->status == DFQ_OK;
    if (good) {
        one_move(&v, made, value - op->out, count);
        *out = (im_trace){.source = in[0].source, .n = count, .at = v.to};
    }
    dfqi_free(m->ctx, in[0].at);
    dfqi_free(m->ctx, in[1].at);
    return good;
}

/* Padding is a value times 0. */
static bool is_zero(const im *m, const im_draft_op *maker)
{
    bool zero = maker && maker->op.kind == DFQI_STRUCTURE_AFFINE;
    for (int32_t k = 1; zero && k < 3; k++) {
        const float *v = dfqi_im_param_data(m, maker->op.in[k]);
        const int64_t n = dfqi_im_entries(m, maker->op.in[k]);
        zero = v != NULL;
        for (int64_t i = 0; zero && i < n; i++) zero = v[i] >= 0 && v[i] <= 0;
    }
    return zero;
}

static bool follow_zeros(im *m, int64_t count, im_trace *out)
{
    *out = (im_trace){.source = NOWHERE, .n = count};
    out->at = dfqi_calloc(m->ctx, (size_t)count, sizeof *out->at);
    if (!out->at) m->status = DFQ_E_NOMEM;
    for (int64_t i = 0; out->at && i < count; i++) out->at[i] = -1;
    return out->at != NULL;
}

static bool follow(im *m, int32_t value, int32_t deep, im_trace *out)
{
    const int64_t count = dfqi_im_entries(m, value);
    const im_draft_op *maker = dfqi_im_maker(m, value);
    if (deep > DEEPEST || !may_follow(m, count)) return false;
    if (is_zero(m, maker)) return follow_zeros(m, count, out);
    if (maker && moves(maker->op.kind)) return follow_move(m, value, maker, deep, out);
    *out = (im_trace){.source = value, .n = count, .at = NULL};
    return true;
}

bool dfqi_im_trace(im *m, int32_t value, im_trace *out)
{
    if (!follow(m, value, 0, out)) return false;
    if (out->source != NOWHERE) return true;
    dfqi_free(m->ctx, out->at);
    out->at = NULL;
    return false;
}

bool dfqi_im_trace_same(im *m, int32_t value, int32_t *out_source)
{
    im_trace t;
    if (!dfqi_im_trace(m, value, &t)) return false;
    bool same = t.n == dfqi_im_entries(m, t.source);
    for (int64_t i = 0; same && i < t.n; i++) same = entry(t.at, i) == i;
    dfqi_free(m->ctx, t.at);
    *out_source = t.source;
    return same;
}

/* -- rows -------------------------------------------------------------------------------------- */

bool dfqi_im_trace_rows(im *m, int32_t value, int64_t width, im_rows *out)
{
    im_trace t;
    if (!dfqi_im_trace(m, value, &t)) return false;
    const int64_t of = dfqi_im_last(m, t.source);
    im_rows r = {.source = t.source, .n = t.n / width};
    bool good = t.n % width == 0;
    r.first = good && entry(t.at, 0) >= 0 ? entry(t.at, 0) % of : 0;
    r.at = good ? dfqi_im_alloc(m, (size_t)r.n, sizeof *r.at) : NULL;
    good = r.at && r.first + width <= of;
    for (int64_t i = 0; good && i < r.n; i++) {
        const int64_t begin = entry(t.at, i * width);
        r.at[i] = begin < 0 ? -1 : (int32_t)(begin / of);
        good = begin < 0 || begin % of == r.first;
        for (int64_t k = 1; good && k < width; k++)
            good = entry(t.at, i * width + k) == (begin < 0 ? -1 : begin + k);
    }
    dfqi_free(m->ctx, t.at);
    *out = r;
    return good;
}

void dfqi_im_rows_through(im_rows *a, const im_rows *b)
{
    for (int64_t i = 0; i < a->n; i++)
        a->at[i] = a->at[i] < 0 || a->at[i] >= b->n ? -1 : b->at[a->at[i]];
    a->source = b->source;
}
