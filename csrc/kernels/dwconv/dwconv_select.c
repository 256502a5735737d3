/* SPDX-License-Identifier: Apache-2.0 */
/* Which depthwise kernels this CPU gets. */
#include "kernels/dwconv/dwconv.h"

const pi_dwconv_kernels *pi_dwconv(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/dwconv/kernels.inc"
#undef X
    return &pi_dwconv_ref;
}
