/* SPDX-License-Identifier: Apache-2.0 */
/* A small generator: PCG-XSL-RR 128/64 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
 * for Random Number Generation", 2014). The same seed gives the same numbers on every machine. */
#ifndef PI_OPS_RANDOM_H
#define PI_OPS_RANDOM_H
#include <stdint.h>

typedef struct {
    unsigned __int128 state;
} pi_random;

pi_random pi_random_start(uint64_t seed);
/* A seed that differs each time: from the clock and the thread. */
uint64_t pi_random_seed(void);
uint64_t pi_random_bits(pi_random *r);
/* In [0, 1), 53 bits. */
double pi_random_uniform(pi_random *r);
/* Mean 0, deviation 1. */
double pi_random_normal(pi_random *r);
#endif
