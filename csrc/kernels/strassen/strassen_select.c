/* SPDX-License-Identifier: Apache-2.0 */
/* Which of Strassen's sums this CPU gets. */
#include "kernels/strassen/strassen.h"

const pi_strassen_kernels *pi_strassen(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/strassen/kernels.inc"
#undef X
    return &pi_strassen_ref;
}
