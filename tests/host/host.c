/* The shared library inside of somebody's process: a network, and the runtime of a quantized one,
 * are asked for their logits after a fork, on a thread with a small stack, and where no threads can
 * be made. Each answer is compared bit by bit with that of an ordinary call. */
#include <dfq/dfq.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/skip.h"
#include "support/suite.h"

enum { IMAGES = 8, CLASSES = 7, HANGS_AFTER_S = 60 };

typedef struct scene {
    dfq_context *ctx;
    dfq_graph *graph, *low;
    dfq_runtime *runtime;              /* of `low` */
    float logits[3][IMAGES * CLASSES]; /* of the graph, of the runtime, and of a new one */
    int32_t of_threads, of_kernels;    /* warnings */
} scene;

/* Each choice of kernels in a process of its own, which Check's fork is. */
static const char *const kernels[] = {"", "blis", "ref"};
enum { N_KERNELS = sizeof kernels / sizeof kernels[0] };

static void log_line(int32_t level, const char *line, void *user)
{
    scene *s = user;
    if (level != DFQ_LOG_WARNING) return;
    s->of_threads += strstr(line, "1 of 4 threads") != NULL;
    s->of_kernels += strstr(line, "DFQ_KERNELS is \"no-such-kernels\"") != NULL;
}

static dfq_status make_runtime(const scene *s, dfq_runtime **out)
{
    dfq_runtime_options o;
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = IMAGES;
    return dfq_runtime_create(s->low, &o, out);
}

static void begin(scene *s, int32_t threads)
{
    dfq_context_options o;
    dfq_quantize_options q;
    dfq_vit_options v;
    memset(s, 0, sizeof *s);
    dfq_context_options_init(&o, sizeof o);
    o.threads = threads;
    o.log = log_line;
    o.log_user = s;
    ck_assert_int_eq(dfq_context_create(&o, &s->ctx), DFQ_OK);
    dfq_vit_options_init(&v, sizeof v);
    v.width = 96;
    v.depth = 2;
    v.heads = 3;
    v.hidden = 200;
    v.classes = CLASSES;
    ck_assert_int_eq(dfq_graph_create(s->ctx, &v, &s->graph), DFQ_OK);
    dfq_quantize_options_init(&q, sizeof q);
    q.drawn_images = 2;
    ck_assert_int_eq(dfq_graph_quantize(s->graph, NULL, &q, &s->low), DFQ_OK);
    ck_assert_int_eq(make_runtime(s, &s->runtime), DFQ_OK);
}

static dfq_status run(dfq_runtime *runtime, const float *pixels, float *logits)
{
    dfq_runtime_input in;
    dfq_runtime_input_init(&in, sizeof in, runtime);
    in.pixels = DFQ_PIXELS_F32_NCHW;
    in.data = pixels;
    in.n = IMAGES;
    return dfq_runtime_run(runtime, &in, logits, IMAGES * CLASSES);
}

/* The kernels of a new runtime are made on the thread that asks for it; so is an ONNX file. */
static dfq_status run_both(scene *s, const float *pixels)
{
    dfq_runtime *own = NULL;
    dfq_tensor *file = NULL;
    dfq_status status = run(s->runtime, pixels, s->logits[1]);
    if (status == DFQ_OK) status = make_runtime(s, &own);
    if (status == DFQ_OK) status = run(own, pixels, s->logits[2]);
    if (status == DFQ_OK) status = dfq_graph_export_to_memory(s->low, NULL, &file, NULL);
    dfq_tensor_release(file);
    dfq_runtime_release(own);
    return status;
}

static dfq_status forward(scene *s)
{
    const int64_t dims[] = {IMAGES, 3, 32, 32};
    dfq_tensor *x = NULL, *y = NULL;
    dfq_status status = dfq_tensor_create(s->ctx, DFQ_DTYPE_F32, 4, dims, &x);
    if (status == DFQ_OK) {
        float *pixel = dfq_tensor_get_data(x);
        int i;
        for (i = 0; i < IMAGES * 3 * 32 * 32; i++) pixel[i] = (float)(i * 37 % 101) / 50.0f - 1.0f;
        status = dfq_graph_forward(s->graph, x, &y);
    }
    if (status == DFQ_OK) memcpy(s->logits[0], dfq_tensor_get_data(y), sizeof s->logits[0]);
    if (status == DFQ_OK) status = run_both(s, dfq_tensor_get_data(x));
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    return status;
}

static void end(scene *s)
{
    dfq_runtime_release(s->runtime);
    dfq_graph_release(s->low);
    dfq_graph_release(s->graph);
    dfq_context_release(s->ctx);
}

static bool same_logits(const scene *a, const scene *b)
{
    return memcmp(a->logits, b->logits, sizeof a->logits) == 0;
}

