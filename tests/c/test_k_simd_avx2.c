/* SPDX-License-Identifier: Apache-2.0 */
/* The v_* names with AVX2; nothing to check where the CPU has not got it. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include "kernels/simd/vec_avx2.h"
#include "simd_checks.inc"

int main(void)
{
    if (pi_cpu_has(PI_CPU_AVX2)) all_checks();
    return CHECK_DONE();
}
#else
int main(void) { return 0; }
#endif
