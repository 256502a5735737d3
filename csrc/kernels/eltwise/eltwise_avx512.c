/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise kernels, 16 lanes: FMA 1 a cycle on Zen 4, 2 on Zen 5 and servers of Intel. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_TABLE pi_eltwise_avx512
#include "kernels/eltwise/eltwise_body.inc"
#endif
