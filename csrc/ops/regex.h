/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions in the syntax of RE2, matched against whole strings. The pattern becomes a program for Thompson's
 * machine (see R. Cox, "Regular Expression Matching: the Virtual Machine Approach", 2009): all alternatives advance
 * together, so a match takes time in proportion to text times program, for every pattern. Characters are code points;
 * bytes that are no UTF-8 match nothing. Not supported, with an error that says so: \p{..} and \X, \C, and what RE2
 * lacks too. */
#ifndef PI_OPS_REGEX_H
#define PI_OPS_REGEX_H
#include <stdbool.h>
#include "base/alloc.h"

typedef struct pi_regex pi_regex;

/* MODEL: the pattern is wrong or not supported, with the place. LIMIT: its program would be too large. */
pi_status pi_regex_new(pi_heap *heap, const char *pattern, size_t n, pi_regex **out, pi_error *err) PI_MUST_USE;
void pi_regex_free(pi_regex *re);
/* Bytes that a match needs, a multiple of 64. */
size_t pi_regex_scratch(const pi_regex *re);
/* The whole text matches. `cancel` (or NULL) becoming not 0 ends a long match: false. */
bool pi_regex_full_match(const pi_regex *re, const char *text, size_t n, void *scratch, const int *cancel);
#endif
