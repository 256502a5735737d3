/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions between the element types in memory and what references compute in.
 * The small floats follow IEEE 754 (f16); OCP's FP8, FP4 and MX formats as ONNX describes them. */
#include "ops/block.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* ---- small floats, described by their fields ---- */

typedef struct {
    int exponent, mantissa, bias; /* bits, bits, bias */
    enum { IEEE, ONLY_NAN, FNUZ, FINITE } specials; /* what the codes at the end mean */
    float largest;
} small;

static const small e4m3fn = {4, 3, 7, ONLY_NAN, 448.0f};
static const small e4m3fnuz = {4, 3, 8, FNUZ, 240.0f};
static const small e5m2 = {5, 2, 15, IEEE, 57344.0f};
static const small e5m2fnuz = {5, 2, 16, FNUZ, 57344.0f};
static const small e2m1 = {2, 1, 1, FINITE, 6.0f};

static float small_decode(const small *f, uint32_t code)
{
    uint32_t m = code & ((1u << f->mantissa) - 1), all = (1u << f->exponent) - 1;
    uint32_t e = (code >> f->mantissa) & all, sign = code >> (f->exponent + f->mantissa) & 1;
    float s = sign ? -1.0f : 1.0f;
    if (f->specials == IEEE && e == all) return m ? s * NAN : s * INFINITY;
    if (f->specials == ONLY_NAN && e == all && m == (1u << f->mantissa) - 1) return s * NAN;
    if (f->specials == FNUZ && sign && e == 0 && m == 0) return NAN;
    if (e == 0) return s * ldexpf((float)m, 1 - f->bias - f->mantissa);
    return s * ldexpf((float)(m | 1u << f->mantissa), (int)e - f->bias - f->mantissa);
}

/* Rounds to nearest even. `saturate`: infinities and values beyond the range become the largest. */
static uint32_t small_encode(const small *f, float x, bool saturate)
{
    uint32_t sign = bits_of(x) >> 31, top = sign << (f->exponent + f->mantissa);
    uint32_t all = (1u << f->exponent) - 1, full = (1u << f->mantissa) - 1;
    uint32_t nan = f->specials == FNUZ       ? 1u << (f->exponent + f->mantissa)
                   : f->specials == ONLY_NAN ? top | all << f->mantissa | full
                   : f->specials == IEEE     ? top | all << f->mantissa | 1u << (f->mantissa - 1)
                                             : 1u << (f->exponent + f->mantissa); /* as ml_dtypes has it */
    uint32_t infinity = f->specials == IEEE ? top | all << f->mantissa : nan;
    if (x != x) return nan;
    float a = fabsf(x);
    uint32_t code = 0;
    if (a > 0 && isfinite(a)) {
        int e = ilogbf(a);
        if (e < 1 - f->bias) e = 1 - f->bias; /* subnormal: the step of the smallest normal */
        float steps = rintf(ldexpf(a, f->mantissa - e)); /* exact but for the rounding */
        a = ldexpf(steps, e - f->mantissa);
        if (a <= f->largest) {
            if (steps >= (float)(2u << f->mantissa)) { /* rounded up to the next power */
                steps *= 0.5f;
                e++;
            }
            bool normal = steps >= (float)(1u << f->mantissa);
            code = normal ? (uint32_t)(e + f->bias) << f->mantissa | ((uint32_t)steps & full) : (uint32_t)steps;
        }
    }
    if (a > f->largest) {
        if (!saturate) return infinity;
        return small_encode(f, sign ? -f->largest : f->largest, true);
    }
    return f->specials == FNUZ && code == 0 ? 0 : top | code;
}

static float e8m0_decode(uint32_t code) { return code == 255 ? NAN : ldexpf(1.0f, (int)code - 127); }

static uint32_t e8m0_encode(float x, unsigned rounding)
{
    bool saturate = !(rounding & PI_ROUND_PLAIN);
    if (x != x) return 255;
    if (x <= 0) return saturate ? 0 : 255;
    if (!isfinite(x)) return saturate ? 254 : 255;
    int e = ilogbf(x);
    float part = ldexpf(x, -e); /* in [1, 2) */
    bool up = rounding & PI_ROUND_DOWN ? false : rounding & PI_ROUND_NEAREST ? part >= 1.5f : part > 1.0f;
    e += up;
    if (e > 127) return saturate ? 254 : 255;
    if (e < -127) return saturate ? 0 : 255;
    return (uint32_t)(e + 127);
}

