/* SPDX-License-Identifier: Apache-2.0 */
/* A 64-bit sum of bytes, at the speed of memory: finds damage, not malice. Any change within one word is found. */
#ifndef PI_BASE_SUM_H
#define PI_BASE_SUM_H
#include <stddef.h>
#include <stdint.h>

uint64_t pi_sum64(const void *bytes, size_t n);
#endif
