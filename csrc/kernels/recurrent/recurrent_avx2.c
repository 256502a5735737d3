/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent kernels: one row is bound by what L2 gives. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_recurrent_avx2
#include "kernels/recurrent/recurrent_body.inc"
#endif