/* ---- f16 and bf16, often used: bit arithmetic ---- */

float pi_f16_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fffu;
    if (rest >= 0x7c00) return float_of(sign | 0x7f800000u | (rest & 0x3ff) << 13);
    if (rest >= 0x400) return float_of(sign | ((rest << 13) + 0x38000000u));
    return float_of(sign | bits_of((float)rest * 0x1p-24f));
}

uint16_t pi_float_to_f16(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (a < 0x38800000) {                                  /* subnormal: the adder rounds for us */
        float shifted = float_of(a) + 0.5f;
        return (uint16_t)(sign | (bits_of(shifted) - bits_of(0.5f)));
    }
    a += 0xfff + (a >> 13 & 1);
    return (uint16_t)(sign | ((a - 0x38000000u) >> 13));
}

float pi_bf16_to_float(uint16_t b) { return float_of((uint32_t)b << 16); }

uint16_t pi_float_to_bf16(float x)
{
    uint32_t u = bits_of(x);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float small_read(pi_dtype dtype, uint32_t code)
{
    switch (dtype) {
    case PI_DTYPE_F8E4M3FN: return small_decode(&e4m3fn, code);
    case PI_DTYPE_F8E4M3FNUZ: return small_decode(&e4m3fnuz, code);
    case PI_DTYPE_F8E5M2: return small_decode(&e5m2, code);
    case PI_DTYPE_F8E5M2FNUZ: return small_decode(&e5m2fnuz, code);
    case PI_DTYPE_F4E2M1: return small_decode(&e2m1, code);
    case PI_DTYPE_F8E8M0: return e8m0_decode(code);
    default: return 0;
    }
}

static uint8_t small_write(pi_dtype dtype, double d, unsigned rounding)
{
    float x = (float)d;
    bool saturate = !(rounding & PI_ROUND_PLAIN);
    switch (dtype) {
    case PI_DTYPE_F8E4M3FN: return (uint8_t)small_encode(&e4m3fn, x, saturate);
    case PI_DTYPE_F8E4M3FNUZ: return (uint8_t)small_encode(&e4m3fnuz, x, saturate);
    case PI_DTYPE_F8E5M2: return (uint8_t)small_encode(&e5m2, x, saturate);
    case PI_DTYPE_F8E5M2FNUZ: return (uint8_t)small_encode(&e5m2fnuz, x, saturate);
    case PI_DTYPE_F4E2M1: return (uint8_t)small_encode(&e2m1, x, true);
    case PI_DTYPE_F8E8M0: return (uint8_t)e8m0_encode(x, rounding);
    default: return 0;
    }
}

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
        for (int64_t i = 0; i < n; i++) {                   \
            type v;                                         \
            memcpy(&v, s + i * stride, sizeof v);           \
            out[i] = (expression);                          \
        }                                                   \
        return;                                             \
    }
#define STORE(type, expression)                             \
    {                                                       \
        type *s = p;                                        \
        for (int64_t i = 0; i < n; i++) {                   \
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
    default: LOOP(uint8_t, (double)small_read(dtype, v))
    }
}

void pi_read_f32(pi_dtype dtype, const void *p, int64_t stride, int64_t n, float *out)
{
    switch (dtype) {
    case PI_DTYPE_F32: LOOP(float, v)
    case PI_DTYPE_F16: LOOP(uint16_t, pi_f16_to_float(v))
    case PI_DTYPE_BF16: LOOP(uint16_t, pi_bf16_to_float(v))
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
    case PI_DTYPE_F16: STORE(uint16_t, pi_float_to_f16((float)x[i]))
    case PI_DTYPE_BF16: STORE(uint16_t, pi_float_to_bf16((float)x[i]))
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
    default: STORE(uint8_t, small_write(dtype, x[i], rounding))
    }
}

void pi_write_f64(pi_dtype dtype, void *p, int64_t stride, int64_t n, const double *x)
{
    pi_write_f64_as(dtype, p, stride, n, x, PI_ROUND_SATURATE);
}

void pi_write_f32(pi_dtype dtype, void *p, int64_t stride, int64_t n, const float *x)
{
    switch (dtype) {
    case PI_DTYPE_F32: STORE(float, x[i])
    case PI_DTYPE_F16: STORE(uint16_t, pi_float_to_f16(x[i]))
    case PI_DTYPE_BF16: STORE(uint16_t, pi_float_to_bf16(x[i]))
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
