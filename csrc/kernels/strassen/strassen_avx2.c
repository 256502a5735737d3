/* SPDX-License-Identifier: Apache-2.0 */
/* Strassen's sums: bound by loads and stores. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_strassen_avx2
#include "kernels/strassen/strassen_body.inc"
#endif
