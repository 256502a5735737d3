/* SPDX-License-Identifier: Apache-2.0 */
/* In vectors of 16 bytes, which every CPU has: bound by loads and stores. */
#include <string.h>
#include "kernels/dwconv/dwconv.h"

typedef float vec __attribute__((vector_size(16)));
typedef int pick __attribute__((vector_size(16)));

void pi_dwconv_split(size_t n, const float *x, float *even, float *odd)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vec a, b, e, o;
        memcpy(&a, x + 2 * i, sizeof a);
        memcpy(&b, x + 2 * i + 4, sizeof b);
        e = __builtin_shuffle(a, b, (pick){0, 2, 4, 6});
        o = __builtin_shuffle(a, b, (pick){1, 3, 5, 7});
        memcpy(even + i, &e, sizeof e);
        memcpy(odd + i, &o, sizeof o);
    }
    for (; i < n; i++) even[i] = x[2 * i], odd[i] = x[2 * i + 1];
}
