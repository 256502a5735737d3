/* SPDX-License-Identifier: Apache-2.0 */
/* The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), seeded and read as NumPy's legacy RandomState does it: what
 * the standard's own examples are made with. The same seed gives the same numbers on every machine. */
#ifndef PI_OPS_RANDOM_H
#define PI_OPS_RANDOM_H
#include <stdint.h>

typedef struct {
    uint32_t state[624];
    int at;
} pi_random;

void pi_random_start(pi_random *r, uint32_t seed);
/* A seed that differs each time: from the clock and the thread. */
uint32_t pi_random_seed(void);
uint32_t pi_random_bits(pi_random *r);
/* In [0, 1), 53 bits. */
double pi_random_uniform(pi_random *r);
/* Mean 0, deviation 1. */
double pi_random_normal(pi_random *r);
#endif
