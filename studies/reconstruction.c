/* Rounds a network on a set of images, reconstructs it unit by unit, and compares it with the float
 * one on that set and on labelled images.
 *
 * Usage: study_reconstruction MODEL SET DATA BITS [NAME=VALUE ...]
 * SET is a folder of `dfq synth`, or a data set of real images; names are `first_last_bits`,
 * `threads`, `images` (the first ones of SET) and the fields of dfq_reconstructor_options, whose
 * `steps` are 0 unless given. */
#include <dfq/dfq.h>

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART = 100 };

static dfq_context *ctx;

static void must(dfq_status status)
{
    if (status == DFQ_OK) return;
    fprintf(stderr, "study_reconstruction: %s\n", dfq_context_get_error(ctx));
    exit(EXIT_FAILURE);
}

/* -- settings ---------------------------------------------------------------------------------- */

typedef struct settings {
    double first_last_bits, threads, images;
    dfq_reconstructor_options o;
    int64_t steps;
} settings;

typedef enum field_kind { REAL, INT32, INT64, FLOAT } field_kind;

static const struct {
    const char *name;
    field_kind kind;
    size_t at;
} fields[] = {
    {"first_last_bits", REAL, offsetof(settings, first_last_bits)},
    {"threads", REAL, offsetof(settings, threads)},
    {"images", REAL, offsetof(settings, images)},
    {"steps", INT64, offsetof(settings, steps)},
    {"batch", INT64, offsetof(settings, o.batch)},
    {"views", INT64, offsetof(settings, o.views)},
    {"seed", INT64, offsetof(settings, o.seed)},
    {"augment", INT32, offsetof(settings, o.augment)},
    {"drop", INT32, offsetof(settings, o.drop)},
    {"feature_units", INT32, offsetof(settings, o.feature_units)},
    {"feature_weight", FLOAT, offsetof(settings, o.feature_weight)},
    {"learning_rate", FLOAT, offsetof(settings, o.learning_rate)},
    {"bias_learning_rate", FLOAT, offsetof(settings, o.bias_learning_rate)},
    {"scale_learning_rate", FLOAT, offsetof(settings, o.scale_learning_rate)},
};

static int set(settings *s, const char *text)
{
    const char *value = strchr(text, '=');
    for (size_t i = 0; value && i < sizeof fields / sizeof *fields; i++) {
        size_t n = strlen(fields[i].name);
        char *at = (char *)s + fields[i].at;
        if (n != (size_t)(value - text) || strncmp(text, fields[i].name, n) != 0) continue;
        double v = strtod(value + 1, NULL);
        if (fields[i].kind == REAL) memcpy(at, &v, sizeof v);
        if (fields[i].kind == INT32) memcpy(at, &(int32_t){(int32_t)v}, sizeof(int32_t));
        if (fields[i].kind == INT64) memcpy(at, &(int64_t){(int64_t)v}, sizeof(int64_t));
        if (fields[i].kind == FLOAT) memcpy(at, &(float){(float)v}, sizeof(float));
        return 0;
    }
    fprintf(stderr, "study_reconstruction: %s is not NAME=VALUE of a known name\n", text);
    return -1;
}

/* -- comparison -------------------------------------------------------------------------------- */

typedef struct sums {
    double kl;
    int64_t n, right, agree;
} sums;

static double log_sum_exp(const float *z, int64_t n)
{
    double top = (double)z[0], sum = 0;
    for (int64_t i = 1; i < n; i++) top = fmax(top, (double)z[i]);
    for (int64_t i = 0; i < n; i++) sum += exp((double)z[i] - top);
    return top + log(sum);
}

static int64_t best(const float *z, int64_t n)
{
    int64_t k = 0;
    for (int64_t i = 1; i < n; i++)
        if (z[i] > z[k]) k = i;
    return k;
}

/* KL(softmax(p) || softmax(q)) of one image. */
static double divergence(const float *p, const float *q, int64_t n)
{
    double of_p = log_sum_exp(p, n), of_q = log_sum_exp(q, n), sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double log_p = (double)p[i] - of_p;
        sum += exp(log_p) * (log_p - ((double)q[i] - of_q));
    }
    return sum;
}

