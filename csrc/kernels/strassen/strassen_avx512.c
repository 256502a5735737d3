/* SPDX-License-Identifier: Apache-2.0 */
/* Strassen's sums: bound by loads and stores. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_TABLE pi_strassen_avx512
#include "kernels/strassen/strassen_body.inc"
#endif
