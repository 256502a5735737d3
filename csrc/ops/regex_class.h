/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of characters while a pattern is read. */
#ifndef PI_OPS_REGEX_CLASS_H
#define PI_OPS_REGEX_CLASS_H
#include "ops/regex_program.h"

/* A growing list of ranges; those from `start` on are the set at hand. */
typedef struct {
    pi_heap *heap;
    re_range *range;
    int32_t n, room, start;
} re_set;

enum { RE_LAST_CHAR = 0x10FFFF };

pi_status pi_re_set_add(re_set *s, int32_t first, int32_t last, pi_error *err) PI_MUST_USE;
/* \d \D \s \S \w \W (kind is the letter). */
pi_status pi_re_set_perl(re_set *s, char kind, pi_error *err) PI_MUST_USE;
/* [:alpha:] and its like; *known is false where there is no such name. */
pi_status pi_re_set_posix(re_set *s, const char *name, size_t n, bool negate, bool *known, pi_error *err) PI_MUST_USE;
/* Adds what differs from its characters only in case. */
pi_status pi_re_set_fold(re_set *s, pi_error *err) PI_MUST_USE;
/* Sorts and joins the ranges from `from` on, or turns them into all others. */
pi_status pi_re_set_finish(re_set *s, int32_t from, bool negate, pi_error *err) PI_MUST_USE;
#endif
