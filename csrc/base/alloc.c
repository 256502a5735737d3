/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator. In front of each block stand its heap and its size, in 64 bytes, so that blocks stay aligned. */
#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/size.h"

struct pi_heap {
    size_t limit, used, peak;
    long refs;
};
typedef struct {
    pi_heap *heap;
    size_t bytes;
} head;
enum { HEAD = 64 };
static long fail_at, alive; /* atomic */

pi_heap *pi_heap_new(size_t limit)
{
    pi_heap *h = calloc(1, sizeof *h);
    if (h) {
        h->limit = limit;
        h->refs = 1;
    }
    return h;
}
pi_heap *pi_heap_ref(pi_heap *h)
{
    if (h) __atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
    return h;
}
void pi_heap_unref(pi_heap *h)
{
    if (h && __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) == 0) free(h);
}
size_t pi_heap_used(const pi_heap *h) { return __atomic_load_n(&h->used, __ATOMIC_RELAXED); }
size_t pi_heap_peak(const pi_heap *h) { return __atomic_load_n(&h->peak, __ATOMIC_RELAXED); }

/* Books the bytes; refuses what is over the limit. */
static bool account(pi_heap *heap, size_t bytes, pi_error *err)
{
    size_t before = __atomic_fetch_add(&heap->used, bytes, __ATOMIC_RELAXED), used;
    if (!pi_add(before, bytes, &used) || (heap->limit && used > heap->limit)) {
        __atomic_sub_fetch(&heap->used, bytes, __ATOMIC_RELAXED);
        (void)pi_fail(err, PI_E_LIMIT, "%zu bytes more than the %zu in use would exceed the memory limit of %zu bytes",
                      bytes, before, heap->limit);
        return false;
    }
    size_t peak = __atomic_load_n(&heap->peak, __ATOMIC_RELAXED);
    while (used > peak &&
           !__atomic_compare_exchange_n(&heap->peak, &peak, used, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return true;
}

static bool told_to_fail(void)
{
    if (__atomic_load_n(&fail_at, __ATOMIC_RELAXED) == 0) return false;
    long left = __atomic_sub_fetch(&fail_at, 1, __ATOMIC_RELAXED);
    if (left > 0) return false;
    __atomic_store_n(&fail_at, 1, __ATOMIC_RELAXED); /* and each later one */
    return true;
}

void *pi_alloc(pi_heap *heap, size_t bytes, pi_error *err)
{
    size_t total;
    if (!pi_add(bytes, HEAD + 63, &total)) {
        (void)pi_fail(err, PI_E_LIMIT, "%zu bytes are more than can be addressed", bytes);
        return NULL;
    }
    total &= ~(size_t)63;
    if (heap && !account(heap, bytes, err)) return NULL;
    char *p = told_to_fail() ? NULL : aligned_alloc(64, total);
    if (!p) {
        if (heap) __atomic_sub_fetch(&heap->used, bytes, __ATOMIC_RELAXED);
        (void)pi_fail(err, PI_E_NOMEM, "the system has no memory for %zu bytes", bytes);
        return NULL;
    }
    head h = {pi_heap_ref(heap), bytes};
    memcpy(p, &h, sizeof h);
    __atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
    return p + HEAD;
}
void *pi_calloc(pi_heap *heap, size_t count, size_t size, pi_error *err)
{
    size_t bytes;
    if (!pi_mul(count, size, &bytes)) {
        (void)pi_fail(err, PI_E_LIMIT, "too many bytes");
        return NULL;
    }
    void *p = pi_alloc(heap, bytes, err);
    if (p) memset(p, 0, bytes);
    return p;
}
void *pi_realloc(pi_heap *heap, void *block, size_t bytes, pi_error *err)
{
    void *p = pi_alloc(heap, bytes, err);
    if (p && block) {
        size_t old = ((head *)(void *)((char *)block - HEAD))->bytes;
        memcpy(p, block, old < bytes ? old : bytes);
        pi_free(block);
    }
    return p;
}
void pi_free(void *block)
{
    if (!block) return;
    head *h = (head *)(void *)((char *)block - HEAD);
    pi_heap *heap = h->heap;
    if (heap) __atomic_sub_fetch(&heap->used, h->bytes, __ATOMIC_RELAXED);
    free(h);
    __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
    pi_heap_unref(heap);
}
pi_status pi_alloc_status(const pi_error *err) { return err && err->code != PI_E_OK ? err->code : PI_E_NOMEM; }
void pi_alloc_fail_at(long nth) { __atomic_store_n(&fail_at, nth, __ATOMIC_RELAXED); }
long pi_alloc_alive(void) { return __atomic_load_n(&alive, __ATOMIC_RELAXED); }
