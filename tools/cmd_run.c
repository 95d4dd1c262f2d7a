/* dfq run: classes of pictures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "model.h"
#include "text.h"

enum { BEST = 5, BATCH = 8 };

/* The best classes of a picture. */
struct best {
    int n;
    int64_t classes[BEST];
    double probabilities[BEST];
};

struct run {
    struct session *s;
    dfq_runtime *rt;
    dfq_runtime_info info;
    char **labels;        /* names of classes; NULL: not known */
    uint8_t *pixels;      /* [BATCH][S][S][3] */
    float *logits;        /* [BATCH][classes] */
    struct best *results; /* of each picture */
};

/* -- labels ------------------------------------------------------------------------------------ */

/* The runtime has no names, and the network is given back before it runs. */
static int keep_labels(struct run *r, const dfq_graph *g)
{
    if (!*dfq_graph_get_class_name(g, 0)) return CODE_DONE;
    r->labels = calloc((size_t)r->info.classes, sizeof *r->labels);
    for (int64_t i = 0; r->labels && i < r->info.classes; i++) {
        r->labels[i] = text_format("%s", dfq_graph_get_class_name(g, i));
        if (!r->labels[i]) return session_error(r->s, CODE_FAILED, "out of memory");
    }
    return r->labels ? CODE_DONE : session_error(r->s, CODE_FAILED, "out of memory");
}

/* -- work -------------------------------------------------------------------------------------- */

/* The classes with the largest logits, the lower one of equals first; 0 if a logit is not
 * finite. */
static int find_best(const float *z, int64_t classes, struct best *b)
{
    double sum = 0;
    b->n = 0;
    for (int64_t c = 0; c < classes; c++) {
        int at = b->n;
        if (!isfinite(z[c])) return 0;
        while (at > 0 && z[c] > z[b->classes[at - 1]]) at--;
        if (at == BEST) continue;
        if (b->n < BEST) b->n++;
        for (int k = b->n - 1; k > at; k--) b->classes[k] = b->classes[k - 1];
        b->classes[at] = c;
    }
    const double most = (double)z[b->classes[0]];
    for (int64_t c = 0; c < classes; c++) sum += exp((double)z[c] - most);
    for (int k = 0; k < b->n; k++) b->probabilities[k] = exp((double)z[b->classes[k]] - most) / sum;
    return 1;
}

/* Pictures first .. first + n - 1. */
static int run_some(struct run *r, int first, int n)
{
    const char *const *files = r->s->o->pictures + first;
    const size_t image = (size_t)(r->info.image_height * r->info.image_width * 3);
    dfq_runtime_input in;
    dfq_status status = DFQ_OK;
    for (int i = 0; i < n && status == DFQ_OK; i++)
        status = dfq_runtime_read_picture(r->rt, files[i], r->pixels + (size_t)i * image, image);
    if (status != DFQ_OK) return session_fail(r->s, status, PHASE_READ);
    dfq_runtime_input_init(&in, sizeof in, r->rt);
    in.data = r->pixels;
    in.n = n;
    status = dfq_runtime_run(r->rt, &in, r->logits, n * r->info.classes);
    if (status != DFQ_OK) return session_fail(r->s, status, PHASE_WORK);
    for (int i = 0; i < n; i++)
        if (!find_best(r->logits + i * r->info.classes, r->info.classes, &r->results[first + i]))
            return session_error(r->s, CODE_FAILED,
                                 "%s: the network's logits are not finite; check its weights",
                                 files[i]);
    return CODE_DONE;
}

static int run_all(struct run *r)
{
    const int n = r->s->o->n_pictures;
    for (int i = 0; i < n; i += BATCH) {
        if (session_interrupted())
            return session_error(r->s, CODE_INTERRUPTED, "stopped after %d pictures", i);
        int code = run_some(r, i, n - i < BATCH ? n - i : BATCH);
        if (code) return code;
    }
    return CODE_DONE;
}

/* -- results ----------------------------------------------------------------------------------- */

static void print_text(const struct run *r)
{
    for (int i = 0; i < r->s->o->n_pictures; i++) {
        const struct best *b = &r->results[i];
        text_put(stdout, r->s->o->pictures[i]);
        putchar('\n');
        for (int k = 0; k < b->n; k++) {
            printf("  %5.1f %%  %4lld%s", 100 * b->probabilities[k], (long long)b->classes[k],
                   r->labels ? "  " : "");
            if (r->labels) text_put(stdout, r->labels[b->classes[k]]);
            putchar('\n');
        }
    }
}

static void print_json(const struct run *r)
{
    struct json j = {stdout, 0};
    json_open(&j, NULL, '{');
    json_text(&j, "file", r->s->o->input);
    json_open(&j, "images", '[');
    for (int i = 0; i < r->s->o->n_pictures; i++) {
        const struct best *b = &r->results[i];
        json_open(&j, NULL, '{');
        json_text(&j, "file", r->s->o->pictures[i]);
        json_open(&j, "classes", '[');
        for (int k = 0; k < b->n; k++) {
            json_open(&j, NULL, '{');
            json_int(&j, "class", b->classes[k]);
            if (r->labels) json_text(&j, "label", r->labels[b->classes[k]]);
            json_fraction(&j, "probability", b->probabilities[k]);
            json_close(&j, '}');
        }
        json_close(&j, ']');
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    putchar('\n');
}

static int make_runtime(struct run *r)
{
    dfq_graph *g;
    dfq_graph_info info;
    dfq_runtime_options o;
    int code =
        model_load(r->s, DFQ_DECIDES_LOGITS | DFQ_DECIDES_INPUTS | DFQ_DECIDES_PICTURES, &g, &info);
    if (code) return code;
    if ((code = model_need_classes(r->s, info.classes))) {
        dfq_graph_release(g);
        return code;
    }
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = r->s->o->n_pictures < BATCH ? r->s->o->n_pictures : BATCH;
    o.integer = r->s->o->integer;
    dfq_status status = dfq_runtime_create(g, &o, &r->rt);
    r->info.struct_size = sizeof r->info;
    if (status == DFQ_OK) status = dfq_runtime_get_info(r->rt, &r->info);
    code = status == DFQ_OK ? keep_labels(r, g) : session_fail(r->s, status, PHASE_WORK);
    dfq_graph_release(g);
    return code;
}

int cmd_run(struct session *s)
{
    struct run r = {.s = s};
    int code = make_runtime(&r);
    if (!code) {
        r.pixels = malloc((size_t)(BATCH * r.info.image_height * r.info.image_width * 3));
        r.logits = malloc((size_t)(BATCH * r.info.classes) * sizeof *r.logits);
        r.results = calloc((size_t)s->o->n_pictures, sizeof *r.results);
        code = r.pixels && r.logits && r.results ? run_all(&r)
                                                 : session_error(s, CODE_FAILED, "out of memory");
    }
    if (!code) (s->o->json ? print_json : print_text)(&r);
    free(r.pixels);
    free(r.logits);
    free(r.results);
    for (int64_t i = 0; r.labels && i < r.info.classes; i++) free(r.labels[i]);
    free(r.labels);
    dfq_runtime_release(r.rt);
    return code;
}
