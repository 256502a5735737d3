/* SPDX-License-Identifier: Apache-2.0 */
/* Portable multiply-adds. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_fma_ref
#include "kernels/fma/fma_body.inc"
