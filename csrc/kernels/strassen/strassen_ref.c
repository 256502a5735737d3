/* SPDX-License-Identifier: Apache-2.0 */
/* Portable sums for Strassen's product. */
#include "kernels/simd/vec_ref.h"
#define PI_TABLE pi_strassen_ref
#include "kernels/strassen/strassen_body.inc"
