/* SPDX-License-Identifier: Apache-2.0 */
/* Portable recurrent kernels. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_recurrent_ref
#include "kernels/recurrent/recurrent_body.inc"
