/* SPDX-License-Identifier: Apache-2.0 */
/* Portable normalisation kernels. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_norm_ref
#include "kernels/norm/norm_body.inc"
