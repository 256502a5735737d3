/* SPDX-License-Identifier: Apache-2.0 */
/* 6 x 2 registers as the f32 kernel; i64 has no product of its own (three of 32 bits, shifts), so fewer rows. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#include <immintrin.h>

#include "kernels/igemm/typed.h"

#define BYTES 32
#define TYPE double
#define NAME f64
#define MR 6
#define MADD(x, b, c) _mm256_fmadd_pd(_mm256_set1_pd(x), b, c)
#include "kernels/igemm/typed_body.inc"
#define TYPE uint32_t
#define NAME i32
#define MR 5
#define MADD(x, b, c) ((x) * (b) + (c))
#include "kernels/igemm/typed_body.inc"
#define TYPE uint64_t
#define NAME i64
#define MR 2
#define MADD(x, b, c) ((x) * (b) + (c))
#include "kernels/igemm/typed_body.inc"

const pi_typed_kernels pi_typed_avx2 = {{6, 8, tile_f64}, {5, 16, tile_i32}, {2, 8, tile_i64}};
#else
typedef int typed_avx2_empty;
#endif
