/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise kernels, 8 lanes: FMA 2 a cycle; division is the narrowest (8 lanes in 5 cycles). */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_eltwise_avx2
#include "kernels/eltwise/eltwise_body.inc"
#endif
