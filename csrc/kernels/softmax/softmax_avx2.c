/* SPDX-License-Identifier: Apache-2.0 */
/* The softmax kernels with 8 lanes. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_softmax_avx2
#include "kernels/softmax/softmax_body.inc"
#endif
