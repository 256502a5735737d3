/* SPDX-License-Identifier: Apache-2.0 */
/* Which fast inner product this CPU gets, and whether it is fast there. */
#include "kernels/fip/fip.h"

const pi_fip_kernels *pi_fip(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/fip/kernels.inc"
#undef X
    return &pi_fip_ref;
}

bool pi_fip_pays(void) { return pi_cpu_has(PI_CPU_AVX512) && pi_cpu_adds_apart(); }
