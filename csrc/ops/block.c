/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions between the element types in memory and what references compute in. */
#include "ops/block.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "kernels/convert/convert.h"

/* ---- integers: low bits, and saturated ---- */

/* The value that the low bits say: u4 15, i4 -1. */
static int64_t narrow(int64_t x, int bits, bool is_signed)
{
    uint64_t u = (uint64_t)x & ((1ull << bits) - 1);
    return is_signed && u >> (bits - 1) ? (int64_t)u - (1ll << bits) : (int64_t)u;
}

static int64_t saturate_i64(double x, double low, double high)
{
    if (x != x) return 0;
    if (x <= low) return low <= -0x1p63 ? INT64_MIN : (int64_t)low;
    if (x >= high) return high >= 0x1p63 ? INT64_MAX : (int64_t)high;
    return (int64_t)x;
}

static uint64_t saturate_u64(double x)
{
    if (!(x > 0)) return 0;
    return x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
}

/* ---- blocks ---- */

#define LOOP(type, expression)                              \
    {                                                       \
        const type *s = p;                                  \
        for (int64_t i = 0; stride == 1 && i < n; i++) {    \
            type v;                                         \
            memcpy(&v, s + i, sizeof v);                    \
            out[i] = (expression);                          \
        }                                                   \
        for (int64_t i = 0; stride != 1 && i < n; i++) {    \
            type v;                                         \
            memcpy(&v, s + i * stride, sizeof v);           \
            out[i] = (expression);                          \
        }                                                   \
        return;                                             \
    }
#define STORE(type, expression)                             \
    {                                                       \
        type *s = p;                                        \
        for (int64_t i = 0; stride == 1 && i < n; i++) {    \
            type v = (type)(expression);                    \
            memcpy(s + i, &v, sizeof v);                    \
        }                                                   \
        for (int64_t i = 0; stride != 1 && i < n; i++) {    \
            type v = (type)(expression);                    \
            memcpy(s + i * stride, &v, sizeof v);           \
        }                                                   \
        return;                                             \
    }

void pi_read_f64(pi_dtype dtype, const void *p, int64_t stride, int64_t n, double *out)
{
    switch (dtype) {
    case PI_DTYPE_F32: LOOP(float, (double)v)
    case PI_DTYPE_F64: LOOP(double, v)
    case PI_DTYPE_F16: LOOP(uint16_t, (double)pi_f16_to_float(v))
    case PI_DTYPE_BF16: LOOP(uint16_t, (double)pi_bf16_to_float(v))
    case PI_DTYPE_I8: LOOP(int8_t, (double)v)
    case PI_DTYPE_I16: LOOP(int16_t, (double)v)
    case PI_DTYPE_I32: LOOP(int32_t, (double)v)
    case PI_DTYPE_I64: LOOP(int64_t, (double)v)
    case PI_DTYPE_U8: LOOP(uint8_t, (double)v)
    case PI_DTYPE_U16: LOOP(uint16_t, (double)v)
    case PI_DTYPE_U32: LOOP(uint32_t, (double)v)
    case PI_DTYPE_U64: LOOP(uint64_t, (double)v)
    case PI_DTYPE_BOOL: LOOP(uint8_t, (double)(v != 0))
    case PI_DTYPE_C64: {
        const float *s = p;
        for (int64_t i = 0; i < n; i++) out[i] = (double)s[2 * i * stride];
        return;
    }
    case PI_DTYPE_C128: {
        const double *s = p;
        for (int64_t i = 0; i < n; i++) out[i] = s[2 * i * stride];
        return;
    }
    case PI_DTYPE_U4: LOOP(uint8_t, (double)narrow(v, 4, false))
    case PI_DTYPE_I4: LOOP(uint8_t, (double)narrow(v, 4, true))
    case PI_DTYPE_U2: LOOP(uint8_t, (double)narrow(v, 2, false))
    case PI_DTYPE_I2: LOOP(uint8_t, (double)narrow(v, 2, true))
    default: LOOP(uint8_t, (double)pi_small_to_float(dtype, v))
    }
}

/* Dense numbers of few bits: there are kernels. */
static bool read_fast(pi_dtype dtype, const void *p, int64_t n, float *out)
{
    const pi_convert_kernels *k = pi_convert();
    switch (dtype) {
    case PI_DTYPE_F16: k->f16_to_f32((size_t)n, p, out); return true;
    case PI_DTYPE_BF16: k->bf16_to_f32((size_t)n, p, out); return true;
    case PI_DTYPE_U8: k->u8_to_f32((size_t)n, p, out); return true;
    case PI_DTYPE_I8: k->i8_to_f32((size_t)n, p, out); return true;
    case PI_DTYPE_I64: k->i64_to_f32((size_t)n, p, out); return true;
    default: return false;
    }
}

