/* SPDX-License-Identifier: Apache-2.0 */
/* One element of any numeric dtype as a double: for operators whose time goes elsewhere, and for references. */
#ifndef PI_OPS_ELEMENT_H
#define PI_OPS_ELEMENT_H
#include <string.h>
#include "base/dtype.h"

static inline float pi_element_half(uint16_t bits)
{
    _Float16 h;
    memcpy(&h, &bits, sizeof h);
    return (float)h;
}

static inline uint16_t pi_element_to_half(double v)
{
    _Float16 h = (_Float16)v;
    uint16_t bits;
    memcpy(&bits, &h, sizeof bits);
    return bits;
}

static inline float pi_element_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &wide, sizeof f);
    return f;
}

/* Round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t pi_element_to_bf16(float f)
{
    uint32_t wide;
    memcpy(&wide, &f, sizeof wide);
    if (f != f) return (uint16_t)((wide >> 16) | 0x40);
    return (uint16_t)((wide + 0x7fff + ((wide >> 16) & 1)) >> 16);
}

/* Element i of `data` as a double: exact but for 64-bit integers above 2^53. BOOL is 0 or 1, STRING 0. */
double pi_element_get(pi_dtype dtype, const void *data, int64_t i);
/* Stores v as element i: floats are rounded to nearest, integers truncated and saturated (NaN: 0), BOOL is v != 0. */
void pi_element_put(pi_dtype dtype, void *data, int64_t i, double v);
/* n elements as float, and back; the loops of F32, F16 and BF16 are fast enough for a kernel's edge. */
void pi_element_to_f32(pi_dtype dtype, const void *data, int64_t from, int64_t n, float *out);
void pi_element_from_f32(pi_dtype dtype, void *data, int64_t from, int64_t n, const float *in);
#endif
