/* Folding of constants: arithmetic of elements. Exporters write the arithmetic of shapes and scales
 * as nodes. */
#include <math.h>
#include <string.h>

#include "exchange/import_priv.h"

/* -- broadcasting ------------------------------------------------------------------------------ */

/* The shape that operands have together; false if there is none. */
static bool broadcast(im *m, int32_t n, const im_tensor *const *in, bool is_int, im_tensor *out)
{
    int64_t dims[IM_RANK];
    int32_t rank = 0;
    for (int32_t k = 0; k < n; k++) rank = in[k]->rank > rank ? in[k]->rank : rank;
    for (int32_t i = 0; i < rank; i++) dims[i] = 1;
    for (int32_t k = 0; k < n; k++)
        for (int32_t i = 0; i < in[k]->rank; i++) {
            int64_t *d = &dims[rank - in[k]->rank + i], e = in[k]->dims[i];
            if (*d != e && *d != 1 && e != 1) {
                dfqi_im_fail(m, DFQ_E_SHAPE,
                             "operands have extents %lld and %lld, which do not fit", (long long)*d,
                             (long long)e);
                return false;
            }
            if (*d == 1) *d = e;
        }
    return dfqi_im_tensor_new(m, is_int, rank, dims, out);
}

/* The element of `t` that stands at element i of `out`. */
static int64_t element(const im_tensor *out, const im_tensor *t, int64_t i)
{
    int64_t at = 0, step = 1;
    if (t->count == 1) return 0;
    for (int32_t k = out->rank - 1; k >= 0; k--) {
        int64_t index = i % out->dims[k];
        int32_t own = k - (out->rank - t->rank);
        i /= out->dims[k];
        if (own < 0) continue;
        if (t->dims[own] > 1) at += index * step;
        step *= t->dims[own];
    }
    return at;
}

/* -- two operands ------------------------------------------------------------------------------ */

typedef enum binary {
    ADD,
    SUB,
    MUL,
    DIV,
    POW,
    MOD,
    MIN,
    MAX,
    EQUAL,
    LESS,
    NOT_LESS,
    NOT_GREATER,
    GREATER,
    AND,
    OR
} binary;

static float of_floats(binary op, float a, float b)
{
    switch (op) {
    case ADD:
        return a + b;
    case SUB:
        return a - b;
    case MUL:
        return a * b;
    case DIV:
        return a / b;
    case POW:
        return powf(a, b);
    case MIN:
        return a < b ? a : b;
    case MAX:
        return a > b ? a : b;
    default:
        return a - b * floorf(a / b);
    }
}

/* Sums and products wrap, as those of ONNX Runtime do. */
static int64_t of_ints(im *m, binary op, int64_t a, int64_t b)
{
    if ((op == DIV || op == MOD) && (b == 0 || b == -1)) {
        if (b == 0) dfqi_im_fail(m, DFQ_E_CORRUPT, "divides by 0");
        return b == 0 || op == MOD ? 0 : (int64_t)(0 - (uint64_t)a);
    }
    switch (op) {
    case ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case DIV:
        return a / b;
    case MOD:
        return a % b != 0 && (a % b < 0) != (b < 0) ? a % b + b : a % b;
    case MIN:
        return a < b ? a : b;
    case MAX:
        return a > b ? a : b;
    default:
        return op == AND ? a && b : a || b;
    }
}

static bool compare(binary op, double a, double b)
{
    switch (op) {
    case EQUAL:
        return !(a < b) && !(a > b);
    case LESS:
        return a < b;
    case NOT_LESS:
        return a >= b;
    case NOT_GREATER:
        return a <= b;
    default:
        return a > b;
    }
}

static void two(im *m, binary op, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *a = in[0], *b = in[1];
    bool compares = op >= EQUAL && op <= GREATER, is_int = a->is_int && b->is_int;
    if (a->is_int != b->is_int && !compares && op != POW)
        dfqi_im_fail(m, DFQ_E_CORRUPT, "has operands of different types");
    if (!broadcast(m, 2, in, compares || is_int, out)) return;
    for (int64_t i = 0; i < out->count && m->status == DFQ_OK; i++) {
        int64_t x = element(out, a, i), y = element(out, b, i);
        double u = a->is_int ? (double)a->i[x] : (double)a->f[x];
        double v = b->is_int ? (double)b->i[y] : (double)b->f[y];
        if (compares)
            ((int64_t *)(uintptr_t)out->i)[i] = compare(op, u, v);
        else if (is_int && op == POW)
            ((int64_t *)(uintptr_t)out->i)[i] = (int64_t)fmin(fmax(pow(u, v), -9e18), 9e18);
        else if (is_int)
            ((int64_t *)(uintptr_t)out->i)[i] = of_ints(m, op, a->i[x], b->i[y]);
        else
            ((float *)(uintptr_t)out->f)[i] = of_floats(op, (float)u, (float)v);
    }
}

