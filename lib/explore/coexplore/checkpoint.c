/* Checkpoints of a co-exploration: a safetensors file with the solver's state (solver/checkpoint.c)
 * and
 *
 *   position        I64 [7]  stage, units done, whether the round's paths were judged, whether the
 *                            stage's optimiser exists, lengths of the three loss curves
 *   net.*, derived.*   F32   weights, named as in nn/supernet_file.h
 *   momentum.*      F32      optimiser moments of what the stage trains
 *   losses.0 to .2  F32      loss curves
 *   effects         I64      sums of the loss estimate, as bits of doubles
 *   path            I32      of the derived network
 *   networks        I64      with EST and GEN: steps done, whether finished, bits of their quality
 *   evaluator.*     F32      EST: arrays, and moments while it is trained
 *   hw_generator.*  F32      GEN: the same. Parameters that exploring moves are in the solver's x
 *
 * Metadata: dfq.explorer = format version, dfq.explorer.options and dfq.explorer.images (hashes).
 * Reading fills a second state, which replaces the first one only if everything is valid. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "explore/coexplore/coexplore_priv.h"
#include "explore/solver/solver_file.h"
#include "nn/supernet_file.h"

enum { NETWORKS = sizeof(dfqi_networks_state) / sizeof(int64_t) };
enum { POSITION = 7, OWN = 3, MARKS = OWN + DFQI_SOLVER_MARKS, TEXT = 24 };

/* "1" had no networks, and momenta where transformers have two moments. */
static const char format_version[] = "5";
/* Everything but the solver's, in one order for writing and reading. */
typedef struct parts {
    dfqi_arrays a;
    int64_t position[POSITION];
    dfqi_networks_state networks;
    int64_t first; /* from here on the arrays of the networks */
} parts;

/* -- fingerprints ------------------------------------------------------------------------------ */

static void make_marks(const dfqi_coexplore *e, dfqi_mark out[MARKS])
{
    dfq_explorer_options o = e->o; /* no padding, so its bytes are its content */
    size_t pixels = (size_t)(3 * e->space.net->image * e->space.net->image);
    o.struct_size = 0;
    uint64_t options = dfqi_hash(DFQI_HASH_START, &o, sizeof o);
    uint64_t images = dfqi_hash(DFQI_HASH_START, e->labels, (size_t)e->all.n * sizeof *e->labels);
    options = dfqi_hash(options, &e->supernet_was_read, sizeof e->supernet_was_read);
    images = dfqi_hash(images, e->images, (size_t)e->all.n * pixels * sizeof *e->images);
    out[0] = (dfqi_mark){.key = "dfq.explorer", .what = "format"};
    out[1] = (dfqi_mark){.key = "dfq.explorer.options", .what = "options"};
    out[2] = (dfqi_mark){.key = "dfq.explorer.images", .what = "images"};
    snprintf(out[0].text, sizeof out->text, "%s", format_version);
    snprintf(out[1].text, sizeof out->text, "%016" PRIx64, options);
    snprintf(out[2].text, sizeof out->text, "%016" PRIx64, images);
    dfqi_solver_marks(e->s->solver, out + OWN);
}

/* -- the tensors ------------------------------------------------------------------------------- */

static void add_net(parts *p, const char *prefix, const dfqi_supernet *net,
                    const dfqi_super_train *momenta)
{
    for (int32_t i = 0; i < net->n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++) {
            char name[DFQI_SUPER_NAME];
            const dfq_tensor *t = net->layers[i].t[k];
            void *data = t ? t->data : NULL;
            int64_t each = momenta ? dfqi_super_train_moments(momenta) : 1;
            if (t && momenta) data = dfqi_super_train_momentum(momenta, i, k);
            if (!data) continue;
            dfqi_super_tensor_name(&net->layers[i], k, name);
            dfqi_arrays_add(&p->a, prefix, name, DFQI_F32, each * dfqi_tensor_count(t), data, 0);
        }
}

static void add_network(parts *p, const char *prefix, int32_t n, const dfqi_mlp_array *arrays)
{
    for (int32_t i = 0; i < n; i++) {
        char name[TEXT];
        snprintf(name, sizeof name, "%d", (int)i);
        dfqi_arrays_add(&p->a, prefix, name, DFQI_F32, arrays[i].count, arrays[i].v, 0);
    }
}

static void add_networks(parts *p, const dfqi_coexplore_state *s)
{
    dfqi_mlp_array arrays[DFQI_MLP_ARRAYS];
    p->first = p->a.n;
    if (!s->est) return;
    dfqi_networks_note(s, &p->networks);
    dfqi_arrays_add(&p->a, "", "networks", DFQI_I64, NETWORKS, &p->networks, 0);
    p->first = p->a.n;
    add_network(p, "evaluator.", dfqi_evaluator_arrays(s->est, arrays), arrays);
    add_network(p, "hw_generator.", dfqi_gen_arrays(s->gen, arrays), arrays);
}

