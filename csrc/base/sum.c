/* SPDX-License-Identifier: Apache-2.0 */
/* Eight lanes of sums, and of sums of sums (Fletcher, 1982, with words of 64 bits), mixed at the end. */
#include "base/sum.h"

#include <string.h>

enum { LANES = 8, BLOCK = LANES * 8 };
typedef uint64_t lanes __attribute__((vector_size(BLOCK)));

static void add(const unsigned char *p, lanes *a, lanes *b)
{
    lanes w;
    memcpy(&w, p, sizeof w);
    *a += w;
    *b += *a;
}

uint64_t pi_sum64(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    unsigned char last[BLOCK] = {0};
    lanes a = {0}, b = {0};
    size_t left = n;
    for (; left >= BLOCK; left -= BLOCK, p += BLOCK) add(p, &a, &b);
    if (left) memcpy(last, p, left);
    add(last, &a, &b);
    uint64_t h = n;
    for (int i = 0; i < LANES; i++) {
        h = (h ^ a[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
        h = (h ^ b[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 29;
    }
    return h;
}
