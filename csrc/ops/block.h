/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of any dtype as double or int64_t, a block at a time: what the reference implementations compute in. */
#ifndef PI_OPS_BLOCK_H
#define PI_OPS_BLOCK_H
#include <stdint.h>
#include "base/dtype.h"
#include "base/half.h"

enum { PI_BLOCK = 256 }; /* elements that fit comfortably on the stack as doubles */

/* n elements from p on, `stride` elements apart (0: the same one again). Any dtype but STRING; of complex ones the real part. */
void pi_read_f64(pi_dtype dtype, const void *p, int64_t stride, int64_t n, double *out);
/* The same as float, rounded once. */
void pi_read_f32(pi_dtype dtype, const void *p, int64_t stride, int64_t n, float *out);
/* Any integer dtype, 4-bit and 2-bit ones and BOOL; u64 as its bit pattern. */
void pi_read_i64(pi_dtype dtype, const void *p, int64_t stride, int64_t n, int64_t *out);

/* Rounds to nearest even for floats; integers get the value towards zero, saturated (4-bit and 2-bit ones:
 * its low bits, as ONNX's conformance suite has it), NaN is 0; BOOL is x != 0. */
void pi_write_f64(pi_dtype dtype, void *p, int64_t stride, int64_t n, const double *x);
void pi_write_f64_as(pi_dtype dtype, void *p, int64_t stride, int64_t n, const double *x, unsigned rounding);
void pi_write_f32(pi_dtype dtype, void *p, int64_t stride, int64_t n, const float *x);
/* Integers keep the low bits; BOOL is x != 0. Integer dtypes only. */
void pi_write_i64(pi_dtype dtype, void *p, int64_t stride, int64_t n, const int64_t *x);

static inline int pi_dtype_is_float(pi_dtype d)
{
    return d == PI_DTYPE_F32 || d == PI_DTYPE_F64 || d == PI_DTYPE_F16 || d == PI_DTYPE_BF16 ||
           (d >= PI_DTYPE_F8E4M3FN && d <= PI_DTYPE_F8E5M2FNUZ) || d == PI_DTYPE_F4E2M1 || d == PI_DTYPE_F8E8M0 ||
           d == PI_DTYPE_F6E2M3 || d == PI_DTYPE_F6E3M2;
}

/* A complex element is two of its parts; any other is one of itself. */
static inline int pi_dtype_parts(pi_dtype d) { return d == PI_DTYPE_C64 || d == PI_DTYPE_C128 ? 2 : 1; }
static inline pi_dtype pi_dtype_part(pi_dtype d)
{
    return d == PI_DTYPE_C64 ? PI_DTYPE_F32 : d == PI_DTYPE_C128 ? PI_DTYPE_F64 : d;
}

static inline const void *pi_at(const void *p, pi_dtype dtype, int64_t i)
{
    return (const char *)p + i * (int64_t)pi_dtype_size(dtype);
}
static inline void *pi_at_mut(void *p, pi_dtype dtype, int64_t i)
{
    return (char *)p + i * (int64_t)pi_dtype_size(dtype);
}
#endif
