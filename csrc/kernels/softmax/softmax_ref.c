/* SPDX-License-Identifier: Apache-2.0 */
/* Portable softmax kernels. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_softmax_ref
#include "kernels/softmax/softmax_body.inc"
