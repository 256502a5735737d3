/* SPDX-License-Identifier: Apache-2.0 */
/* Which matrix kernel this CPU gets. */
#include "kernels/igemm/igemm.h"

const pi_igemm_kernels *pi_igemm(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/igemm/kernels.inc"
#undef X
    return &pi_igemm_ref;
}

int64_t pi_igemm_group(const pi_igemm_kernels *kernels, size_t rows)
{
    enum { BYTES = 96 << 10 }; /* of 512 kB and more, which also hold rows of a and c, and may be shared by two threads */
    size_t panel = (rows ? rows : 1) * kernels->nr * sizeof(float);
    return panel < BYTES ? (int64_t)(BYTES / panel) : 1;
}