void pi_read_f32(pi_dtype dtype, const void *p, int64_t stride, int64_t n, float *out)
{
    if (stride == 1 && read_fast(dtype, p, n, out)) return;
    switch (dtype) {
    case PI_DTYPE_F32: LOOP(float, v)
    case PI_DTYPE_F16: LOOP(uint16_t, pi_f16_to_float(v))
    case PI_DTYPE_BF16: LOOP(uint16_t, pi_bf16_to_float(v))
    case PI_DTYPE_I8: LOOP(int8_t, (float)v)
    case PI_DTYPE_I16: LOOP(int16_t, (float)v)
    case PI_DTYPE_I32: LOOP(int32_t, (float)v)
    case PI_DTYPE_I64: LOOP(int64_t, (float)v)
    case PI_DTYPE_U8: LOOP(uint8_t, (float)v)
    case PI_DTYPE_U16: LOOP(uint16_t, (float)v)
    case PI_DTYPE_U32: LOOP(uint32_t, (float)v)
    case PI_DTYPE_U64: LOOP(uint64_t, (float)v)
    case PI_DTYPE_BOOL: LOOP(uint8_t, (float)(v != 0))
    default:
        for (int64_t i = 0; i < n; i += PI_BLOCK) {
            double d[PI_BLOCK];
            int64_t m = n - i < PI_BLOCK ? n - i : PI_BLOCK;
            pi_read_f64(dtype, pi_at(p, dtype, i * stride), stride, m, d);
            for (int64_t k = 0; k < m; k++) out[i + k] = (float)d[k];
        }
    }
}

void pi_read_i64(pi_dtype dtype, const void *p, int64_t stride, int64_t n, int64_t *out)
{
    switch (dtype) {
    case PI_DTYPE_I8: LOOP(int8_t, v)
    case PI_DTYPE_I16: LOOP(int16_t, v)
    case PI_DTYPE_I32: LOOP(int32_t, v)
    case PI_DTYPE_I64: LOOP(int64_t, v)
    case PI_DTYPE_U8: LOOP(uint8_t, v)
    case PI_DTYPE_U16: LOOP(uint16_t, v)
    case PI_DTYPE_U32: LOOP(uint32_t, v)
    case PI_DTYPE_U64: LOOP(uint64_t, (int64_t)v)
    case PI_DTYPE_BOOL: LOOP(uint8_t, v != 0)
    case PI_DTYPE_U4: LOOP(uint8_t, narrow(v, 4, false))
    case PI_DTYPE_I4: LOOP(uint8_t, narrow(v, 4, true))
    case PI_DTYPE_U2: LOOP(uint8_t, narrow(v, 2, false))
    case PI_DTYPE_I2: LOOP(uint8_t, narrow(v, 2, true))
    default: memset(out, 0, (size_t)n * sizeof *out);
    }
}

