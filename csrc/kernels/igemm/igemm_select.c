/* SPDX-License-Identifier: Apache-2.0 */
/* Which matrix kernel this CPU gets. */
#include "kernels/igemm/igemm.h"

const pi_igemm_kernels *pi_igemm(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/igemm/kernels.inc"
#undef X
    return &pi_igemm_ref;
}
