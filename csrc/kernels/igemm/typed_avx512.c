/* SPDX-License-Identifier: Apache-2.0 */
/* 12 x 2 registers as the f32 kernel: vfmadd231pd, vpmulld and vpmullq with the broadcast from memory. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")
#include <immintrin.h>

#include "kernels/igemm/typed.h"

#define BYTES 64
#define TYPE double
#define NAME f64
#define MR 12
#define MADD(x, b, c) _mm512_fmadd_pd(_mm512_set1_pd(x), b, c)
#include "kernels/igemm/typed_body.inc"
#define TYPE uint32_t
#define NAME i32
#define MR 12
#define MADD(x, b, c) ((x) * (b) + (c))
#include "kernels/igemm/typed_body.inc"
#define TYPE uint64_t
#define NAME i64
#define MR 12
#define MADD(x, b, c) ((x) * (b) + (c))
#include "kernels/igemm/typed_body.inc"

const pi_typed_kernels pi_typed_avx512 = {{12, 16, tile_f64}, {12, 32, tile_i32}, {12, 16, tile_i64}};
#else
typedef int typed_avx512_empty;
#endif