#define TWO(NAME, OP)                                                                              \
    static void fold_##NAME(im *m, const im_tensor *const *in, im_tensor *out)                     \
    {                                                                                              \
        two(m, OP, in, out);                                                                       \
    }
TWO(add, ADD)
TWO(sub, SUB)
TWO(mul, MUL)
TWO(div, DIV)
TWO(pow, POW)
TWO(mod, MOD)
TWO(min, MIN)
TWO(max, MAX)
TWO(equal, EQUAL)
TWO(less, LESS)
TWO(not_less, NOT_LESS)
TWO(not_greater, NOT_GREATER)
TWO(greater, GREATER)
TWO(and, AND)
TWO(or, OR)

/* -- one operand ------------------------------------------------------------------------------- */

static float inverse(float x)
{
    return 1.0f / x;
}

static float negative(float x)
{
    return -x;
}

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static float positive(float x)
{
    return x > 0.0f ? x : 0.0f;
}

static float sign(float x)
{
    return (float)((x > 0.0f) - (x < 0.0f));
}

static void one(im *m, const im_tensor *x, float (*f)(float), im_tensor *out)
{
    if (x->is_int) dfqi_im_fail(m, DFQ_E_CORRUPT, "has a whole number where a float belongs");
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, false, x->rank, x->dims, out)) return;
    for (int64_t i = 0; i < out->count; i++) ((float *)(uintptr_t)out->f)[i] = f(x->f[i]);
}

#define ONE(NAME, FUNCTION)                                                                        \
    static void fold_##NAME(im *m, const im_tensor *const *in, im_tensor *out)                     \
    {                                                                                              \
        one(m, in[0], FUNCTION, out);                                                              \
    }
ONE(sqrt, sqrtf)
ONE(reciprocal, inverse)
ONE(floor, floorf)
ONE(ceil, ceilf)
ONE(sigmoid, sigmoid)
ONE(relu, positive)
ONE(sign, sign)
ONE(abs, fabsf)
ONE(exp, expf)
ONE(log, logf)
ONE(tanh, tanhf)
ONE(sin, sinf)
ONE(cos, cosf)

static void fold_neg(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    if (!x->is_int) {
        one(m, x, negative, out);
        return;
    }
    if (!dfqi_im_tensor_new(m, true, x->rank, x->dims, out)) return;
    for (int64_t i = 0; i < out->count; i++)
        ((int64_t *)(uintptr_t)out->i)[i] = (int64_t)(0 - (uint64_t)x->i[i]);
}

static void fold_not(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    if (!x->is_int) dfqi_im_fail(m, DFQ_E_CORRUPT, "has a float where a boolean belongs");
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, true, x->rank, x->dims, out)) return;
    for (int64_t i = 0; i < out->count; i++) ((int64_t *)(uintptr_t)out->i)[i] = !x->i[i];
}

static void fold_cast(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    int64_t to = dfqi_im_attr_int(m, "to", 0);
    bool is_bool = to == ONNX__TENSOR_PROTO__DATA_TYPE__BOOL;
    bool is_int = is_bool || to == ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ||
                  to == ONNX__TENSOR_PROTO__DATA_TYPE__INT32;
    if (!dfqi_im_tensor_new(m, is_int, x->rank, x->dims, out)) return;
    for (int64_t i = 0; i < out->count; i++) {
        double v = x->is_int ? (double)x->i[i] : (double)x->f[i];
        if (!is_int)
            ((float *)(uintptr_t)out->f)[i] = (float)v;
        else if (is_bool)
            ((int64_t *)(uintptr_t)out->i)[i] = v < 0 || v > 0;
        else
            ((int64_t *)(uintptr_t)out->i)[i] =
                x->is_int ? x->i[i] : (int64_t)fmin(fmax(isnan(v) ? 0 : v, -9e18), 9e18);
    }
}

/* -- three operands ---------------------------------------------------------------------------- */

static void fold_where(im *m, const im_tensor *const *in, im_tensor *out)
{
    if (!in[0]->is_int || in[1]->is_int != in[2]->is_int)
        dfqi_im_fail(m, DFQ_E_CORRUPT, "has operands of different types");
    if (m->status != DFQ_OK || !broadcast(m, 3, in, in[1]->is_int, out)) return;
    for (int64_t i = 0; i < out->count; i++) {
        const im_tensor *t = in[0]->i[element(out, in[0], i)] ? in[1] : in[2];
        if (out->is_int)
            ((int64_t *)(uintptr_t)out->i)[i] = t->i[element(out, t, i)];
        else
            ((float *)(uintptr_t)out->f)[i] = t->f[element(out, t, i)];
    }
}

