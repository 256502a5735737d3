/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent kernels: one row is bound by what L2 gives, 32 bytes a cycle on Zen 4. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_TABLE pi_recurrent_avx512
#include "kernels/recurrent/recurrent_body.inc"
#endif
