/* SPDX-License-Identifier: Apache-2.0 */
/* See half.h. Nothing here computes with denormal floats: a run flushes them. */
#include "base/half.h"

#include <stdbool.h>

enum { SIGN = 1u << 31, INFINITE = 0x7f800000, QUIET = 0x7fc00000, FRACTION = 0x7fffff, HIDDEN = 0x800000 };

/* A float of few bits: sign, exponent, fraction. `largest`: the code of the largest finite value. */
typedef struct {
    int exponent, fraction, bias;
    uint32_t largest;
    enum { IEEE, ONLY_NAN, FNUZ, FINITE } specials; /* which codes are infinite or NaN: as in IEEE 754; the one with all
                                                     * bits set; negative zero; none */
} format;

static const format f16 = {5, 10, 15, 0x7bff, IEEE};

static const format *small(pi_dtype dtype)
{
    static const format e4m3fn = {4, 3, 7, 0x7e, ONLY_NAN}, e4m3fnuz = {4, 3, 8, 0x7f, FNUZ}, e5m2 = {5, 2, 15, 0x7b, IEEE},
                        e5m2fnuz = {5, 2, 16, 0x7f, FNUZ}, e2m1 = {2, 1, 1, 7, FINITE}, e2m3 = {2, 3, 1, 31, FINITE},
                        e3m2 = {3, 2, 3, 31, FINITE};
    switch (dtype) {
    case PI_DTYPE_F8E4M3FN: return &e4m3fn;
    case PI_DTYPE_F8E4M3FNUZ: return &e4m3fnuz;
    case PI_DTYPE_F8E5M2: return &e5m2;
    case PI_DTYPE_F8E5M2FNUZ: return &e5m2fnuz;
    case PI_DTYPE_F4E2M1: return &e2m1;
    case PI_DTYPE_F6E2M3: return &e2m3;
    case PI_DTYPE_F6E3M2: return &e3m2;
    default: return NULL;
    }
}

/* ---- from codes; only for formats whose smallest value is a normal float ---- */

static inline float decode(const format *f, uint32_t code)
{
    uint32_t negative = code >> (f->exponent + f->fraction) & 1, sign = negative << 31;
    uint32_t rest = code & ((1u << (f->exponent + f->fraction)) - 1), e = rest >> f->fraction;
    uint32_t m = rest & ((1u << f->fraction) - 1);
    if (f->specials == FNUZ && negative && rest == 0) return pi_float_of_bits(QUIET);
    if (rest > f->largest)
        return pi_float_of_bits(f->specials == IEEE ? sign | INFINITE | m << (23 - f->fraction) : sign | QUIET);
    if (e > 0) return pi_float_of_bits(sign | ((rest << (23 - f->fraction)) + ((uint32_t)(127 - f->bias) << 23)));
    float step = pi_float_of_bits((uint32_t)(128 - f->bias - f->fraction) << 23);
    return pi_float_of_bits(sign | pi_float_bits((float)m * step));
}

static float e8m0_decode(uint32_t code)
{
    if (code == 255) return pi_float_of_bits(QUIET);
    return pi_float_of_bits(code ? code << 23 : HIDDEN / 2); /* 2^-127 is a denormal float */
}

/* ---- to codes ---- */

static uint32_t nan_code(const format *f, uint32_t top)
{
    switch (f->specials) {
    case IEEE: return top | (f->largest + 1) | 1u << (f->fraction - 1); /* quiet */
    case ONLY_NAN: return top | (f->largest + 1);
    default: return 1u << (f->exponent + f->fraction);
    }
}

static uint32_t overflow_code(const format *f, uint32_t top, bool saturate)
{
    if (saturate || f->specials == FINITE) return top | f->largest;
    return f->specials == FNUZ ? nan_code(f, top) : top | (f->largest + 1); /* infinity, or the NaN */
}

