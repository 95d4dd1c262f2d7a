/* Views: computed values whose axes may lie in memory in another order than ONNX has them. */
#include "exchange/import_priv.h"

#include <string.h>

const im_view *dfqi_im_view_of(im *m, int32_t slot)
{
    im_value *v = slot < m->n_in && m->in[slot] >= 0 ? &m->values[m->in[slot]] : NULL;
    if (m->status != DFQ_OK) return NULL;
    if (v && v->state == IM_DATA && (v->expr == IM_WHOLE || dfqi_im_settle(m, v))) return &v->v;
    if (v && v->state == IM_DATA)
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "reads a part of a LayerNorm or an activation, which is known as a whole only");
    else
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "must have an operand %d that is computed from the image", slot);
    return NULL;
}

int64_t dfqi_im_extent(const im_view *v, int32_t axis)
{
    int64_t n = 1;
    for (int32_t k = 0; k < v->axes[axis].n; k++) n *= v->atoms[v->axes[axis].atoms[k]].extent;
    return n;
}

void dfqi_im_dims(const im_view *v, int64_t out[IM_RANK])
{
    for (int32_t i = 0; i < v->rank; i++) out[i] = dfqi_im_extent(v, i);
}

im_view dfqi_im_view_new(im *m, int32_t base, int32_t rank, const int64_t *dims, int32_t n,
                         const int32_t *order)
{
    im_view v = {.base = base, .rank = rank, .scale = 1};
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++) {
        if (dims[order[k]] == 1) continue;
        v.axes[order[k]] = (im_axis){.n = 1, .atoms = {v.n_atoms}};
        v.atoms[v.n_atoms++] = (im_atom){dims[order[k]], -1};
    }
    return v;
}

void dfqi_im_set_view(im *m, int32_t slot, const im_view *v)
{
    int32_t id = dfqi_im_output(m, slot);
    if (id < 0 || m->status != DFQ_OK) return;
    m->values[id].state = IM_DATA;
    m->values[id].expr = IM_WHOLE;
    m->values[id].v = *v;
}

void dfqi_im_set_alias(im *m, int32_t slot, int32_t operand, const im_view *v)
{
    im_view copy = *v;
    copy.shared |= m->values[m->in[operand]].uses > 1;
    dfqi_im_set_view(m, slot, &copy);
}

/* -- axes -------------------------------------------------------------------------------------- */

im_axis dfqi_im_axes(const im_view *v, int32_t first, int32_t last)
{
    im_axis all = {.n = 0};
    for (int32_t i = first; i < last; i++)
        for (int32_t k = 0; k < v->axes[i].n; k++) all.atoms[all.n++] = v->axes[i].atoms[k];
    return all;
}

static bool has(const im_axis *axis, int32_t atom)
{
    for (int32_t k = 0; k < axis->n; k++)
        if (axis->atoms[k] == atom) return true;
    return false;
}

im_axis dfqi_im_others(const im_view *v, const im_axis *last)
{
    im_axis rest = {.n = 0};
    for (int32_t i = 0; i < v->n_atoms; i++)
        if (v->atoms[i].pick < 0 && !has(last, i)) rest.atoms[rest.n++] = i;
    return rest;
}

static void too_many(im *m)
{
    dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "cuts axes into more than %d pieces", IM_ATOMS);
}

/* Cuts an atom in two, of extents `outer` and the rest. */
static bool cut(im *m, im_view *v, int32_t atom, int64_t outer)
{
    if (v->n_atoms == IM_ATOMS) {
        too_many(m);
        return false;
    }
    memmove(&v->atoms[atom + 1], &v->atoms[atom], (size_t)(v->n_atoms - atom) * sizeof v->atoms[0]);
    v->n_atoms++;
    v->atoms[atom].extent = outer;
    v->atoms[atom + 1].extent /= outer;
    for (int32_t i = 0; i < v->rank; i++) {
        im_axis *axis = &v->axes[i], old = *axis;
        axis->n = 0;
        for (int32_t k = 0; k < old.n; k++) {
            int32_t at = old.atoms[k];
            axis->atoms[axis->n++] = at > atom ? at + 1 : at;
            if (at == atom) axis->atoms[axis->n++] = atom + 1;
        }
    }
    return true;
}

/* Regroups: each new axis takes atoms from the front of the list, whole ones or the outer part of
 * one that is cut. The list is kept in axis 0 of `w`, so that cuts reach it. False: axes do not end
 * where atoms do or can be cut, or an error came. */
static bool regroup(im *m, const im_view *v, int32_t rank, const int64_t *dims, im_view *out)
{
    im_view w = *v;
    im_axis made[IM_RANK] = {{.n = 0}};
    int32_t at = 0;
    if (m->status != DFQ_OK) return false;
    w.axes[0] = dfqi_im_axes(v, 0, v->rank);
    w.rank = 1;
    for (int32_t i = 0; i < rank; i++) {
        int64_t left = dims[i];
        int32_t first = at;
        while (left > 1) {
            int64_t extent = at < w.axes[0].n ? w.atoms[w.axes[0].atoms[at]].extent : 0;
            bool whole = extent > 0 && left % extent == 0;
            if (!whole && (extent == 0 || extent % left != 0)) return false;
            if (!whole && !cut(m, &w, w.axes[0].atoms[at], left)) return false;
            left /= whole ? extent : left;
            at++;
        }
        made[i].n = at - first; /* places in the list; atoms move while others are cut */
        made[i].atoms[0] = first;
    }
    im_axis list = w.axes[0];
    w.rank = rank;
    for (int32_t i = 0; i < rank; i++) {
        w.axes[i].n = made[i].n;
        for (int32_t k = 0; k < made[i].n; k++)
            w.axes[i].atoms[k] = list.atoms[made[i].atoms[0] + k];
    }
    *out = w;
    return true;
}

