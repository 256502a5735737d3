/* SPDX-License-Identifier: Apache-2.0 */
/* Which softmax kernels this CPU gets. */
#include "kernels/softmax/softmax.h"

#include "base/cpu.h"

const pi_softmax_kernels *pi_softmax(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/softmax/kernels.inc"
#undef X
    return &pi_softmax_ref;
}
