/* SPDX-License-Identifier: Apache-2.0 */
/* Which typed matrix kernels this CPU gets. */
#include "kernels/igemm/typed.h"

const pi_typed_kernels *pi_typed(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/igemm/typed.inc"
#undef X
    return &pi_typed_ref;
}
