/* The parallel loop, on worker threads of the context. An idle worker spins for some microseconds,
 * since the next loop often follows at once, and then sleeps: a thread that spins longer would take
 * the core from other work. It sleeps at once if the thread it waits for is on the same core, which
 * happens when all cores are busy.
 *
 * A loop is open while it has work. Workers enter an open loop, and the caller waits only for the
 * workers inside it. So a worker that the system does not schedule delays nobody. */
#include "base/parallel.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

enum {
    SPIN_NS = 50000,
    LINE = 64,
    OPEN = 1, /* dfqi_pool.members: this bit, and MEMBER for each worker inside */
    MEMBER = 2
};

typedef struct worker {
    dfqi_pool *pool;
    int32_t index; /* 1..; the caller is thread 0 */
    pthread_t thread;
} worker;

struct dfqi_pool {
    /* The loop: written by the caller while it is closed and nobody is inside. */
    dfqi_body body;
    void *arg;
    int64_t n, chunk;
    fenv_t environment;
    bool started; /* the threads were asked for */
    int32_t n_workers, max_workers;
    uint32_t forks; /* see fork_count */
    int64_t spin_ns;

    /* Atomic from here on; what all threads write while they work has a cache line of its own. */
    char before[LINE];
    int64_t next; /* first index that nobody has taken */
    uint32_t members;
    char between[LINE];
    uint32_t loops; /* opened so far: workers wait for it to change */
    int32_t sleeping_workers, sleeping_caller;
    int32_t stop;
    int32_t caller_core, worker_core; /* where the caller and the last worker have been */

    pthread_mutex_t lock; /* for going to sleep and waking up alone */
    pthread_cond_t opened, left;
    worker workers[];
};

/* Forks of this process and its ancestors. Threads do not survive a fork: where the count of a pool
 * differs, its threads are those of the parent. */
static uint32_t fork_count;
static bool forks_are_counted;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    (void)__atomic_add_fetch(&fork_count, 1, __ATOMIC_RELAXED);
}

static void start_counting(void)
{
    forks_are_counted = pthread_atfork(NULL, NULL, count_fork) == 0;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void note_core(int32_t *core)
{
    __atomic_store_n(core, dfqi_this_core(), __ATOMIC_RELAXED);
}

/* Waits a moment for a thread on core *other to change *word; false if it still is `value`. */
static bool changes_soon(const uint32_t *word, uint32_t value, const int32_t *other,
                         int64_t spin_ns)
{
    const int32_t core = dfqi_this_core();
    int64_t end = 0;
    if (core >= 0 && core == __atomic_load_n(other, __ATOMIC_RELAXED)) return false;
    for (;;) {
        int32_t i;
        for (i = 0; i < 64; i++) {
            if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) return true;
            dfqi_pause();
        }
        if (spin_ns == 0) return false;
        if (end == 0)
            end = now_ns() + spin_ns;
        else if (now_ns() >= end)
            return false;
    }
}

/* Takes pieces of the open loop until none is left. */
static void work(dfqi_pool *p, int32_t thread)
{
    for (;;) {
        int64_t i = __atomic_fetch_add(&p->next, p->chunk, __ATOMIC_RELAXED), end = i + p->chunk;
        if (i >= p->n) return;
        if (end > p->n) end = p->n;
        for (; i < end; i++) p->body(p->arg, i, thread);
    }
}

