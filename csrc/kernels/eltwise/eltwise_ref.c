/* SPDX-License-Identifier: Apache-2.0 */
/* Portable element-wise kernels. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_eltwise_ref
#include "kernels/eltwise/eltwise_body.inc"
