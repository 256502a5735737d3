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
/* Moves index[at] down to its place in the heap, whose top is the last in order. */
static inline void pi_order_sink(int64_t *index, int64_t at, int64_t n, pi_order_fn before, const void *arg)
{
    int64_t v = index[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(arg, index[child], index[child + 1])) child++;
        if (!before(arg, v, index[child])) break;
        index[at] = index[child];
    }
    index[at] = v;
}

/* The same order bit by bit: makes index[0 .. n) a heap whose top, index[0], is the last in order; then takes the top out, which
 * leaves n - 1 in front and a free place behind them. Here, so that `before` may become a part of them. */
static inline void pi_order_heap(int64_t *index, int64_t n, pi_order_fn before, const void *arg)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--) pi_order_sink(index, i, n, before, arg);
}

static inline int64_t pi_order_pop(int64_t *index, int64_t n, pi_order_fn before, const void *arg)
{
    int64_t top = index[0];
    index[0] = index[n - 1];
    if (n > 1) pi_order_sink(index, 0, n - 1, before, arg);
    return top;
}

typedef struct {
    uint64_t key;
    int64_t index;
} pi_order_item;
/* Sorts by rising key, equal ones stay in their order: radix sort by the bytes in which the keys differ. `spare` has room for
 * n as well. */
void pi_order_radix(pi_order_item *item, pi_order_item *spare, int64_t n);
#endif
