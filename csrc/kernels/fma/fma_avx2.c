/* SPDX-License-Identifier: Apache-2.0 */
/* Multiply-adds with 8 lanes. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_fma_avx2
#include "kernels/fma/fma_body.inc"
#endif
