/* SPDX-License-Identifier: Apache-2.0 */
/* The unit of multiply-adds and that of additions of Zen 4 work all the time: 1.5 times the rate of multiply-adds alone. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/simd/vec_avx512.h"
#define PI_NV 2
#define PI_TABLE pi_fip_avx512
#include "kernels/fip/fip_body.inc"
#endif
