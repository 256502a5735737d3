/* SPDX-License-Identifier: Apache-2.0 */
/* An element of a STRING tensor is a `const pi_str *`: immutable bytes (UTF-8 by contract, not checked here) in a pool
 * that lives as long as the tensor. NULL stands for the empty string. Data movement copies pointers. */
#ifndef PI_BASE_STR_H
#define PI_BASE_STR_H
#include <stddef.h>
#include "base/alloc.h"

typedef struct {
    size_t n;
    char bytes[]; /* and a closing NUL */
} pi_str;

/* A new string in the arena; NULL on failure. */
const pi_str *pi_str_new(pi_arena *pool, const char *bytes, size_t n, pi_error *err) PI_MUST_USE;
#endif
