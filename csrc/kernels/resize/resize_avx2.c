/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#pragma GCC target("avx2")
/* Resize loops for AVX2: two loads, a multiplication and an addition for eight floats; bound by the loads. */
#include "kernels/resize/resize.h"

#define LANES 8
#include "kernels/resize/resize_body.inc"

const pi_resize_kernel pi_resize_avx2 = {resize_mix, resize_line, resize_twice};
#else
typedef int resize_avx2_empty;
#endif
