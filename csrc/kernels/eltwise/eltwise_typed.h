/* SPDX-License-Identifier: Apache-2.0 */
/* Binary functions of f64, i32, i64 and bool on rows, each in its own type: the usual ones. */
#ifndef PI_KERNELS_ELTWISE_TYPED_H
#define PI_KERNELS_ELTWISE_TYPED_H
#include <stdint.h>
#include "base/dtype.h"

/* c[i] = f(a[i * sa], b[i * sb]); sa and sb are 0 or 1; c may be a or b where its elements have their size. */
typedef void (*pi_typed_fn)(int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, void *c);

/* The function of the operator `name` (ONNX's) for operands of dtype; results are the same bits that the reference gives.
 * NULL: there is none. */
pi_typed_fn pi_typed_find(const char *name, pi_dtype dtype);

pi_typed_fn pi_typed_find_ref(const char *name, pi_dtype dtype);
pi_typed_fn pi_typed_find_avx2(const char *name, pi_dtype dtype);
#endif
