/* SPDX-License-Identifier: Apache-2.0 */
/* 6 x 16: 12 sums of 16 registers. vpmaddwd multiplies and adds pairs, two a cycle on Zen 3 and Skylake, beside two vpaddd. */
#if defined(__x86_64__)
#pragma GCC target("avx2")
#include <immintrin.h>
#define VI __m256i
#define NV 2
#define PI_MR 6
#define ZERO() _mm256_setzero_si256()
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define ADD(a, b) _mm256_add_epi32(a, b)
#define SET1(x) _mm256_set1_epi32(x)
#define DOT(sum, b, x) _mm256_add_epi32(sum, _mm256_madd_epi16(b, x))
#define NAME pi_quant_panel_avx2
#include "kernels/quant/quant_panel_body.inc"
#else
typedef int quant_panel_avx2_empty;
#endif
