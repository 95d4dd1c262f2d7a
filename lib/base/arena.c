/* The arena is a list of blocks, newest first. Each block hands out its bytes from front to
 * back. */
#include <string.h>

#include "base/memory.h"

enum { BLOCK_BYTES = 4096, ARENA_ALIGN = 16 };

struct dfqi_arena_block {
    struct dfqi_arena_block *next;
    size_t used; /* bytes of the block, this struct included */
    size_t cap;
};

static size_t align_up(size_t n)
{
    return (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

void dfqi_arena_init(dfqi_arena *a, dfq_context *ctx)
{
    a->ctx = ctx;
    a->blocks = NULL;
}

/* A zeroed block that has `size` bytes left. */
static struct dfqi_arena_block *add_block(dfqi_arena *a, size_t size)
{
    size_t head = align_up(sizeof(struct dfqi_arena_block));
    size_t cap = size;
    struct dfqi_arena_block *b;
    /* A request larger than a block gets a block of its own. With SIZE_MAX the allocator fails. */
    if (!dfqi_add_size(size, head, &cap)) cap = SIZE_MAX;
    if (cap < BLOCK_BYTES) cap = BLOCK_BYTES;
    b = dfqi_calloc(a->ctx, 1, cap);
    if (b == NULL) return NULL;
    b->used = head;
    b->cap = cap;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *dfqi_arena_alloc(dfqi_arena *a, size_t size)
{
    struct dfqi_arena_block *b = a->blocks;
    void *p;
    /* Near SIZE_MAX rounding up would wrap; such a request fails below for its size alone. */
    if (size <= SIZE_MAX - ARENA_ALIGN) size = align_up(size);
    if (b == NULL || b->cap - b->used < size) {
        b = add_block(a, size);
        if (b == NULL) return NULL;
    }
    p = (char *)b + b->used;
    b->used += size;
    return p;
}

char *dfqi_arena_strdup(dfqi_arena *a, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = dfqi_arena_alloc(a, n);
    if (p != NULL) memcpy(p, text, n);
    return p;
}

void dfqi_arena_fini(dfqi_arena *a)
{
    struct dfqi_arena_block *b = a->blocks;
    while (b != NULL) {
        struct dfqi_arena_block *next = b->next;
        dfqi_free(a->ctx, b);
        b = next;
    }
    a->blocks = NULL;
}