static inline uint32_t encode(const format *f, float x, bool saturate)
{
    uint32_t bits = pi_float_bits(x), a = bits & ~(uint32_t)SIGN, top = bits >> 31 << (f->exponent + f->fraction);
    if (a > INFINITE) return nan_code(f, top);
    if (a == INFINITE) return overflow_code(f, top, saturate);
    int e = (int)(a >> 23) - 127, smallest = 1 - f->bias, shift = 23 - f->fraction;
    uint32_t m = a & FRACTION;
    if (a >> 23)
        m |= HIDDEN;
    else
        e = -126;
    if (e < smallest) { /* the steps of a denormal are those of the smallest normal */
        shift += smallest - e;
        e = smallest;
    }
    if (shift > 31) shift = 31; /* less than half a step */
    uint32_t steps = m >> shift, rest = m & ((1u << shift) - 1), half = 1u << shift >> 1;
    steps += rest > half || (rest == half && (steps & 1));
    uint32_t code = ((uint32_t)(e - smallest) << f->fraction) + steps;
    if (code > f->largest) return overflow_code(f, top, saturate);
    return f->specials == FNUZ && code == 0 ? 0 : top | code;
}

/* Powers of two, 2^-127 to 2^127. */
static uint32_t e8m0_encode(float x, unsigned rounding)
{
    uint32_t bits = pi_float_bits(x), a = bits & ~(uint32_t)SIGN, m = a & FRACTION;
    uint32_t none = rounding & PI_ROUND_PLAIN ? 255 : 0, most = rounding & PI_ROUND_PLAIN ? 255 : 254;
    if (a > INFINITE) return 255;
    if (bits & SIGN || a == 0) return none;
    if (a == INFINITE) return most;
    int e = (int)(a >> 23);
    if (e == 0) { /* a denormal float: bring its first bit to the front */
        int up = __builtin_clz(m) - 8;
        m = m << up & FRACTION;
        e = 1 - up;
    }
    e += rounding & PI_ROUND_DOWN ? 0 : rounding & PI_ROUND_NEAREST ? m >= HIDDEN / 2 : m > 0;
    return e < 0 ? none : e > 254 ? most : (uint32_t)e;
}

/* ---- by type ---- */

float pi_f16_to_float(uint16_t bits) { return decode(&f16, bits); }
uint16_t pi_float_to_f16(float x) { return (uint16_t)encode(&f16, x, false); }

float pi_small_to_float(pi_dtype dtype, uint8_t code)
{
    const format *f = small(dtype);
    return f ? decode(f, code) : dtype == PI_DTYPE_F8E8M0 ? e8m0_decode(code) : 0;
}

uint8_t pi_float_to_small(pi_dtype dtype, float x, unsigned rounding)
{
    const format *f = small(dtype);
    if (f) return (uint8_t)encode(f, x, !(rounding & PI_ROUND_PLAIN));
    return dtype == PI_DTYPE_F8E8M0 ? (uint8_t)e8m0_encode(x, rounding) : 0;
}

float pi_double_to_odd_float(double x)
{
    uint64_t d;
    memcpy(&d, &x, sizeof d);
    uint32_t sign = (uint32_t)(d >> 63) << 31;
    int top = (int)(d >> 52 & 0x7ff), e = top - 1023 + 127;
    uint64_t m = d & 0xfffffffffffffu;
    if (top == 0x7ff) return pi_float_of_bits(sign | (m ? QUIET : INFINITE));
    if (e >= 255) return pi_float_of_bits(sign | (INFINITE - 1)); /* beyond every float, but not infinite */
    int shift = 29;
    if (e <= 0) { /* denormal */
        m |= 1ull << 52;
        shift += 1 - e;
        e = 0;
    }
    uint32_t lost = shift > 53 ? d << 1 != 0 : (m & ((1ull << shift) - 1)) != 0;
    return pi_float_of_bits(sign | ((uint32_t)e << 23) | (shift > 53 ? 0 : (uint32_t)(m >> shift)) | lost);
}
