/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions: one instruction for a vector of f16 (F16C), bound by memory. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_TABLE pi_convert_avx512
#include "kernels/convert/convert_body.inc"
#endif
