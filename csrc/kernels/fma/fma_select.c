/* SPDX-License-Identifier: Apache-2.0 */
/* Which multiply-adds this CPU gets. */
#include "kernels/fma/fma.h"

#include "base/cpu.h"

const pi_fma_kernel *pi_fma(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/fma/kernels.inc"
#undef X
    return &pi_fma_ref;
}
