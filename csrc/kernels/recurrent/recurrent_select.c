/* SPDX-License-Identifier: Apache-2.0 */
/* Which recurrent kernels this CPU gets. */
#include "kernels/recurrent/recurrent.h"

const pi_recurrent_kernels *pi_recurrent(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/recurrent/kernels.inc"
#undef X
    return &pi_recurrent_ref;
}
