/* SPDX-License-Identifier: Apache-2.0 */
/* 12 x 16: vpdpwssd multiplies pairs and adds them to the sum in one instruction, one or two a cycle, after five cycles. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#include <immintrin.h>
#define VI __m512i
#define NV 1
#define PI_MR 12
#define ZERO() _mm512_setzero_si512()
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define ADD(a, b) _mm512_add_epi32(a, b)
#define SET1(x) _mm512_set1_epi32(x)
#define DOT(sum, b, x) _mm512_dpwssd_epi32(sum, b, x)
#define NAME pi_quant_panel_vnni
#include "kernels/quant/quant_panel_body.inc"
#else
typedef int quant_panel_vnni_empty;
#endif
