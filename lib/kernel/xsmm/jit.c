/* Kernels by the code generator of libxsmm 1.17. The library's own front end is not used: it needs
 * 131 kB of the caller's stack, opens a file in /tmp, keeps its descriptor, and closes descriptor 0
 * at the end of the process. The generator alone writes code into a given buffer.
 *
 * Kernels are kept in lists by the hash of their shape. Entries are added at the head and never
 * removed, so a look-up takes no lock. Each kernel has a memory mapping of its own, which is first
 * writable and then executable, never both. */
#ifdef __linux__
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
#include "kernel/xsmm/jit.h"

#include <libxsmm.h>
#include <libxsmm_generator.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LISTS = 1024, CODE_MAX = 128 << 10, CODE_ALIGN = 64 };

typedef struct entry {
    const struct entry *next;
    dfqi_xsmm_shape shape;
} entry; /* the code follows at the next multiple of CODE_ALIGN */

enum { CODE_AT = (sizeof(entry) + CODE_ALIGN - 1) / CODE_ALIGN * CODE_ALIGN };

static const entry *lists[LISTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the generator and the lists' heads */
static int target;                                       /* libxsmm's number of this CPU */

static uint32_t list_of(const dfqi_xsmm_shape *s)
{
    const int32_t part[] = {s->m, s->n, s->k, s->lda, s->ldb, s->ldc, s->trans_b * 2 + s->add};
    uint32_t hash = 0;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        hash = (hash ^ (uint32_t)part[i]) * 0x9E3779B1u;
    return hash >> 22;
}

static dfqi_xsmm_kernel code_of(const entry *e)
{
    union {
        const char *data;
        dfqi_xsmm_kernel call;
    } code = {.data = (const char *)e + CODE_AT};
    return code.call;
}

static const entry *find_from(const entry *e, const dfqi_xsmm_shape *shape)
{
    while (e && memcmp(&e->shape, shape, sizeof *shape) != 0) e = e->next;
    return e;
}

/* Bytes of code; 0 if libxsmm has no kernel of this shape. */
static size_t generate(const dfqi_xsmm_shape *s, void *code)
{
    libxsmm_descriptor_blob blob;
    const libxsmm_gemm_descriptor *d = libxsmm_sgemm_descriptor_init(
        &blob, s->m, s->n, s->k, s->lda, s->ldb, s->ldc, 1.0f, s->add ? 1.0f : 0.0f,
        s->trans_b ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE,
        LIBXSMM_GEMM_PREFETCH_NONE);
    libxsmm_generated_code out = {.generated_code = code,
                                  .buffer_size = CODE_MAX,
                                  .code_type = 2, /* machine code */
                                  .arch = (unsigned int)target};
    if (!d) return 0;
    libxsmm_generator_gemm_kernel(&out, d);
    return out.last_error == 0 ? out.code_size : 0;
}

static const entry *make(const dfqi_xsmm_shape *shape, const entry *next)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t mapped = (CODE_AT + (size_t)CODE_MAX + page - 1) / page * page;
    char *at = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    *(entry *)(void *)at = (entry){.next = next, .shape = *shape};
    const size_t code = generate(shape, at + CODE_AT);
    const size_t used = (CODE_AT + code + page - 1) / page * page;
    if (code == 0 || mprotect(at, used, PROT_READ | PROT_EXEC) != 0) {
        munmap(at, mapped);
        return NULL;
    }
    if (used < mapped) munmap(at + used, mapped - used);
    return (const entry *)(const void *)at;
}

dfqi_xsmm_kernel dfqi_xsmm_find(const dfqi_xsmm_shape *shape)
{
    const entry **list = &lists[list_of(shape)];
    const entry *e = find_from(__atomic_load_n(list, __ATOMIC_ACQUIRE), shape);
    if (e) return code_of(e);
    pthread_mutex_lock(&lock);
    e = find_from(*list, shape); /* another thread may have been here */
    if (!e) {
        e = make(shape, *list);
        if (e) __atomic_store_n(list, e, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return e ? code_of(e) : NULL;
}

/* Takes the lock around a fork, so that a child process gets consistent lists and a free lock. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

bool dfqi_xsmm_start(void)
{
    const dfqi_xsmm_shape probe = {64, 24, 64, 64, 64, 64, 0, 0};
    if (target == 0) {
        if (pthread_atfork(before_fork, after_fork, after_fork) != 0) return false;
        target = libxsmm_cpuid();
    }
    return dfqi_xsmm_find(&probe) != NULL;
}
