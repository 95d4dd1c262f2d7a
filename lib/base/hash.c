/* FNV-1a hash over 32-bit words (hash.h). */
#include "base/hash.h"

#include <string.h>

uint64_t dfqi_hash(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    uint32_t word;
    for (; size >= sizeof word; p += sizeof word, size -= sizeof word) {
        memcpy(&word, p, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x100000001B3);
    }
    for (; size > 0; p++, size--) hash = (hash ^ *p) * UINT64_C(0x100000001B3);
    return hash;
}
