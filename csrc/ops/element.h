/* SPDX-License-Identifier: Apache-2.0 */
/* One element of any numeric dtype as a double: for operators whose time goes elsewhere, and for references. */
#ifndef PI_OPS_ELEMENT_H
#define PI_OPS_ELEMENT_H
#include "base/dtype.h"
#include "base/half.h"

/* Element i of `data` as a double: exact but for 64-bit integers above 2^53. BOOL is 0 or 1, STRING 0. */
double pi_element_get(pi_dtype dtype, const void *data, int64_t i);
/* Stores v as element i: floats are rounded to nearest, integers truncated and saturated (NaN: 0), BOOL is v != 0. */
void pi_element_put(pi_dtype dtype, void *data, int64_t i, double v);
/* n elements as float, and back; the loops of F32, F16 and BF16 are fast enough for a kernel's edge. */
void pi_element_to_f32(pi_dtype dtype, const void *data, int64_t from, int64_t n, float *out);
void pi_element_from_f32(pi_dtype dtype, void *data, int64_t from, int64_t n, const float *in);
#endif
