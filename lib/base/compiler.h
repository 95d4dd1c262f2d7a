/* What C99 cannot say, in words of gcc and clang: attributes, atomic operations, spinning. */
#ifndef DFQI_BASE_COMPILER_H
#define DFQI_BASE_COMPILER_H

#include <signal.h>
#include <stdint.h>

/* A function whose dfq_status must be looked at. */
#define DFQI_CHECKED __attribute__((warn_unused_result))

/* Reference counts. `_dec` returns the count that is left: at 0 the caller is the last owner and
 * sees everything the other owners wrote. */
static inline void dfqi_ref_inc(int32_t *refs)
{
    (void)__atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
}

static inline int32_t dfqi_ref_dec(int32_t *refs)
{
    return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL);
}

/* A flag that other threads and signal handlers raise; `_take` lowers it and says whether it was
 * up, so that one request stops one call. */
static inline void dfqi_flag_raise(volatile sig_atomic_t *flag)
{
    __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
}

static inline int dfqi_flag_take(volatile sig_atomic_t *flag)
{
    return __atomic_exchange_n(flag, 0, __ATOMIC_RELAXED) != 0;
}

/* Tells the core that this is a loop which waits. */
static inline void dfqi_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
