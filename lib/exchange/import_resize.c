/* Images of another size (ONNX's Resize). Nearest pixels that are repeated are copies. All else is
 * weighted means along the axes that change: linear layers whose weights are the means'.
 * Beyond an image its edges go on. */
#include <math.h>
#include <stdio.h>

#include "exchange/import_nodes_priv.h"

enum { RANK = 4, TAPS = 4, MOST = 4096 };

/* What a Resize makes of its operand. */
typedef struct resizing {
    int64_t from[RANK], to[RANK];
    double scale[RANK];
} resizing;

static bool read_sizes(im *m, const im_view *x, resizing *r)
{
    const im_tensor *scales = m->n_in > 2 && m->in[2] >= 0 ? dfqi_im_const(m, m->in[2]) : NULL;
    const int32_t n = m->n_in > 3 ? dfqi_im_ints(m, NULL, 3, RANK, r->to) : -1;
    if (m->status != DFQ_OK || x->rank != RANK ||
        (n != RANK && !(scales && !scales->is_int && scales->count == RANK)))
        return false;
    for (int32_t i = 0; i < RANK; i++) {
        r->from[i] = dfqi_im_extent(x, i);
        r->scale[i] = n == RANK ? (double)r->to[i] / (double)r->from[i] : (double)scales->f[i];
        if (!(r->scale[i] > 0 && r->scale[i] <= 65536)) return false;
        if (n != RANK) r->to[i] = (int64_t)(r->scale[i] * (double)r->from[i]);
        if (r->to[i] < 1 || r->to[i] > 65536 || (i < 2 && r->to[i] != r->from[i])) return false;
    }
    return true;
}

/* -- nearest pixels ---------------------------------------------------------------------------- */

/* Of factors that are whole; up to 2 the default way to round says the same as floor. */
static bool repeat(im *m, const im_view *x, const resizing *r)
{
    int64_t cut[RANK + 2], wide[RANK + 2];
    im_view y, z;
    const bool below = dfqi_im_attr_is(m, "nearest_mode", "floor", false);
    const bool usual = dfqi_im_attr_is(m, "nearest_mode", "round_prefer_floor", true);
    for (int32_t i = 0; i < RANK; i++) {
        const double factor = r->scale[i];
        if (fabs(factor * (double)r->from[i] - (double)r->to[i]) > 0) return false;
        if (r->to[i] % r->from[i] != 0 || !(below || (usual && factor <= 2))) return false;
        const int32_t at = i > 1 ? 2 * i - 2 : i;
        cut[at] = wide[at] = r->from[i];
        if (i > 1) cut[at + 1] = 1;
        if (i > 1) wide[at + 1] = r->to[i] / r->from[i];
    }
    if (!dfqi_im_view_reshape(m, x, RANK + 2, cut, &y)) return true;
    y = dfqi_im_expand(m, &y, RANK + 2, wide);
    if (dfqi_im_view_reshape(m, &y, RANK, r->to, &z)) dfqi_im_set_view(m, 0, &z);
    return true;
}

/* -- places between pixels --------------------------------------------------------------------- */

/* The place of pixel o of the result; NaN: a way that is not known. */
static double place(const im *m, const resizing *r, int32_t axis, int64_t o)
{
    static const char mode[] = "coordinate_transformation_mode";
    const double middle = ((double)o + 0.5) / r->scale[axis] - 0.5;
    if (dfqi_im_attr_is(m, mode, "half_pixel", true)) return middle;
    if (dfqi_im_attr_is(m, mode, "pytorch_half_pixel", false)) return r->to[axis] > 1 ? middle : 0;
    if (dfqi_im_attr_is(m, mode, "asymmetric", false)) return (double)o / r->scale[axis];
    if (dfqi_im_attr_is(m, mode, "align_corners", false))
        return r->to[axis] > 1 ? (double)o * (double)(r->from[axis] - 1) / (double)(r->to[axis] - 1)
                               : 0;
    return NAN;
}

typedef enum way { NEAREST, LINEAR, CUBIC } way;

/* The weight of a pixel so far in front of a place; a: of Keys 1981. */
static double share(way how, double distance, double a)
{
    const double d = fabs(distance);
    if (how == NEAREST) return distance >= 0 && distance < 1;
    if (how == LINEAR) return fmax(0, 1 - d);
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* [to, from] in the arena: how much of each pixel is in one of the result; NULL: not known. */
static float *means(im *m, const resizing *r, int32_t axis, way how)
{
    const int64_t n = r->from[axis];
    const double a = dfqi_im_attr_float(m, "cubic_coeff_a", -0.75);
    float *w = dfqi_im_alloc(m, (size_t)(r->to[axis] * n), sizeof *w);
    for (int64_t o = 0; w && o < r->to[axis]; o++) {
        const double x = place(m, r, axis, o), below = floor(x);
        if (!(x >= -1 && x <= (double)n)) return NULL;
        for (int32_t k = 0; k < TAPS; k++) {
            const double at = below + k - 1;
            const int64_t pixel = at < 0 ? 0 : at > (double)(n - 1) ? n - 1 : (int64_t)at;
            w[o * n + pixel] += (float)share(how, x - at, a);
        }
    }
    return w;
}

static bool interpolate(im *m, const im_view *x, const resizing *r, way how)
{
    static const char *const ends[RANK] = {NULL, NULL, "rows", "columns"};
    char layer[DFQI_LAYER_MAX], name[DFQI_LAYER_MAX + 16];
    im_view y = *x;
    if (dfqi_im_attr_int(m, "antialias", 0) != 0 || dfqi_im_attr_int(m, "exclude_outside", 0) != 0)
        return false;
    dfqi_im_layer_name(m, -1, -1, layer);
    for (int32_t axis = 2; axis < RANK; axis++) {
        if (r->from[axis] > MOST || r->to[axis] > MOST) return false;
        if (r->to[axis] == r->from[axis] && !(fabs(r->scale[axis] - 1) > 0)) continue;
        const float *w = means(m, r, axis, how);
        if (!w) return false;
        const im_view part = y;
        snprintf(name, sizeof name, "%.60s.%s", layer, ends[axis]);
        y = dfqi_im_linear_along(m, &part, axis, w, r->to[axis], name);
        if (m->status != DFQ_OK) return true;
    }
    if (y.base == x->base)
        dfqi_im_set_alias(m, 0, 0, &y);
    else
        dfqi_im_set_view(m, 0, &y);
    return true;
}

void dfqi_im_resize(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    resizing r;
    if (!x) return;
    bool good = read_sizes(m, x, &r);
    if (good && dfqi_im_attr_is(m, "mode", "nearest", true))
        good = dfqi_im_attr_is(m, "coordinate_transformation_mode", "asymmetric", false) &&
               (repeat(m, x, &r) || (dfqi_im_attr_is(m, "nearest_mode", "floor", false) &&
                                     interpolate(m, x, &r, NEAREST)));
    else if (good)
        good = dfqi_im_attr_is(m, "mode", "linear", false)  ? interpolate(m, x, &r, LINEAR)
               : dfqi_im_attr_is(m, "mode", "cubic", false) ? interpolate(m, x, &r, CUBIC)
                                                            : false;
    if (!good && m->status == DFQ_OK)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "must be linear, cubic, or of the nearest pixel below (asymmetric, floor), "
                     "without antialias, of images of at most %d x %d; other ways to resize are "
                     "not known here",
                     MOST, MOST);
}