static void add(const dfq_graph *net, const dfq_graph *low, const dfq_tensor *x,
                const int32_t *labels, sums *s)
{
    dfq_tensor *want, *have;
    must(dfq_graph_forward(net, x, &want));
    must(dfq_graph_forward(low, x, &have));
    int64_t n = dfq_tensor_get_dims(want)[0], classes = dfq_tensor_get_dims(want)[1];
    for (int64_t i = 0; i < n; i++) {
        const float *p = (const float *)dfq_tensor_get_data(want) + i * classes;
        const float *q = (const float *)dfq_tensor_get_data(have) + i * classes;
        s->kl += divergence(p, q, classes);
        s->agree += best(p, classes) == best(q, classes);
        s->right += best(q, classes) == labels[i];
    }
    s->n += n;
    dfq_tensor_release(want);
    dfq_tensor_release(have);
}

static sums compare(const dfq_graph *net, const dfq_graph *low, dfq_image_set *images)
{
    sums s = {0};
    int64_t all = dfq_image_set_get_count(images);
    for (int64_t i = 0; i < all; i += PART) {
        dfq_tensor *x, *labels;
        must(dfq_image_set_read(images, i, all - i < PART ? all - i : PART, &x, &labels));
        add(net, low, x, dfq_tensor_get_data(labels), &s);
        dfq_tensor_release(x);
        dfq_tensor_release(labels);
    }
    return s;
}

static void tell(const char *what, const dfq_graph *net, const dfq_graph *low, dfq_image_set *data,
                 dfq_image_set *images)
{
    sums real = compare(net, low, data), own = compare(net, low, images);
    printf("%s: %lld of %lld right, %lld as the float network, KL %.4f; on its images KL %.4f\n",
           what, (long long)real.right, (long long)real.n, (long long)real.agree,
           real.kl / (double)real.n, own.kl / (double)own.n);
}

/* -- the work ---------------------------------------------------------------------------------- */

/* A folder of `dfq synth`, or a data set. */
static dfq_image_set *open_set(const dfq_graph *net, const char *path, int64_t most)
{
    dfq_image_set *out;
    dfq_dataset *d;
    if (dfq_image_set_open(net, path, most, &out) == DFQ_OK) return out;
    must(dfq_dataset_open(ctx, path, 0, &d));
    must(dfq_image_set_create_from_dataset(net, d, most, NULL, &out));
    dfq_dataset_release(d);
    return out;
}

static void reconstruct(const dfq_graph *net, dfq_graph *low, dfq_image_set *images,
                        const dfq_reconstructor_options *o)
{
    dfq_reconstructor *r;
    dfq_tensor *errors;
    must(dfq_reconstructor_create_from(net, low, images, o, &r));
    must(dfq_reconstructor_run(r));
    must(dfq_reconstructor_get_errors(r, &errors));
    for (int64_t i = 0; i < dfq_tensor_get_dims(errors)[0]; i++) {
        const float *e = (const float *)dfq_tensor_get_data(errors) + 4 * i;
        printf("unit %lld: error %.4f, was %.4f; of the feature %.4f, was %.4f\n", (long long)i,
               (double)e[1], (double)e[0], (double)e[3], (double)e[2]);
    }
    dfq_tensor_release(errors);
    dfq_reconstructor_release(r);
}

int main(int argc, char **argv)
{
    settings s = {.threads = 1};
    dfq_context_options c;
    dfq_quantize_options q;
    dfq_graph *net, *low;
    if (argc < 5) {
        fprintf(stderr, "usage: study_reconstruction MODEL SET DATA BITS [NAME=VALUE ...]\n");
        return 2;
    }
    for (int i = 5; i < argc; i++) /* threads are needed first */
        if (set(&s, argv[i]) != 0) return 2;
    dfq_context_options_init(&c, sizeof c);
    c.threads = (int32_t)s.threads;
    if (dfq_context_create(&c, &ctx) != DFQ_OK) return EXIT_FAILURE;
    must(dfq_graph_load(ctx, argv[1], NULL, &net));
    dfq_reconstructor_options_init(&s.o, sizeof s.o, net);
    for (int i = 5; i < argc; i++) (void)set(&s, argv[i]);
    dfq_image_set *images = open_set(net, argv[2], (int64_t)s.images);
    dfq_image_set *data = open_set(net, argv[3], 0);
    dfq_quantize_options_init(&q, sizeof q);
    q.weight_bits = q.act_bits = atoi(argv[4]);
    q.first_last_bits = (int32_t)s.first_last_bits;
    must(dfq_graph_quantize_from(net, images, &q, &low));
    tell("rounded", net, low, data, images);
    s.o.steps = s.steps;
    if (s.steps > 0) reconstruct(net, low, images, &s.o);
    if (s.steps > 0) tell("reconstructed", net, low, data, images);
    dfq_graph_release(low);
    dfq_image_set_release(images);
    dfq_image_set_release(data);
    dfq_graph_release(net);
    dfq_context_release(ctx);
    return 0;
}