/* False: the loop is closed already. */
static bool enter(dfqi_pool *p)
{
    uint32_t members = __atomic_load_n(&p->members, __ATOMIC_RELAXED);
    while (members & OPEN)
        if (__atomic_compare_exchange_n(&p->members, &members, members + MEMBER, 0,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

/* A thread that is about to sleep announces it and then reads the word again. A thread that changes
 * the word looks for sleepers afterwards. Both are sequentially consistent, so one of the two
 * notices. */
static void leave(dfqi_pool *p)
{
    if (__atomic_sub_fetch(&p->members, MEMBER, __ATOMIC_SEQ_CST) != 0) return;
    if (!__atomic_load_n(&p->sleeping_caller, __ATOMIC_SEQ_CST)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->left);
    pthread_mutex_unlock(&p->lock);
}

static void sleep_until_opened(dfqi_pool *p, uint32_t seen)
{
    pthread_mutex_lock(&p->lock);
    (void)__atomic_add_fetch(&p->sleeping_workers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&p->loops, __ATOMIC_SEQ_CST) == seen)
        pthread_cond_wait(&p->opened, &p->lock);
    (void)__atomic_sub_fetch(&p->sleeping_workers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&p->lock);
}

static void *run_worker(void *arg)
{
    const worker *w = arg;
    dfqi_pool *p = w->pool;
    uint32_t seen = 0;
    while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
        if (enter(p)) {
            note_core(&p->worker_core);
            fesetenv(&p->environment);
            work(p, w->index);
            leave(p);
        }
        if (!changes_soon(&p->loops, seen, &p->caller_core, p->spin_ns))
            sleep_until_opened(p, seen);
        seen = __atomic_load_n(&p->loops, __ATOMIC_ACQUIRE);
    }
    return NULL;
}

/* Wakes up to `count` sleeping workers, after the number of loops was increased. */
static void announce(dfqi_pool *p, int64_t count)
{
    (void)__atomic_add_fetch(&p->loops, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&p->sleeping_workers, __ATOMIC_SEQ_CST) == 0) return;
    pthread_mutex_lock(&p->lock);
    if (count >= p->n_workers)
        pthread_cond_broadcast(&p->opened);
    else
        while (count-- > 0) pthread_cond_signal(&p->opened);
    pthread_mutex_unlock(&p->lock);
}

static void wait_until_left(dfqi_pool *p)
{
    uint32_t members;
    while ((members = __atomic_load_n(&p->members, __ATOMIC_ACQUIRE)) != 0) {
        if (changes_soon(&p->members, members, &p->worker_core, p->spin_ns)) continue;
        pthread_mutex_lock(&p->lock);
        __atomic_store_n(&p->sleeping_caller, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&p->members, __ATOMIC_SEQ_CST) != 0)
            pthread_cond_wait(&p->left, &p->lock);
        __atomic_store_n(&p->sleeping_caller, 0, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&p->lock);
    }
}

/* Resets a pool to its new state, without threads. In a child process the lock may be in any state,
 * so it is initialised again. */
static void reset(dfqi_pool *p)
{
    const int32_t max = p->max_workers;
    memset(p, 0, sizeof *p);
    p->max_workers = max;
    p->forks = __atomic_load_n(&fork_count, __ATOMIC_RELAXED);
    p->caller_core = -1;
    p->worker_core = -1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->opened, NULL);
    pthread_cond_init(&p->left, NULL);
}

/* Workers block signals, so that they go to the host program's threads, except signals that a
 * thread causes itself and a profiler's. */
static void block_signals(sigset_t *before)
{
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t set;
    size_t i;
    sigfillset(&set);
    for (i = 0; i < sizeof open / sizeof open[0]; i++) sigdelset(&set, open[i]);
    pthread_sigmask(SIG_SETMASK, &set, before);
}

