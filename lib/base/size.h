/* The extents of an image or of a map of tokens. */
#ifndef DFQI_BASE_SIZE_H
#define DFQI_BASE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct dfqi_size {
    int64_t height, width;
} dfqi_size;

static inline dfqi_size dfqi_square(int64_t side)
{
    return (dfqi_size){side, side};
}

static inline int64_t dfqi_area(dfqi_size s)
{
    return s.height * s.width;
}

static inline bool dfqi_is_square(dfqi_size s)
{
    return s.height == s.width;
}

static inline bool dfqi_same_size(dfqi_size a, dfqi_size b)
{
    return a.height == b.height && a.width == b.width;
}

static inline int64_t dfqi_shorter(dfqi_size s)
{
    return s.height < s.width ? s.height : s.width;
}

static inline int64_t dfqi_longer(dfqi_size s)
{
    return s.height > s.width ? s.height : s.width;
}

/* Each extent, in patches of `patch` or halved by so much. */
static inline dfqi_size dfqi_size_over(dfqi_size s, int64_t patch)
{
    return (dfqi_size){s.height / patch, s.width / patch};
}

#endif
