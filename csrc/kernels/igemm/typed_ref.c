/* SPDX-License-Identifier: Apache-2.0 */
/* Portable: 16-byte vectors, which every compiler target can do or imitate. */
#include "kernels/igemm/typed.h"

#define BYTES 16
#define TYPE double
#define NAME f64
#define MR 4
#define MADD(x, b, c) ((x) * (b) + (c))
#include "kernels/igemm/typed_body.inc"
#define TYPE uint32_t
#define NAME i32
#define MR 4
#define MADD(x, b, c) ((x) * (b) + (c))
#include "kernels/igemm/typed_body.inc"
#define TYPE uint64_t
#define NAME i64
#define MR 2
#define MADD(x, b, c) ((x) * (b) + (c))
#include "kernels/igemm/typed_body.inc"

const pi_typed_kernels pi_typed_ref = {{4, 4, tile_f64}, {4, 8, tile_i32}, {2, 4, tile_i64}};
