/* Words: codes as numbers of 16 bits, of which vpmaddwd adds two products (tile_avx2.h). A group
 * c0 c1 c2 c3 becomes c0 c2 c1 c3: the even bytes of 32 bits, and the odd ones. */
#ifndef DFQI_INT_X86_WORDS_H
#define DFQI_INT_X86_WORDS_H

#include <immintrin.h>
#include <string.h>

#include "kernel/int_layout.h"

enum { WORD_GROUP = 2 * DFQI_INT_GROUP }; /* bytes */

/* Unsigned codes of so many groups of a row. */
static inline void words_of_row(const uint8_t *x, int64_t groups, uint8_t *to)
{
    const __m256i even = _mm256_set1_epi16(255);
    for (; groups >= 8; groups -= 8, x += 32, to += 64) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)x);
        const __m256i e = _mm256_and_si256(v, even), o = _mm256_srli_epi16(v, 8);
        const __m256i low = _mm256_unpacklo_epi32(e, o), high = _mm256_unpackhi_epi32(e, o);
        _mm256_storeu_si256((__m256i *)(void *)to, _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256((__m256i *)(void *)(to + 32),
                            _mm256_permute2x128_si256(low, high, 0x31));
    }
    for (; groups > 0; groups--, x += DFQI_INT_GROUP, to += WORD_GROUP) {
        uint32_t group, pairs[2];
        memcpy(&group, x, sizeof group);
        pairs[0] = group & 0x00ff00ffu;
        pairs[1] = group >> 8 & 0x00ff00ffu;
        memcpy(to, pairs, sizeof pairs);
    }
}

/* Signed codes of groups of a panel: [2][16 columns][2] of each. */
static inline void words_of_panel(const uint8_t *codes, int64_t groups, uint8_t *to)
{
    const int64_t odd = DFQI_INT_BLOCK;
    for (; groups > 0; groups--, codes += DFQI_INT_BLOCK, to += 2 * DFQI_INT_BLOCK)
        for (int half = 0; half < DFQI_INT_BLOCK; half += 32) {
            const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(codes + half));
            _mm256_storeu_si256((__m256i *)(void *)(to + half),
                                _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8));
            _mm256_storeu_si256((__m256i *)(void *)(to + odd + half), _mm256_srai_epi16(v, 8));
        }
}

#endif