static void list_parts(dfqi_coexplore_state *s, parts *p)
{
    const dfqi_supernet *trained = s->stage == DFQ_EXPLORE_TRAIN ? &s->derived : &s->net;
    const int64_t position[POSITION] = {s->stage,         s->at,          s->judged,
                                        s->train != NULL, s->losses[0].n, s->losses[1].n,
                                        s->losses[2].n};
    p->a = (dfqi_arrays){.ctx = s->ctx};
    memcpy(p->position, position, sizeof position);
    dfqi_arrays_add(&p->a, "", "position", DFQI_I64, POSITION, p->position, 0);
    add_net(p, "net.", &s->net, NULL);
    if (s->train) add_net(p, "momentum.", trained, s->train);
    if (s->derived.layers) {
        add_net(p, "derived.", &s->derived, NULL);
        dfqi_arrays_add(&p->a, "", "path", DFQI_I32, s->net.n_cells, s->path, 0);
    }
    for (int32_t i = 0; i < DFQI_EXPLORE_STAGES; i++) {
        char name[TEXT];
        snprintf(name, sizeof name, "%d", (int)i);
        dfqi_arrays_add(&p->a, "losses.", name, DFQI_F32, s->losses[i].n, s->losses[i].v, 0);
    }
    dfqi_arrays_add(&p->a, "", "effects", DFQI_I64, (int64_t)s->effects.size, s->effects.state, 0);
    add_networks(p, s);
}

/* -- writing ----------------------------------------------------------------------------------- */

dfq_status dfqi_coexplore_save(const dfqi_coexplore *e, const char *path)
{
    parts p;
    int64_t state[DFQI_SOLVER_STATE];
    dfqi_mark marks[MARKS];
    list_parts(e->s, &p);
    dfqi_solver_pack(e->s->solver, &p.a, state);
    make_marks(e, marks);
    dfq_status status = dfqi_arrays_write(&p.a, path, MARKS, marks);
    dfqi_arrays_fini(&p.a);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status find(const dfqi_safetensors *st, const char *path, const char *name,
                       dfqi_dtype dtype, int64_t count, const void **out)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    if (!t || t->dtype != dtype || t->rank != 1 || t->dims[0] != count)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: tensor %s is missing or misshapen; the checkpoint is damaged", path,
                         name);
    *out = t->data;
    return DFQ_OK;
}

/* Where the job stood; makes what exists there. */
static dfq_status read_position(const dfqi_coexplore *e, const dfqi_safetensors *st,
                                const char *path, dfqi_coexplore_state *s)
{
    const void *data;
    const int64_t *at;
    DFQI_TRY(find(st, path, "position", DFQI_I64, POSITION, &data));
    at = data;
    bool fine = at[0] >= 0 && at[0] <= DFQI_EXPLORE_STAGES && at[1] >= 0;
    int64_t units =
        fine && at[0] < DFQI_EXPLORE_STAGES ? dfqi_coexplore_units(e, (int32_t)at[0]) : 0;
    fine = fine && at[1] <= units && (at[0] < DFQI_EXPLORE_STAGES || at[3] == 0);
    for (int32_t i = 0; i < DFQI_EXPLORE_STAGES && fine; i++)
        fine = at[4 + i] >= 0 && at[4 + i] <= dfqi_coexplore_units(e, i);
    if (!fine)
        return dfqi_fail(e->ctx, DFQ_E_CORRUPT,
                         "%s: tensor position holds step %lld of stage %lld, which this job does "
                         "not have; the checkpoint is damaged",
                         path, (long long)at[1], (long long)at[0]);
    s->stage = (int32_t)at[0];
    s->at = at[1];
    s->judged = at[2] != 0;
    for (int32_t i = 0; i < DFQI_EXPLORE_STAGES; i++) {
        DFQI_TRY(dfqi_curve_reserve(e->ctx, &s->losses[i], at[4 + i]));
        s->losses[i].n = at[4 + i];
    }
    return DFQ_OK;
}

/* Makes the trainings that were under way. */
static dfq_status read_networks(const dfqi_coexplore *e, const dfqi_safetensors *st,
                                const char *path, dfqi_coexplore_state *s)
{
    dfqi_networks_state networks;
    const void *data;
    if (!s->est) return DFQ_OK;
    DFQI_TRY(find(st, path, "networks", DFQI_I64, NETWORKS, &data));
    memcpy(&networks, data, sizeof networks);
    DFQI_TRY(dfqi_networks_resume(e, &networks, path, s));
    if (networks.finished[DFQI_EXPLORE_GEN] || (s->stage == DFQ_EXPLORE_WARMUP && s->at == 0))
        return DFQ_OK;
    return dfqi_fail(e->ctx, DFQ_E_CORRUPT,
                     "%s: tensor position holds stage %d before the cost networks were trained; "
                     "the checkpoint is damaged",
                     path, (int)s->stage);
}

