/* SPDX-License-Identifier: Apache-2.0 */
/* Portable fast inner product. */
#include "kernels/simd/vec_ref.h"
#define PI_NV 4
#define PI_TABLE pi_fip_ref
#include "kernels/fip/fip_body.inc"
