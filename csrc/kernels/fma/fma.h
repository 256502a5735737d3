/* SPDX-License-Identifier: Apache-2.0 */
/* Multiply-adds on registers and nothing else: the rate of this loop is what no other kernel here can exceed. */
#ifndef PI_KERNELS_FMA_H
#define PI_KERNELS_FMA_H
#include <stdint.h>

/* So many results depend on nothing of each other: more than latency times multiply-adds a cycle of any CPU (at most 5 * 2),
 * and few enough for 16 registers. */
enum { PI_FMA_CHAINS = 12 };

typedef struct {
    /* v[c] = start + c in all lanes, then `rounds` times v[c] = v[c] / 2 + start; the sum of all. */
    float (*run)(int64_t rounds, float start);
    int64_t flops; /* of one round, a multiply-add is 2 */
} pi_fma_kernel;

#define X(isa, name) extern const pi_fma_kernel name;
#include "kernels/fma/kernels.inc"
#undef X

/* That of the widest instructions of this CPU. */
const pi_fma_kernel *pi_fma(void);
#endif
