/* SPDX-License-Identifier: Apache-2.0 */
/* 12 x 32: 24 sums, 2 registers of b, broadcasts from memory; 24 FMA to 18 loads, so the FMA unit of Zen 4 is the limit. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_MR 12
#define PI_TABLE pi_igemm_avx512
#include "kernels/igemm/igemm_body.inc"
#endif