static void start(dfq_context *ctx, dfqi_pool *p)
{
    pthread_attr_t attributes;
    sigset_t mask;
    p->started = true;
    p->spin_ns = p->max_workers < dfqi_cores() ? SPIN_NS : 0;
    if (forks_are_counted && pthread_attr_init(&attributes) == 0) {
        (void)pthread_attr_setstacksize(&attributes, ctx->stack_bytes);
        block_signals(&mask);
        while (p->n_workers < p->max_workers) {
            worker *w = &p->workers[p->n_workers];
            *w = (worker){.pool = p, .index = p->n_workers + 1};
            if (pthread_create(&w->thread, &attributes, run_worker, w) != 0) break;
            p->n_workers++;
        }
        pthread_sigmask(SIG_SETMASK, &mask, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (p->n_workers < p->max_workers)
        dfqi_log(ctx, DFQ_LOG_WARNING,
                 "only %d of %d threads can run: the system refuses more (ulimit -u, pids.max or "
                 "memory); results are the same",
                 (int)p->n_workers + 1, (int)p->max_workers + 1);
}

dfq_status dfqi_pool_create(dfq_context *ctx, int32_t threads, dfqi_pool **out)
{
    const int32_t workers = threads - 1;
    dfqi_pool *p = NULL;
    if (workers > 0) {
        pthread_once(&once, start_counting);
        p = ctx->allocator.alloc(sizeof *p + (size_t)workers * sizeof(worker), DFQI_ALIGN,
                                 ctx->allocator.user);
        if (p == NULL) return DFQ_E_NOMEM;
        p->max_workers = workers;
        reset(p);
    }
    *out = p;
    return DFQ_OK;
}

static bool is_of_parent(const dfqi_pool *p)
{
    return p->forks != __atomic_load_n(&fork_count, __ATOMIC_RELAXED);
}

static void finish(dfqi_pool *p)
{
    int32_t i;
    if (is_of_parent(p)) return;
    __atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
    announce(p, p->n_workers);
    for (i = 0; i < p->n_workers; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->left);
    pthread_cond_destroy(&p->opened);
    pthread_mutex_destroy(&p->lock);
}

void dfqi_pool_rest(dfqi_pool *p)
{
    if (p == NULL) return;
    finish(p);
    reset(p);
}

void dfqi_pool_release(dfq_context *ctx, dfqi_pool *p)
{
    if (p == NULL) return;
    finish(p);
    ctx->allocator.free(p, sizeof *p + (size_t)p->max_workers * sizeof(worker), DFQI_ALIGN,
                        ctx->allocator.user);
}

/* -- loops ------------------------------------------------------------------------------------- */

static void run_serially(int64_t n, dfqi_body body, void *arg)
{
    int64_t i;
    for (i = 0; i < n; i++) body(arg, i, 0);
}

/* Bodies differ in cost, so hand out small pieces; long loops of tiny bodies get larger ones to
 * keep the shared counter out of the way. */
static int64_t piece(int64_t n, int32_t threads)
{
    int64_t chunk = n / ((int64_t)threads * 16);
    return chunk > 0 ? chunk : 1;
}

static void run_on_own(dfqi_pool *p, int64_t n, dfqi_body body, void *arg)
{
    p->body = body;
    p->arg = arg;
    p->n = n;
    p->chunk = piece(n, p->n_workers + 1);
    fegetenv(&p->environment);
    __atomic_store_n(&p->next, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&p->members, OPEN, __ATOMIC_RELEASE);
    note_core(&p->caller_core);
    announce(p, (n + p->chunk - 1) / p->chunk - 1);
    work(p, 0);
    (void)__atomic_and_fetch(&p->members, ~(uint32_t)OPEN, __ATOMIC_ACQ_REL);
    wait_until_left(p);
}

/* A loop on the threads of the host: each task takes pieces until none is left, so that all is done
 * when the host has run any of them, in any order. */
typedef struct host_loop {
    dfqi_body body;
    void *arg;
    int64_t n, chunk, next;
    fenv_t environment;
} host_loop;

static void run_task(void *arg, int32_t task)
{
    host_loop *l = arg;
    fenv_t before;
    fegetenv(&before);
    fesetenv(&l->environment);
    for (;;) {
        int64_t i = __atomic_fetch_add(&l->next, l->chunk, __ATOMIC_RELAXED), end = i + l->chunk;
        if (i >= l->n) break;
        if (end > l->n) end = l->n;
        for (; i < end; i++) l->body(l->arg, i, task);
    }
    fesetenv(&before);
}

static void run_on_host(const dfq_thread_pool *host, int64_t n, dfqi_body body, void *arg)
{
    host_loop l = {.body = body, .arg = arg, .n = n, .chunk = piece(n, host->threads)};
    int64_t pieces = (n + l.chunk - 1) / l.chunk;
    fegetenv(&l.environment);
    host->parallel_for(pieces < host->threads ? (int32_t)pieces : host->threads, run_task, &l,
                       host->user);
    run_task(&l, 0); /* the work that is left if the host ran no task */
}

void dfqi_parallel_for(dfq_context *ctx, int64_t n, dfqi_body body, void *arg)
{
    dfqi_pool *p = ctx->pool;
    if (p != NULL && is_of_parent(p)) {
        reset(p);
        ctx->looping = false;
    }
    if (n <= 1 || p == NULL || ctx->looping) {
        run_serially(n, body, arg);
        return;
    }
    ctx->looping = true;
    if (ctx->host_pool.parallel_for != NULL) {
        run_on_host(&ctx->host_pool, n, body, arg);
    } else {
        if (!p->started) start(ctx, p);
        if (p->n_workers > 0)
            run_on_own(p, n, body, arg);
        else
            run_serially(n, body, arg);
    }
    ctx->looping = false;
}
