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
    enum { BYTES = 192 << 10 }; /* of 512 kB and more, which also hold rows of a and c, and may be shared by two threads */
    size_t panel = (rows ? rows : 1) * kernels->nr * sizeof(float);
    return panel < BYTES ? (int64_t)(BYTES / panel) : 1;
}

pi_igemm_ahead pi_igemm_share(const float *next, size_t size, size_t k, size_t tile, size_t tiles)
{
    enum { LINE = 64 / sizeof(float) };
    size_t line = size / LINE, steps = k / PI_IGEMM_STEP; /* a step of a tile, `lines` lines */
    if (!next || steps == 0) return (pi_igemm_ahead){0};
    size_t lines = (line + steps * tiles - 1) / (steps * tiles), from = tile * steps * lines;
    return from < line ? (pi_igemm_ahead){next + from * LINE, lines} : (pi_igemm_ahead){0};
}
