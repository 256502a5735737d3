/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of f64, integers and bool, 32 bytes at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define PI_FIND pi_typed_find_avx2
#include "kernels/eltwise/eltwise_typed_body.inc"
#endif
