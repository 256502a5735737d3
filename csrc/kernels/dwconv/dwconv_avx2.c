/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise rows in registers of 8 floats. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_dwconv_avx2
#include "kernels/dwconv/dwconv_body.inc"
#endif
