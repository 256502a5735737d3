/* SPDX-License-Identifier: Apache-2.0 */
/* Which transpose this CPU gets. */
#include "kernels/layout/layout.h"

#include "base/cpu.h"
#include "base/size.h"

static const struct {
    pi_isa isa;
    size_t bytes;
    pi_transpose_fn fn;
} rows[] = {
#define X(isa, bytes, name) {PI_CPU_##isa, bytes, name},
#include "kernels/layout/kernels.inc"
#undef X
};

pi_transpose_fn pi_transpose_select(size_t bytes)
{
    for (size_t i = 0; i < PI_COUNT(rows); i++)
        if (rows[i].bytes == bytes && pi_cpu_has(rows[i].isa)) return rows[i].fn;
    return NULL;
}
