/* SPDX-License-Identifier: Apache-2.0 */
/* Code points in bytes, case and blanks. Case is Unicode's simple mapping (one code point to one) for all scripts of
 * Unicode 14, whatever the locale; what needs several code points, like the capital of U+00DF, stays as it is. */
#ifndef PI_OPS_UTF8_H
#define PI_OPS_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at `at`, of which `left` (> 0) bytes may be read; *n gets its bytes. Where the bytes are not UTF-8
 * (cut, overlong, a surrogate, above U+10FFFF): -1 and *n = 1. */
int32_t pi_utf8_next(const char *at, size_t left, int *n);
/* Writes c, at most 4 bytes; returns how many. */
int pi_utf8_put(int32_t c, char *out);

int32_t pi_char_upper(int32_t c);
int32_t pi_char_lower(int32_t c);
/* The same for all characters that differ in case only. */
static inline int32_t pi_char_fold(int32_t c) { return pi_char_lower(pi_char_upper(c)); }
bool pi_char_is_space(int32_t c);

/* Below, at or above zero as a stands before, with or behind b: by bytes, or by folded code points. */
int pi_text_compare(const char *a, size_t na, const char *b, size_t nb, bool fold);

/* The table behind the mappings: first, first + step .. last become themselves + delta. */
typedef struct {
    int32_t first, last, delta, step;
} pi_case_row;
const pi_case_row *pi_case_rows(bool upper, size_t *n);
#endif
