/* SPDX-License-Identifier: Apache-2.0 */
/* Portable conversions. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_convert_ref
#include "kernels/convert/convert_body.inc"
