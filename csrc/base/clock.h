/* SPDX-License-Identifier: Apache-2.0 */
/* Time that only goes forward, for measuring. */
#ifndef PI_BASE_CLOCK_H
#define PI_BASE_CLOCK_H
#include <stdint.h>
#include <time.h>

/* Nanoseconds since some moment. */
static inline uint64_t pi_clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
#endif