static dfq_status read_path(const dfqi_coexplore *e, const dfqi_safetensors *st, const char *path,
                            dfqi_coexplore_state *s)
{
    const void *data;
    if (!dfqi_st_find(st, "path")) return DFQ_OK;
    DFQI_TRY(find(st, path, "path", DFQI_I32, s->net.n_cells, &data));
    memcpy(s->path, data, (size_t)s->net.n_cells * sizeof *s->path);
    for (int32_t c = 0; c < s->net.n_cells; c++)
        if (s->path[c] < 0 || s->path[c] >= dfqi_supernet_choices(&s->net, c))
            return dfqi_fail(e->ctx, DFQ_E_CORRUPT,
                             "%s: tensor path holds choice %d of cell %d, which the space does not "
                             "have; the checkpoint is damaged",
                             path, (int)s->path[c], (int)c);
    return dfqi_supernet_new(e->ctx, e->space.net, s->path, 0, &s->derived);
}

static dfq_status check_arrays(const parts *p, dfq_context *ctx, const char *path)
{
    for (int64_t i = p->first; i < p->a.n; i++) {
        const float *v = p->a.items[i].data;
        for (int64_t k = 0; k < p->a.items[i].count; k++)
            if (!isfinite(v[k]))
                return dfqi_fail(ctx, DFQ_E_CORRUPT,
                                 "%s: tensor %s holds %g at element %lld, must be finite", path,
                                 p->a.items[i].name, (double)v[k], (long long)k);
    }
    return DFQ_OK;
}

static dfq_status check_finite(const dfqi_coexplore_state *s, const char *path)
{
    for (size_t i = 0; i < s->effects.size; i++)
        if (!isfinite(s->effects.state[i]))
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: tensor effects holds %g at element %zu, must be finite", path,
                             s->effects.state[i], i);
    return DFQ_OK;
}

/* A search that had finished derives its result anew. */
static dfq_status restore_solver(dfqi_coexplore_state *s, const dfqi_safetensors *st,
                                 const char *path)
{
    int32_t finished;
    dfqi_effects_solve(&s->effects);
    DFQI_TRY(dfqi_solver_unpack(s->solver, st, path));
    bool fits = s->stage > DFQ_EXPLORE_SEARCH || !s->derived.layers;
    if (fits && s->stage > DFQ_EXPLORE_SEARCH) {
        DFQI_TRY(dfqi_solver_step(s->solver, &finished));
        DFQI_TRY(dfqi_networks_measure(s));
        fits = finished && dfqi_solver_is_feasible(s->solver) == (s->derived.layers != NULL) &&
               (!s->derived.layers || memcmp(s->path, dfqi_solver_best(s->solver),
                                             (size_t)s->net.n_cells * sizeof *s->path) == 0);
    }
    if (fits) return DFQ_OK;
    return dfqi_fail(
        s->ctx, DFQ_E_CORRUPT,
        "%s: the derived network does not follow from the search; the checkpoint is damaged", path);
}

static dfq_status fill(const dfqi_coexplore *e, const dfqi_safetensors *st, const char *path,
                       dfqi_coexplore_state *s)
{
    parts p;
    const void *position;
    DFQI_TRY(read_position(e, st, path, s));
    DFQI_TRY(read_networks(e, st, path, s));
    DFQI_TRY(read_path(e, st, path, s));
    DFQI_TRY(find(st, path, "position", DFQI_I64, POSITION, &position));
    if (((const int64_t *)position)[3] != 0) {
        DFQI_TRY(dfqi_coexplore_begin(e, s));
        dfqi_super_train_resume(s->train, s->losses[s->stage].n);
    }
    list_parts(s, &p);
    dfq_status status = dfqi_arrays_check(&p.a, st, path);
    if (status == DFQ_OK) dfqi_arrays_take(&p.a, st);
    if (status == DFQ_OK) status = check_arrays(&p, s->ctx, path);
    dfqi_arrays_fini(&p.a);
    if (status == DFQ_OK) status = check_finite(s, path);
    if (status == DFQ_OK && s->gen && dfqi_gen_state(s->gen).finished)
        status = dfqi_coexplore_attach(e, s);
    return status == DFQ_OK ? restore_solver(s, st, path) : status;
}

dfq_status dfqi_coexplore_restore(dfqi_coexplore *e, const char *path)
{
    dfqi_safetensors st;
    dfqi_coexplore_state *s;
    dfqi_mark marks[MARKS];
    make_marks(e, marks);
    DFQI_TRY(dfqi_arrays_open(e->ctx, path, "a checkpoint of a co-exploration", MARKS, marks, &st));
    dfq_status status = dfqi_coexplore_state_new(e, &s);
    if (status == DFQ_OK) {
        status = fill(e, &st, path, s);
        if (status == DFQ_OK) {
            dfqi_coexplore_state_free(e->s);
            e->s = s;
            e->failed = false;
        } else {
            dfqi_coexplore_state_free(s);
        }
    }
    dfqi_st_fini(&st);
    return status;
}
