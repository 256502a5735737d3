/* SPDX-License-Identifier: Apache-2.0 */
/* See eltwise_typed.h. Integers wrap: they are computed without a sign. */
#include "ops/eltwise_typed.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "base/size.h"

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

static void add_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, double, x + y)
}

static void sub_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, double, x - y)
}

static void mul_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, double, x * y)
}

static void div_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, double, x / y)
}

static void equal_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, uint8_t, x == y)
}

static void less_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, uint8_t, x < y)
}

static void greater_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, uint8_t, x > y)
}

static void less_equal_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, uint8_t, x <= y)
}

static void greater_equal_f64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(double, uint8_t, x >= y)
}

static void add_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint32_t, uint32_t, x + y)
}

static void sub_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint32_t, uint32_t, x - y)
}

static void mul_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint32_t, uint32_t, x * y)
}

static void equal_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int32_t, uint8_t, x == y)
}

static void less_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int32_t, uint8_t, x < y)
}

static void greater_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int32_t, uint8_t, x > y)
}

static void less_equal_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int32_t, uint8_t, x <= y)
}

static void greater_equal_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int32_t, uint8_t, x >= y)
}

static void min_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int32_t, int32_t, x < y ? x : y)
}

static void max_i32(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int32_t, int32_t, x > y ? x : y)
}

static void add_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint64_t, uint64_t, x + y)
}

static void sub_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint64_t, uint64_t, x - y)
}

static void mul_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint64_t, uint64_t, x * y)
}

static void equal_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int64_t, uint8_t, x == y)
}

static void less_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int64_t, uint8_t, x < y)
}

static void greater_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int64_t, uint8_t, x > y)
}

static void less_equal_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int64_t, uint8_t, x <= y)
}

static void greater_equal_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int64_t, uint8_t, x >= y)
}

static void min_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int64_t, int64_t, x < y ? x : y)
}

static void max_i64(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(int64_t, int64_t, x > y ? x : y)
}

static void and_bool(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint8_t, uint8_t, (x != 0) & (y != 0))
}

static void or_bool(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint8_t, uint8_t, (x | y) != 0)
}

static void xor_bool(int64_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *pc)
{
    BODY(uint8_t, uint8_t, (x != 0) ^ (y != 0))
}

pi_typed_fn pi_typed_find(const char *name, pi_dtype dtype)
{
    static const struct {
        const char *name;
        pi_dtype dtype;
        pi_typed_fn fn;
    } table[] = {
        {"Add", PI_DTYPE_F64, add_f64},
        {"Sub", PI_DTYPE_F64, sub_f64},
        {"Mul", PI_DTYPE_F64, mul_f64},
        {"Div", PI_DTYPE_F64, div_f64},
        {"Equal", PI_DTYPE_F64, equal_f64},
        {"Less", PI_DTYPE_F64, less_f64},
        {"Greater", PI_DTYPE_F64, greater_f64},
        {"LessOrEqual", PI_DTYPE_F64, less_equal_f64},
        {"GreaterOrEqual", PI_DTYPE_F64, greater_equal_f64},
        {"Add", PI_DTYPE_I32, add_i32},
        {"Sub", PI_DTYPE_I32, sub_i32},
        {"Mul", PI_DTYPE_I32, mul_i32},
        {"Equal", PI_DTYPE_I32, equal_i32},
        {"Less", PI_DTYPE_I32, less_i32},
        {"Greater", PI_DTYPE_I32, greater_i32},
        {"LessOrEqual", PI_DTYPE_I32, less_equal_i32},
        {"GreaterOrEqual", PI_DTYPE_I32, greater_equal_i32},
        {"Min", PI_DTYPE_I32, min_i32},
        {"Max", PI_DTYPE_I32, max_i32},
        {"Add", PI_DTYPE_I64, add_i64},
        {"Sub", PI_DTYPE_I64, sub_i64},
        {"Mul", PI_DTYPE_I64, mul_i64},
        {"Equal", PI_DTYPE_I64, equal_i64},
        {"Less", PI_DTYPE_I64, less_i64},
        {"Greater", PI_DTYPE_I64, greater_i64},
        {"LessOrEqual", PI_DTYPE_I64, less_equal_i64},
        {"GreaterOrEqual", PI_DTYPE_I64, greater_equal_i64},
        {"Min", PI_DTYPE_I64, min_i64},
        {"Max", PI_DTYPE_I64, max_i64},
        {"And", PI_DTYPE_BOOL, and_bool},
        {"Or", PI_DTYPE_BOOL, or_bool},
        {"Xor", PI_DTYPE_BOOL, xor_bool},
    };
    for (size_t i = 0; i < PI_COUNT(table); i++)
        if (table[i].dtype == dtype && strcmp(table[i].name, name) == 0) return table[i].fn;
    return NULL;
}
