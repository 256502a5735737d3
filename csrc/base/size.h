/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and dimensions are multiplied and added here and nowhere else: true if the result is right. */
#ifndef PI_BASE_SIZE_H
#define PI_BASE_SIZE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool pi_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool pi_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool pi_mul_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool pi_add_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }

/* n / by, rounded up; n >= 0, by > 0, and their sum fits. */
static inline int64_t pi_divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
static inline int64_t pi_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t pi_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

#define PI_COUNT(array) (sizeof(array) / sizeof *(array))
#endif
