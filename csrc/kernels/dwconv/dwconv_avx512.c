/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise rows in registers of 16 floats. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_TABLE pi_dwconv_avx512
#include "kernels/dwconv/dwconv_body.inc"
#endif
