/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd transforms: bound by loads and stores. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_winograd_avx2
#include "kernels/winograd/winograd_body.inc"
#endif
