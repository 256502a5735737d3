/* SPDX-License-Identifier: Apache-2.0 */
/* Which element-wise kernels this CPU gets. */
#include "kernels/eltwise/eltwise.h"

const pi_eltwise_kernels *pi_eltwise(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/eltwise/kernels.inc"
#undef X
    return &pi_eltwise_ref;
}
