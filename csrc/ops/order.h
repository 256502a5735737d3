/* SPDX-License-Identifier: Apache-2.0 */
/* Order among elements, for TopK and Unique: numbers map to unsigned keys, indices are sorted in place by heap sort (no memory, no
 * recursion, no bad case). */
#ifndef PI_OPS_ORDER_H
#define PI_OPS_ORDER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/dtype.h"

/* Element i as a key: a < b as numbers exactly if key(a) < key(b). 0 and -0 are equal; a NaN is above all, equal to its like. */
uint64_t pi_order_key(pi_dtype dtype, const void *data, int64_t i);

/* Sorts index[0 .. n) so that before(arg, index[i], index[i + 1]) holds; before must be a strict total order. */
typedef bool (*pi_order_fn)(const void *arg, int64_t a, int64_t b);
void pi_order_sort(int64_t *index, int64_t n, pi_order_fn before, const void *arg);
/* The same order bit by bit: makes index[0 .. n) a heap whose top, index[0], is the last in order; then takes the top out, which
 * leaves n - 1 in front and a free place behind them. */
void pi_order_heap(int64_t *index, int64_t n, pi_order_fn before, const void *arg);
int64_t pi_order_pop(int64_t *index, int64_t n, pi_order_fn before, const void *arg);

typedef struct {
    uint64_t key;
    int64_t index;
} pi_order_item;
/* Sorts by rising key, equal ones stay in their order: radix sort by the bytes in which the keys differ. `spare` has room for
 * n as well. */
void pi_order_radix(pi_order_item *item, pi_order_item *spare, int64_t n);
#endif