/* Waits for a child whose exit code is the answer; a hang ends by alarm(). */
static void expect_success(pid_t child)
{
    int status = 0;
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(!WIFSIGNALED(status), "the child ends by signal %d", WTERMSIG(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* A child goes on with the parent's network, and with one of its own. */
static int child_answers(const scene *parent)
{
    scene inherited = *parent, own;
    alarm(HANGS_AFTER_S);
    memset(inherited.logits, 0, sizeof inherited.logits);
    if (forward(&inherited) != DFQ_OK || !same_logits(&inherited, parent)) return 1;
    begin(&own, 3);
    if (forward(&own) != DFQ_OK || !same_logits(&own, parent)) return 2;
    end(&own);
    end(&inherited);
    return 0;
}

START_TEST(test_fork)
{
    scene s;
    pid_t child;
    int round;
    dfqt_need_fork();
    setenv("DFQ_KERNELS", kernels[_i], 1);
    begin(&s, 3);
    ck_assert_int_eq(forward(&s), DFQ_OK);
    for (round = 0; round < 3; round++) {
        child = fork();
        if (child == 0) _exit(child_answers(&s));
        expect_success(child);
        ck_assert_int_eq(forward(&s), DFQ_OK); /* the parent's threads are still there */
    }
    end(&s);
}
END_TEST

static void *forward_on_thread(void *arg)
{
    return (void *)(intptr_t)forward(arg);
}

/* What a host of many threads gives each of them. One thread of ours: all work happens on it.
 * Behind its end lies enough that is no memory for the largest frame to be noticed. */
START_TEST(test_small_stack)
{
    const size_t bytes = 128 << 10, beyond = 1 << 20;
    scene small, usual;
    pthread_attr_t attributes;
    pthread_t thread;
    void *status;
    setenv("DFQ_KERNELS", kernels[_i], 1);
    begin(&small, 1);
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, bytes), 0);
    ck_assert_int_eq(pthread_attr_setguardsize(&attributes, beyond), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, forward_on_thread, &small), 0);
    ck_assert_int_eq(pthread_join(thread, &status), 0);
    pthread_attr_destroy(&attributes);
    ck_assert_int_eq((intptr_t)status, DFQ_OK);
    begin(&usual, 1);
    ck_assert_int_eq(forward(&usual), DFQ_OK);
    ck_assert(same_logits(&small, &usual));
    end(&usual);
    end(&small);
}
END_TEST

/* Several threads of a host at once, each with a context and threads of its own. */
START_TEST(test_host_threads)
{
    enum { N = 4 };
    scene s[N];
    pthread_t thread[N];
    int i;
    for (i = 0; i < N; i++) begin(&s[i], i + 1);
    for (i = 0; i < N; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, forward_on_thread, &s[i]), 0);
    for (i = 0; i < N; i++) ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    for (i = 1; i < N; i++) ck_assert(same_logits(&s[i], &s[0]));
    for (i = 0; i < N; i++) end(&s[i]);
}
END_TEST

/* The limit counts processes and threads of one user and does not hold for root. */
static bool refuse_threads(void)
{
    const struct rlimit none = {1, 1};
    const uid_t nobody = (uid_t)(60000 + getpid() % 5000);
    pthread_t thread;
    if (setrlimit(RLIMIT_NPROC, &none) != 0) return false;
    if (getuid() == 0 && setuid(nobody) != 0) return false;
    if (pthread_create(&thread, NULL, forward_on_thread, NULL) == 0) _exit(3); /* no such limit */
    return true;
}

static int answers_alone(const scene *expected)
{
    scene s;
    if (!refuse_threads()) return 4;
    begin(&s, 4);
    if (forward(&s) != DFQ_OK || forward(&s) != DFQ_OK || !same_logits(&s, expected)) return 1;
    if (s.of_threads != 1) return 2;
    end(&s);
    return 0;
}

START_TEST(test_no_more_threads)
{
    scene s;
    pid_t child;
    int status = 0;
    dfqt_need_fork();
    setenv("DFQ_KERNELS", kernels[_i], 1);
    begin(&s, 2);
    ck_assert_int_eq(forward(&s), DFQ_OK);
    child = fork();
    if (child == 0) _exit(answers_alone(&s));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) >= 3) dfqt_skip("threads cannot be limited here");
    ck_assert_int_eq(status, 0);
    end(&s);
}
END_TEST

START_TEST(test_one_warning)
{
    scene s;
    setenv("DFQ_KERNELS", "no-such-kernels", 1);
    begin(&s, 2);
    ck_assert_int_eq(forward(&s), DFQ_OK);
    ck_assert_int_eq(forward(&s), DFQ_OK);
    ck_assert_str_ne(dfq_context_get_kernels(s.ctx), "");
    ck_assert_int_eq(s.of_kernels, 1);
    end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host");
    TCase *t = tcase_create("host");
    tcase_add_loop_test(t, test_fork, 0, N_KERNELS);
    tcase_add_loop_test(t, test_small_stack, 0, N_KERNELS);
    tcase_add_test(t, test_host_threads);
    tcase_add_loop_test(t, test_no_more_threads, 0, N_KERNELS);
    tcase_add_test(t, test_one_warning);
    suite_add_tcase(suite, t);
    return dfqt_run(suite);
}
