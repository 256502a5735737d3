/* SPDX-License-Identifier: Apache-2.0 */
/* See gather.h. A constant row size turns memcpy into one move; long rows are left to memcpy, which streams. */
#include "kernels/gather/gather.h"

#include <string.h>

#define ROWS(BYTES)                                                                                 \
    for (int64_t j = 0; j < n; j++, d += BYTES)                                                     \
        memcpy(d, s + (size_t)pi_gather_index(index, wide, from + j, limit) * (BYTES), BYTES)

void pi_gather_rows(const void *src, size_t row, int64_t limit, const void *index, bool wide, int64_t from, int64_t n,
                    void *dst)
{
    const char *s = src;
    char *d = dst;
    switch (row) {
    case 1: ROWS(1); return;
    case 2: ROWS(2); return;
    case 4: ROWS(4); return;
    case 8: ROWS(8); return;
    case 16: ROWS(16); return;
    default: break;
    }
    for (int64_t j = 0; j < n; j++, d += row) {
        /* a table of embeddings is not in the cache: fetch the start of the next row while this one is copied */
        if (j + 1 < n)
            __builtin_prefetch(s + (size_t)pi_gather_index(index, wide, from + j + 1, limit) * row);
        memcpy(d, s + (size_t)pi_gather_index(index, wide, from + j, limit) * row, row);
    }
}

int64_t pi_gather_check(const void *index, bool wide, int64_t n, int64_t limit)
{
    int64_t low = 0, high = -1; /* the extremes first: that loop has no branch */
    for (int64_t i = 0; i < n; i++) {
        int64_t k = wide ? ((const int64_t *)index)[i] : ((const int32_t *)index)[i];
        low = k < low ? k : low;
        high = k > high ? k : high;
    }
    if (low >= -limit && high < limit) return -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = wide ? ((const int64_t *)index)[i] : ((const int32_t *)index)[i];
        if (k < -limit || k >= limit) return i;
    }
    return -1;
}
