/* SPDX-License-Identifier: Apache-2.0 */
/* Resize loops for any CPU. */
#include "kernels/resize/resize.h"

#define LANES 4
#include "kernels/resize/resize_body.inc"

const pi_resize_kernel pi_resize_ref = {resize_mix, resize_line, resize_twice};
