/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of keys that are searched: categories, labels, stop words, n-grams' tokens. Sorted places and binary search: no
 * list, however chosen, is slow. */
#ifndef PI_OPS_LOOKUP_H
#define PI_OPS_LOOKUP_H
#include "ops/ops.h"

typedef struct {
    int64_t n;
    const pi_text *texts; /* one of these is set */
    const int64_t *ints;
    const double *floats;
    bool fold;      /* texts: without regard to case */
    int64_t *place; /* sorted, `count` of them: of equal keys the last one */
    int64_t count;
} pi_lookup;

/* Sorts; the keys (set by the caller, with n and fold) must outlive the plan's memory, where `place` is put. */
pi_status pi_lookup_sort(pi_lookup *l, pi_prep *prep, pi_error *err) PI_MUST_USE;
/* The key's index in the list, -1: it is not there. NaN finds NaN, and -0 finds 0. */
int64_t pi_lookup_text(const pi_lookup *l, const char *bytes, size_t n);
int64_t pi_lookup_int(const pi_lookup *l, int64_t key);
int64_t pi_lookup_float(const pi_lookup *l, double key);
#endif
