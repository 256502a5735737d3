/* SPDX-License-Identifier: Apache-2.0 */
/* The reductions with 8 lanes. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_TABLE pi_reduce_avx2
#include "kernels/reduce/reduce_body.inc"
#endif
