/* SPDX-License-Identifier: Apache-2.0 */
/* See eltwise_typed.h. Integers wrap: they are computed without a sign. */
#include "ops/eltwise_typed.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "base/size.h"

/* X(operator, dtype, C type of the inputs, of the output, expression of x and y) */
#define ROWS                                                                                             \
    X(Add, F64, double, double, x + y)                                                                   \
    X(Sub, F64, double, double, x - y)                                                                   \
    X(Mul, F64, double, double, x * y)                                                                   \
    X(Div, F64, double, double, x / y)                                                                   \
    COMPARISONS(F64, double)                                                                             \
    INTEGERS(I32, int32_t, uint32_t)                                                                     \
    INTEGERS(I64, int64_t, uint64_t)                                                                     \
    X(And, BOOL, uint8_t, uint8_t, (x != 0) & (y != 0))                                                  \
    X(Or, BOOL, uint8_t, uint8_t, (x | y) != 0)                                                          \
    X(Xor, BOOL, uint8_t, uint8_t, (x != 0) ^ (y != 0))
#define INTEGERS(DTYPE, SIGNED, UNSIGNED)                                                                \
    X(Add, DTYPE, UNSIGNED, UNSIGNED, x + y)                                                             \
    X(Sub, DTYPE, UNSIGNED, UNSIGNED, x - y)                                                             \
    X(Mul, DTYPE, UNSIGNED, UNSIGNED, x * y)                                                             \
    X(Min, DTYPE, SIGNED, SIGNED, x < y ? x : y)                                                         \
    X(Max, DTYPE, SIGNED, SIGNED, x > y ? x : y)                                                         \
    COMPARISONS(DTYPE, SIGNED)
#define COMPARISONS(DTYPE, TYPE)                                                                         \
    X(Equal, DTYPE, TYPE, uint8_t, x == y)                                                               \
    X(Less, DTYPE, TYPE, uint8_t, x < y)                                                                 \
    X(Greater, DTYPE, TYPE, uint8_t, x > y)                                                              \
    X(LessOrEqual, DTYPE, TYPE, uint8_t, x <= y)                                                         \
    X(GreaterOrEqual, DTYPE, TYPE, uint8_t, x >= y)

/* One loop for each way to broadcast, so that each has constant steps. */
#define BODY(IN, OUT, EXPR)                                                              \
    const IN *a = pa, *b = pb;                                                           \
    OUT *c = pc;                                                                         \
    if (sa == 1 && sb == 1) {                                                            \
        for (int64_t i = 0; i < n; i++) {                                                \
            IN x = a[i], y = b[i];                                                       \
            c[i] = (OUT)(EXPR);                                                          \
        }                                                                                \
    } else if (sa == 1) {                                                                \
        IN y = *b;                                                                       \
        for (int64_t i = 0; i < n; i++) {                                                \
            IN x = a[i];                                                                 \
            c[i] = (OUT)(EXPR);                                                          \
        }                                                                                \
    } else if (sb == 1) {                                                                \
        IN x = *a;                                                                       \
        for (int64_t i = 0; i < n; i++) {                                                \
            IN y = b[i];                                                                 \
            c[i] = (OUT)(EXPR);                                                          \
        }                                                                                \
    } else {                                                                             \
        IN x = *a, y = *b;                                                               \
        for (int64_t i = 0; i < n; i++) c[i] = (OUT)(EXPR);                              \
    }

#define X(NAME, DTYPE, IN, OUT, EXPR)                                                                     \
    static void NAME##_##DTYPE(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc) \
    {                                                                                                    \
        BODY(IN, OUT, EXPR)                                                                              \
    }
ROWS
#undef X

pi_typed_fn pi_typed_find(const char *name, pi_dtype dtype)
{
    static const struct {
        const char *name;
        pi_dtype dtype;
        pi_typed_fn fn;
    } table[] = {
#define X(NAME, DTYPE, IN, OUT, EXPR) {#NAME, PI_DTYPE_##DTYPE, NAME##_##DTYPE},
        ROWS
#undef X
    };
    for (size_t i = 0; i < PI_COUNT(table); i++)
        if (table[i].dtype == dtype && strcmp(table[i].name, name) == 0) return table[i].fn;
    return NULL;
}
