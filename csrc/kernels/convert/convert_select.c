/* SPDX-License-Identifier: Apache-2.0 */
/* Which conversions this CPU gets. */
#include "kernels/convert/convert.h"

const pi_convert_kernels *pi_convert(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/convert/kernels.inc"
#undef X
    return &pi_convert_ref;
}