/* With both bounds, the lower one may be absent. With the lower one alone it is Max. */
static void fold_clip(im *m, const im_tensor *const *in, im_tensor *out)
{
    im_tensor low = *in[0];
    if (in[1]) two(m, MAX, in, &low);
    if (m->status == DFQ_OK) two(m, MIN, (const im_tensor *[]){&low, in[2]}, out);
}

static void fold_range(im *m, const im_tensor *const *in, im_tensor *out)
{
    double a, b, step;
    if (!dfqi_im_scalar(in[0], &a) || !dfqi_im_scalar(in[1], &b) || !dfqi_im_scalar(in[2], &step) ||
        !(step < 0 || step > 0)) {
        dfqi_im_fail(m, DFQ_E_CORRUPT, "must have a start, an end and a step other than 0");
        return;
    }
    double n = ceil((b - a) / step);
    int64_t count = n > 0 ? (n < 1e12 ? (int64_t)n : INT64_C(1) << 40) : 0;
    if (!dfqi_im_tensor_new(m, in[0]->is_int, 1, &count, out)) return;
    for (int64_t i = 0; i < count; i++) {
        if (out->is_int)
            ((int64_t *)(uintptr_t)out->i)[i] = (int64_t)(a + (double)i * step);
        else
            ((float *)(uintptr_t)out->f)[i] = (float)(a + (double)i * step);
    }
}

static void fold_expand(im *m, const im_tensor *const *in, im_tensor *out)
{
    im_tensor like = {.rank = in[1]->count <= IM_RANK ? (int32_t)in[1]->count : 0, .count = -1};
    if (!in[1]->is_int || in[1]->count > IM_RANK)
        dfqi_im_fail(m, DFQ_E_CORRUPT, "must have a shape of at most %d extents", IM_RANK);
    for (int32_t i = 0; i < like.rank && m->status == DFQ_OK; i++) like.dims[i] = in[1]->i[i];
    if (m->status != DFQ_OK ||
        !broadcast(m, 2, (const im_tensor *[]){in[0], &like}, in[0]->is_int, out))
        return;
    for (int64_t i = 0; i < out->count; i++) {
        if (out->is_int)
            ((int64_t *)(uintptr_t)out->i)[i] = in[0]->i[element(out, in[0], i)];
        else
            ((float *)(uintptr_t)out->f)[i] = in[0]->f[element(out, in[0], i)];
    }
}

static const struct {
    const char *op;
    int32_t operands;
    im_fold fold;
} rows[] = {{"Add", 2, fold_add},
            {"Sub", 2, fold_sub},
            {"Mul", 2, fold_mul},
            {"Div", 2, fold_div},
            {"Pow", 2, fold_pow},
            {"Mod", 2, fold_mod},
            {"Min", 2, fold_min},
            {"Max", 2, fold_max},
            {"Equal", 2, fold_equal},
            {"Less", 2, fold_less},
            {"Greater", 2, fold_greater},
            {"And", 2, fold_and},
            {"Or", 2, fold_or},
            {"Sqrt", 1, fold_sqrt},
            {"Reciprocal", 1, fold_reciprocal},
            {"Floor", 1, fold_floor},
            {"Ceil", 1, fold_ceil},
            {"Neg", 1, fold_neg},
            {"Not", 1, fold_not},
            {"Cast", 1, fold_cast},
            {"Where", 3, fold_where},
            {"Clip", 2, fold_max},
            {"Clip", 3, fold_clip},
            {"Range", 3, fold_range},
            {"Expand", 2, fold_expand},
            {"Sigmoid", 1, fold_sigmoid},
            {"Relu", 1, fold_relu},
            {"Sign", 1, fold_sign},
            {"Abs", 1, fold_abs},
            {"Exp", 1, fold_exp},
            {"Log", 1, fold_log},
            {"Tanh", 1, fold_tanh},
            {"Sin", 1, fold_sin},
            {"Cos", 1, fold_cos},
            {"GreaterOrEqual", 2, fold_not_less},
            {"LessOrEqual", 2, fold_not_greater},
            {"Einsum", 1, dfqi_im_fold_einsum},
            {"Einsum", 2, dfqi_im_fold_einsum}};

im_fold dfqi_im_fold_of(const char *op, int32_t operands)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].op, op) == 0 && rows[i].operands == operands) return rows[i].fold;
    return dfqi_im_fold_index_of(op, operands);
}
