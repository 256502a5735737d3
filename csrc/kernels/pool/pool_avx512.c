/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling kernels: bound by loads, 2 a cycle. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_TABLE pi_pool_avx512
#include "kernels/pool/pool_body.inc"
#endif
