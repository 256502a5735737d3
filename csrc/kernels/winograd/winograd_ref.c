/* SPDX-License-Identifier: Apache-2.0 */
/* Portable Winograd transforms. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_winograd_ref
#include "kernels/winograd/winograd_body.inc"
