/* SPDX-License-Identifier: Apache-2.0 */
/* Rows by index. Indices are int32 or int64 (`wide`), negative ones count from the end. The caller has checked them;
 * one that is out of range all the same (an array that another thread writes to) reads row 0 and nothing else. */
#ifndef PI_KERNELS_GATHER_H
#define PI_KERNELS_GATHER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline int64_t pi_gather_index(const void *index, bool wide, int64_t i, int64_t limit)
{
    int64_t k = wide ? ((const int64_t *)index)[i] : ((const int32_t *)index)[i];
    if (k < 0) k += limit;
    return (uint64_t)k < (uint64_t)limit ? k : 0;
}

/* dst row j = src row index[from + j], j in [0, n); rows of `row` bytes, dense; limit > 0 rows in src. */
void pi_gather_rows(const void *src, size_t row, int64_t limit, const void *index, bool wide, int64_t from, int64_t n,
                    void *dst);
/* First of n indices that is not in [-limit, limit), or -1. */
int64_t pi_gather_check(const void *index, bool wide, int64_t n, int64_t limit);
#endif
