/* SPDX-License-Identifier: Apache-2.0 */
/* Portable loops of f64, integers and bool; and which loops this CPU gets. */
#define PI_FIND pi_typed_find_ref
#include "kernels/eltwise/eltwise_typed_body.inc"

#include "base/cpu.h"

pi_typed_fn pi_typed_find(const char *name, pi_dtype dtype)
{
#if defined(__x86_64__)
    if (pi_cpu_has(PI_CPU_AVX2)) return pi_typed_find_avx2(name, dtype);
#endif
    return pi_typed_find_ref(name, dtype);
}
