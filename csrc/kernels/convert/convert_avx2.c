/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions: one instruction for a vector of f16 (F16C), bound by memory. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_convert_avx2
#include "kernels/convert/convert_body.inc"
#endif
