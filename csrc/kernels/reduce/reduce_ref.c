/* SPDX-License-Identifier: Apache-2.0 */
/* Portable reductions. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_reduce_ref
#include "kernels/reduce/reduce_body.inc"
