/* SPDX-License-Identifier: Apache-2.0 */
/* Which Fourier pass this CPU gets. */
#include "kernels/fft/fft.h"

pi_fft_fn pi_fft(void)
{
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) return name;
#include "kernels/fft/kernels.inc"
#undef X
    return pi_fft_ref;
}
