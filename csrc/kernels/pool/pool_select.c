/* SPDX-License-Identifier: Apache-2.0 */
/* Which pooling kernels this CPU gets. */
#include "kernels/pool/pool.h"

const pi_pool_kernels *pi_pool(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/pool/kernels.inc"
#undef X
    return &pi_pool_ref;
}
