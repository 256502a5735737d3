/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds of a clock that only goes forward; from when on it counts is not told. */
#ifndef PI_BASE_CLOCK_H
#define PI_BASE_CLOCK_H
#include <stdint.h>

uint64_t pi_now_ns(void);
#endif
