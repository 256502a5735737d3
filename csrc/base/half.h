/* SPDX-License-Identifier: Apache-2.0 */
/* Floats of 16 bits and less, one value at a time, in integer arithmetic: the same result whatever the CPU's rounding and
 * denormal modes are. f16 is IEEE 754's binary16, bf16 the upper half of a float, f8, f6 and f4 are as ONNX describes them
 * (OCP's FP8 and MX formats, and the "uz" kinds of Graphcore and AMD). Rounds to nearest, ties to even; NaN stays NaN. */
#ifndef PI_BASE_HALF_H
#define PI_BASE_HALF_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/dtype.h"

static inline uint32_t pi_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float pi_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float pi_f16_to_float(uint16_t bits);
uint16_t pi_float_to_f16(float x);
static inline float pi_bf16_to_float(uint16_t bits) { return pi_float_of_bits((uint32_t)bits << 16); }
static inline uint16_t pi_float_to_bf16(float x)
{
    uint32_t bits = pi_float_bits(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* A float that any conversion here rounds to what the double itself would be rounded to: converting by (float) first
 * would round twice. Not for further arithmetic. */
float pi_double_to_odd_float(double x);

/* How a value that has no place in the target is stored. */
typedef enum {
    PI_ROUND_SATURATE = 0, /* f8: beyond the range is the largest value; f8e8m0 rounds up */
    PI_ROUND_PLAIN = 1,    /* f8: beyond the range is infinity, or NaN where there is none */
    PI_ROUND_DOWN = 2,     /* f8e8m0 only, may be added: towards zero */
    PI_ROUND_NEAREST = 4,  /* f8e8m0 only, may be added: ties up */
} pi_rounding;

/* F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0, or F6E2M3, F6E3M2 and F4E2M1 (in the low bits); exact. Other dtypes: 0. */
float pi_small_to_float(pi_dtype dtype, uint8_t code);
/* f4e2m1 and the f6 types have neither infinity nor NaN: the largest value, and -0. f8e8m0 has no sign: 0 and below are the smallest value,
 * with PI_ROUND_PLAIN NaN. */
uint8_t pi_float_to_small(pi_dtype dtype, float x, unsigned rounding);

/* Element i of packed U4, I4, F4E2M1, F6E2M3, F6E3M2, U2 or I2, the lowest bits of a byte first, as one byte of memory holds it: signed
 * ones with their sign extended. */
static inline uint8_t pi_unpack_small(pi_dtype dtype, const uint8_t *packed, size_t i)
{
    if (dtype == PI_DTYPE_F6E2M3 || dtype == PI_DTYPE_F6E3M2) { /* four in three bytes */
        size_t at = i / 4 * 3 + i % 4 * 6 / 8;
        unsigned shift = (unsigned)(i % 4 * 6 % 8), v = packed[at];
        if (shift > 2) v |= (unsigned)packed[at + 1] << 8;
        return (uint8_t)(v >> shift & 63);
    }
    unsigned bits = dtype == PI_DTYPE_U2 || dtype == PI_DTYPE_I2 ? 2 : 4, per = 8 / bits;
    unsigned v = (unsigned)packed[i / per] >> (bits * (unsigned)(i % per)) & ((1u << bits) - 1);
    unsigned sign = dtype == PI_DTYPE_I4 ? 8 : dtype == PI_DTYPE_I2 ? 2 : 0;
    return (uint8_t)((v ^ sign) - sign);
}
#endif
