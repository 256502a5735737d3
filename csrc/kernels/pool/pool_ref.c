/* SPDX-License-Identifier: Apache-2.0 */
/* Portable pooling kernels. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_pool_ref
#include "kernels/pool/pool_body.inc"
