/* Compiler extensions that C99 lacks, for gcc and clang: function attributes, atomic operations and
 * the pause instruction of spin loops. */
#ifndef DFQI_BASE_COMPILER_H
#define DFQI_BASE_COMPILER_H

#include <signal.h>
#include <stdint.h>

/* The caller must check the dfq_status that this function returns. */
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

/* A flag that other threads and signal handlers set. `_take` clears it and returns whether it was
 * set, so that one request stops one call. */
static inline void dfqi_flag_raise(volatile sig_atomic_t *flag)
{
    __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
}

static inline int dfqi_flag_take(volatile sig_atomic_t *flag)
{
    return __atomic_exchange_n(flag, 0, __ATOMIC_RELAXED) != 0;
}

/* The pause hint of a spin loop. */
static inline void dfqi_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
