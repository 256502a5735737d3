/* SPDX-License-Identifier: Apache-2.0 */
/* Which reductions this CPU gets. */
#include "kernels/reduce/reduce.h"

#include <math.h>

#include "base/cpu.h"

const pi_reduce_kernels *pi_reduce(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/reduce/kernels.inc"
#undef X
    return &pi_reduce_ref;
}

pi_reduce_kind pi_reduce_part(pi_reduce_kind kind)
{
    static const pi_reduce_kind part[] = {
#define X(name, empty, part, join) PI_REDUCE_##part,
#include "kernels/reduce/reduce.inc"
#undef X
    };
    return part[kind];
}

pi_reduce_kind pi_reduce_join(pi_reduce_kind kind)
{
    static const pi_reduce_kind join[] = {
#define X(name, empty, part, join) PI_REDUCE_##join,
#include "kernels/reduce/reduce.inc"
#undef X
    };
    return join[kind];
}

float pi_reduce_finish(pi_reduce_kind kind, float joined, size_t n)
{
    switch (kind) {
    case PI_REDUCE_MEAN: return joined / (float)n;
    case PI_REDUCE_L2: return sqrtf(joined);
    case PI_REDUCE_LOGSUM: return logf(joined);
    default: return joined;
    }
}
