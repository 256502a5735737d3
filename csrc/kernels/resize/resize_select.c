/* SPDX-License-Identifier: Apache-2.0 */
/* Which resize loops this CPU gets. */
#include "kernels/resize/resize.h"

#include "base/cpu.h"

const pi_resize_kernel *pi_resize_select(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/resize/kernels.inc"
#undef X
    return &pi_resize_ref;
}
