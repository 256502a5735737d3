/* SPDX-License-Identifier: Apache-2.0 */
/* Which normalisation kernels this CPU gets. */
#include "kernels/norm/norm.h"

#include "base/cpu.h"

const pi_norm_kernels *pi_norm(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return &name;
#include "kernels/norm/kernels.inc"
#undef X
    return &pi_norm_ref;
}

pi_moments pi_moments_add(pi_moments a, pi_moments b)
{
    double n = a.n + b.n, d = b.mean - a.mean;
    if (n == 0) return a;
    return (pi_moments){n, a.mean + d * (b.n / n), a.m2 + b.m2 + d * d * (a.n * b.n / n)};
}