bool dfqi_im_view_reshape(im *m, const im_view *v, int32_t rank, const int64_t *dims, im_view *out)
{
    if (regroup(m, v, rank, dims, out)) return true;
    dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "joins and cuts axes in a way that is not supported");
    return false;
}

bool dfqi_im_view_reshape_moved(im *m, const im_view *v, int32_t rank, const int64_t *dims,
                                im_view *out)
{
    int64_t have = 1, want = 1;
    if (regroup(m, v, rank, dims, out)) return true;
    for (int32_t i = 0; i < v->rank; i++) have *= dfqi_im_extent(v, i);
    for (int32_t i = 0; i < rank; i++)
        if (dims[i] < 1 || !dfqi_mul_i64(want, dims[i], &want)) want = 0;
    if (m->status != DFQ_OK || have != want || have == 1)
        return dfqi_im_view_reshape(m, v, rank, dims, out);
    const im_axis all = dfqi_im_axes(v, 0, v->rank);
    im_view flat = dfqi_im_view_new(m, dfqi_im_arrange(m, v, 1, &all), 1, &have, 1, (int32_t[]){0});
    flat.scale = v->scale;
    return dfqi_im_view_reshape(m, &flat, rank, dims, out);
}

/* Reads entry `index` of an axis, which goes. */
static void pick(im_view *v, int32_t axis, int64_t index)
{
    for (int32_t k = v->axes[axis].n - 1; k >= 0; k--) {
        im_atom *a = &v->atoms[v->axes[axis].atoms[k]];
        a->pick = index % a->extent;
        index /= a->extent;
    }
    for (int32_t i = axis; i + 1 < v->rank; i++) v->axes[i] = v->axes[i + 1];
    v->rank--;
}

bool dfqi_im_view_part(im *m, const im_view *v, int32_t axis, int64_t first, int64_t n,
                       im_view *out)
{
    int64_t dims[IM_RANK + 1], extent = dfqi_im_extent(v, axis);
    im_view w;
    if (first == 0 && n == extent) {
        *out = *v;
        return true;
    }
    if (n < 1 || extent % n != 0 || first % n != 0 || v->rank == IM_RANK) return false;
    for (int32_t i = 0; i < v->rank; i++) dims[i < axis ? i : i + 1] = dfqi_im_extent(v, i);
    dims[axis] = extent / n;
    dims[axis + 1] = n;
    if (!dfqi_im_view_reshape(m, v, v->rank + 1, dims, &w)) return false;
    pick(&w, axis, first / n);
    *out = w;
    return true;
}

/* The atoms of both views must be the same ones: those of `a` are cut where those of `b` are. */
bool dfqi_im_view_refine(im *m, const im_view *a, const im_view *b, im_view *out)
{
    int64_t dims[IM_ATOMS];
    im_view w, back = *a;
    im_axis all = dfqi_im_axes(b, 0, b->rank);
    int32_t rank = 0;
    for (int32_t k = 0; k < all.n; k++) dims[rank++] = b->atoms[all.atoms[k]].extent;
    if (rank > IM_RANK) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "joins values of axes in more than %d pieces", IM_RANK);
        return false;
    }
    if (!dfqi_im_view_reshape(m, a, rank, dims, &w)) return false;
    int64_t own[IM_RANK];
    dfqi_im_dims(a, own);
    if (!dfqi_im_view_reshape(m, &w, a->rank, own, &back)) return false;
    *out = back;
    return true;
}

/* -- new views --------------------------------------------------------------------------------- */

void dfqi_im_view_order(const im_view *v, int32_t groups, const im_axis *order, im_view *out)
{
    int32_t place[IM_ATOMS];
    im_view w = *v;
    w.n_atoms = 0;
    for (int32_t g = 0; g < groups; g++)
        for (int32_t k = 0; k < order[g].n; k++) {
            place[order[g].atoms[k]] = w.n_atoms;
            w.atoms[w.n_atoms++] = v->atoms[order[g].atoms[k]];
        }
    for (int32_t i = 0; i < w.rank; i++)
        for (int32_t k = 0; k < w.axes[i].n; k++) w.axes[i].atoms[k] = place[v->axes[i].atoms[k]];
    *out = w;
}

void dfqi_im_view_last(im *m, im_view *v, int32_t axis, int64_t extent)
{
    if (v->axes[axis].n == 0 && v->n_atoms == IM_ATOMS) {
        too_many(m);
        return;
    }
    v->n_atoms -= v->axes[axis].n;
    v->axes[axis].n = 0;
    if (extent == 1) return;
    v->axes[axis] = (im_axis){.n = 1, .atoms = {v->n_atoms}};
    v->atoms[v->n_atoms++] = (im_atom){extent, -1};
}

void dfqi_im_view_drop(im_view *v, int32_t n, const bool over[IM_RANK], bool keep)
{
    int32_t rank = 0;
    v->n_atoms -= n;
    memmove(v->atoms, v->atoms + n, (size_t)v->n_atoms * sizeof v->atoms[0]);
    for (int32_t i = 0; i < v->rank; i++) {
        im_axis axis = over[i] ? (im_axis){.n = 0} : v->axes[i];
        for (int32_t k = 0; k < axis.n; k++) axis.atoms[k] -= n;
        if (!over[i] || keep) v->axes[rank++] = axis;
    }
    v->rank = rank;
}
