/* SPDX-License-Identifier: Apache-2.0 */
/* Which Winograd transforms this CPU gets. */
#include "kernels/winograd/winograd.h"

const pi_winograd_kernels *pi_winograd(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return name;
#include "kernels/winograd/kernels.inc"
#undef X
    return pi_winograd_ref;
}
