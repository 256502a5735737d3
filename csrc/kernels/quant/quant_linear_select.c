/* SPDX-License-Identifier: Apache-2.0 */
/* Which 8-bit conversions this CPU gets. */
#include "base/cpu.h"
#include "kernels/quant/quant_linear.h"

const pi_quant_linear *pi_quant_linear_select(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/quant/linear.inc"
#undef X
    return &pi_quant_linear_ref;
}
