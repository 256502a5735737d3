/* SPDX-License-Identifier: Apache-2.0 */
/* Which panel product this CPU gets. */
#include "base/cpu.h"
#include "kernels/quant/quant_panel.h"

pi_quant_panel_fn pi_quant_panel_select(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return name;
#include "kernels/quant/kernels.inc"
#undef X
    return pi_quant_panel_ref;
}
