/* SPDX-License-Identifier: Apache-2.0 */
/* 6 x 16: 12 sums of 16 registers; 12 FMA to 8 loads. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_MR 6
#define PI_TABLE pi_igemm_avx2
#include "kernels/igemm/igemm_body.inc"
#endif
