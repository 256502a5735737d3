/* SPDX-License-Identifier: Apache-2.0 */
/* Broadcasts take the units that additions need: slower than a plain product, and not chosen. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#define PI_NV 2
#define PI_TABLE pi_fip_avx2
#include "kernels/fip/fip_body.inc"
#endif