void pi_write_f64_as(pi_dtype dtype, void *p, int64_t stride, int64_t n, const double *x, unsigned rounding)
{
    switch (dtype) {
    case PI_DTYPE_F32: STORE(float, x[i])
    case PI_DTYPE_F64: STORE(double, x[i])
    case PI_DTYPE_F16: STORE(uint16_t, pi_float_to_f16(pi_double_to_odd_float(x[i])))
    case PI_DTYPE_BF16: STORE(uint16_t, pi_float_to_bf16(pi_double_to_odd_float(x[i])))
    case PI_DTYPE_I8: STORE(int8_t, saturate_i64(x[i], -0x1p7, 0x1p7 - 1))
    case PI_DTYPE_I16: STORE(int16_t, saturate_i64(x[i], -0x1p15, 0x1p15 - 1))
    case PI_DTYPE_I32: STORE(int32_t, saturate_i64(x[i], -0x1p31, 0x1p31 - 1))
    case PI_DTYPE_I64: STORE(int64_t, saturate_i64(x[i], -0x1p63, 0x1p63))
    case PI_DTYPE_U8: STORE(uint8_t, saturate_i64(x[i], 0, 0x1p8 - 1))
    case PI_DTYPE_U16: STORE(uint16_t, saturate_i64(x[i], 0, 0x1p16 - 1))
    case PI_DTYPE_U32: STORE(uint32_t, saturate_i64(x[i], 0, 0x1p32 - 1))
    case PI_DTYPE_U64: STORE(uint64_t, saturate_u64(x[i]))
    case PI_DTYPE_BOOL: STORE(uint8_t, x[i] != 0)
    case PI_DTYPE_U4: STORE(uint8_t, narrow(saturate_i64(x[i], -0x1p63, 0x1p63), 4, false))
    case PI_DTYPE_I4: STORE(int8_t, narrow(saturate_i64(x[i], -0x1p63, 0x1p63), 4, true))
    case PI_DTYPE_U2: STORE(uint8_t, narrow(saturate_i64(x[i], -0x1p63, 0x1p63), 2, false))
    case PI_DTYPE_I2: STORE(int8_t, narrow(saturate_i64(x[i], -0x1p63, 0x1p63), 2, true))
    case PI_DTYPE_C64: {
        float *s = p;
        for (int64_t i = 0; i < n; i++) s[2 * i * stride] = (float)x[i], s[2 * i * stride + 1] = 0;
        return;
    }
    case PI_DTYPE_C128: {
        double *s = p;
        for (int64_t i = 0; i < n; i++) s[2 * i * stride] = x[i], s[2 * i * stride + 1] = 0;
        return;
    }
    default: STORE(uint8_t, pi_float_to_small(dtype, pi_double_to_odd_float(x[i]), rounding))
    }
}

void pi_write_f64(pi_dtype dtype, void *p, int64_t stride, int64_t n, const double *x)
{
    pi_write_f64_as(dtype, p, stride, n, x, PI_ROUND_SATURATE);
}

void pi_write_f32(pi_dtype dtype, void *p, int64_t stride, int64_t n, const float *x)
{
    if (stride == 1 && (dtype == PI_DTYPE_F16 || dtype == PI_DTYPE_BF16)) {
        (dtype == PI_DTYPE_F16 ? pi_convert()->f32_to_f16 : pi_convert()->f32_to_bf16)((size_t)n, x, p);
        return;
    }
    if (stride == 1 && dtype == PI_DTYPE_I64) {
        pi_convert()->f32_to_i64((size_t)n, x, p);
        return;
    }
    switch (dtype) {
    case PI_DTYPE_F32: STORE(float, x[i])
    case PI_DTYPE_F16: STORE(uint16_t, pi_float_to_f16(x[i]))
    case PI_DTYPE_BF16: STORE(uint16_t, pi_float_to_bf16(x[i]))
    case PI_DTYPE_I64: STORE(int64_t, x[i] >= -0x1p63f && x[i] < 0x1p63f ? (int64_t)x[i] : saturate_i64((double)x[i], -0x1p63, 0x1p63))
    case PI_DTYPE_I32: STORE(int32_t, x[i] >= -0x1p31f && x[i] < 0x1p31f ? (int64_t)x[i] : saturate_i64((double)x[i], -0x1p31, 0x1p31 - 1))
    default:
        for (int64_t i = 0; i < n; i += PI_BLOCK) {
            double d[PI_BLOCK];
            int64_t m = n - i < PI_BLOCK ? n - i : PI_BLOCK;
            for (int64_t k = 0; k < m; k++) d[k] = (double)x[i + k];
            pi_write_f64(dtype, pi_at_mut(p, dtype, i * stride), stride, m, d);
        }
    }
}

void pi_write_i64(pi_dtype dtype, void *p, int64_t stride, int64_t n, const int64_t *x)
{
    switch (dtype) {
    case PI_DTYPE_I8:
    case PI_DTYPE_U8: STORE(uint8_t, (uint64_t)x[i])
    case PI_DTYPE_I16:
    case PI_DTYPE_U16: STORE(uint16_t, (uint64_t)x[i])
    case PI_DTYPE_I32:
    case PI_DTYPE_U32: STORE(uint32_t, (uint64_t)x[i])
    case PI_DTYPE_I64:
    case PI_DTYPE_U64: STORE(uint64_t, x[i])
    case PI_DTYPE_BOOL: STORE(uint8_t, x[i] != 0)
    case PI_DTYPE_U4: STORE(uint8_t, narrow(x[i], 4, false))
    case PI_DTYPE_I4: STORE(int8_t, narrow(x[i], 4, true))
    case PI_DTYPE_U2: STORE(uint8_t, narrow(x[i], 2, false))
    case PI_DTYPE_I2: STORE(int8_t, narrow(x[i], 2, true))
    default: return;
    }
}
