/* A fingerprint of bytes: the FNV-1a hash over 32-bit words. It tells inputs apart; it is not
 * cryptographic. */
#ifndef DFQI_BASE_HASH_H
#define DFQI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define DFQI_HASH_START UINT64_C(0xCBF29CE484222325)

/* Continues from `hash`. */
uint64_t dfqi_hash(uint64_t hash, const void *bytes, size_t size);

#endif
