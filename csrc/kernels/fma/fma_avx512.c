/* SPDX-License-Identifier: Apache-2.0 */
/* Multiply-adds with 16 lanes. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_TABLE pi_fma_avx512
#include "kernels/fma/fma_body.inc"
#endif
