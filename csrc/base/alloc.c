/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator. In front of each block stand its heap and its size, in 64 bytes, so that blocks stay aligned; a heap is
 * charged for those as well. */
#define _GNU_SOURCE
#include "base/alloc.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/size.h"

struct pi_heap {
    size_t limit, used, peak; /* used, peak: atomic */
    long refs;                /* atomic: owners and blocks */
};

typedef struct {
    pi_heap *heap;
    size_t bytes;  /* that the caller asked for */
    size_t total;  /* that the heap was charged for */
    void *start;   /* what the C library gave */
    uint64_t mark; /* in front of the block's first byte: a double free and an underrun change it */
} head;

enum { ALIGN = 64, HEAD = 64, PAGE = 4096, HUGE_PAGE = 2 << 20, HUGE_FROM = 2 * HUGE_PAGE };
_Static_assert(sizeof(head) <= HEAD, "the head fits");
static const uint64_t alive_mark = 0x70697966726e6d65u;

static long fail_at, alive; /* atomic, of the whole process */

/* ---- heaps ---- */

pi_heap *pi_heap_new(size_t limit)
{
    pi_heap *heap = calloc(1, sizeof *heap);
    if (heap) {
        heap->limit = limit;
        heap->refs = 1;
    }
    return heap;
}

pi_heap *pi_heap_ref(pi_heap *heap)
{
    if (heap) __atomic_add_fetch(&heap->refs, 1, __ATOMIC_RELAXED);
    return heap;
}

void pi_heap_unref(pi_heap *heap)
{
    if (heap && __atomic_sub_fetch(&heap->refs, 1, __ATOMIC_ACQ_REL) == 0) free(heap);
}

size_t pi_heap_used(const pi_heap *heap) { return heap ? __atomic_load_n(&heap->used, __ATOMIC_RELAXED) : 0; }
size_t pi_heap_peak(const pi_heap *heap) { return heap ? __atomic_load_n(&heap->peak, __ATOMIC_RELAXED) : 0; }

/* Books the bytes, all or nothing: another thread never sees more in use than the limit. */
static bool charge(pi_heap *heap, size_t total, pi_error *err)
{
    size_t before = __atomic_load_n(&heap->used, __ATOMIC_RELAXED), used;
    do {
        if (!pi_add(before, total, &used) || (heap->limit && used > heap->limit)) {
            (void)pi_fail(err, PI_E_LIMIT, "%zu bytes more than the %zu in use would exceed the memory limit of %zu bytes: "
                          "raise memory_limit, or give smaller inputs",
                          total, before, heap->limit ? heap->limit : SIZE_MAX);
            return false;
        }
    } while (!__atomic_compare_exchange_n(&heap->used, &before, used, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    size_t peak = __atomic_load_n(&heap->peak, __ATOMIC_RELAXED);
    while (used > peak &&
           !__atomic_compare_exchange_n(&heap->peak, &peak, used, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return true;
}

static void give_back(pi_heap *heap, size_t total)
{
    if (heap) __atomic_sub_fetch(&heap->used, total, __ATOMIC_RELAXED);
}

/* ---- blocks ---- */

static bool told_to_fail(void)
{
    long left = __atomic_load_n(&fail_at, __ATOMIC_RELAXED);
    do {
        if (left == 0) return false;
        if (left == 1) return true; /* and each later one */
    } while (!__atomic_compare_exchange_n(&fail_at, &left, left - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return false;
}

/* Large blocks live in large pages where the system lets us: a 4 KB page costs half a microsecond when it is first
 * touched, and a weight matrix has thousands. Only advice: nothing is lost if it is not taken. */
static void advise(char *start, size_t total, size_t from, bool sparse)
{
#ifdef MADV_HUGEPAGE
    if (total < from) return;
    size_t skip = (size_t)(-(uintptr_t)start & (PAGE - 1));
    (void)madvise(start + skip, (total - skip) & ~(size_t)(PAGE - 1), sparse ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
#else
    (void)start, (void)total, (void)from, (void)sparse;
#endif
}

/* Paranoid builds fill new and freed memory with bytes that make bad sizes, floats (NaN) and pointers. */
static void poison(void *block, size_t bytes, int byte)
{
#ifdef PI_PARANOID
    memset(block, byte, bytes);
#else
    (void)block, (void)bytes, (void)byte;
#endif
}

enum { PLAIN, CLEAR, SPARSE, FULL };

static void *new_block(pi_heap *heap, size_t bytes, int kind, pi_error *err)
{
    size_t total, room;
    if (!pi_add(bytes, HEAD + ALIGN - 1, &total) || !pi_add(total, ALIGN, &room) || room > PTRDIFF_MAX) {
        (void)pi_fail(err, PI_E_LIMIT, "%zu bytes are more than can be addressed", bytes);
        return NULL;
    }
    total &= ~(size_t)(ALIGN - 1);
    if (heap && !charge(heap, total, err)) return NULL;
    bool zero = kind == CLEAR || kind == SPARSE;
    size_t huge_from = kind == FULL ? HUGE_PAGE : HUGE_FROM, align = kind == FULL && total >= huge_from ? HUGE_PAGE : ALIGN;
    void *memory = NULL;
    if (!told_to_fail()) {
        if (zero)
            memory = calloc(1, room); /* zero pages, if it is large */
        else if (posix_memalign(&memory, align, total) != 0)
            memory = NULL;
    }
    char *start = memory;
    if (!start) {
        give_back(heap, total);
        (void)pi_fail(err, PI_E_NOMEM, "the system has no memory for %zu bytes", bytes);
        return NULL;
    }
    advise(start, total, huge_from, kind == SPARSE);
    char *block = start + (-(uintptr_t)start & (ALIGN - 1)) + HEAD;
    head h = {pi_heap_ref(heap), bytes, total, start, alive_mark};
    memcpy(block - HEAD, &h, sizeof h);
    if (!zero) poison(block, bytes, 0xff);
    __atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
    return block;
}

static head head_of(const void *block)
{
    head h;
    memcpy(&h, (const char *)block - HEAD, sizeof h);
    assert(h.mark == alive_mark);
    return h;
}

void *pi_alloc(pi_heap *heap, size_t bytes, pi_error *err) { return new_block(heap, bytes, PLAIN, err); }
void *pi_alloc_full(pi_heap *heap, size_t bytes, pi_error *err) { return new_block(heap, bytes, FULL, err); }
void *pi_alloc_sparse(pi_heap *heap, size_t bytes, pi_error *err) { return new_block(heap, bytes, SPARSE, err); }

void *pi_calloc(pi_heap *heap, size_t count, size_t size, pi_error *err)
{
    size_t bytes;
    if (!pi_mul(count, size, &bytes)) {
        (void)pi_fail(err, PI_E_LIMIT, "%zu times %zu bytes are more than can be addressed", count, size);
        return NULL;
    }
    return new_block(heap, bytes, CLEAR, err);
}

void *pi_realloc(pi_heap *heap, void *block, size_t bytes, pi_error *err)
{
    void *moved = new_block(heap, bytes, PLAIN, err);
    if (moved && block) {
        size_t old = head_of(block).bytes;
        memcpy(moved, block, old < bytes ? old : bytes);
        pi_free(block);
    }
    return moved;
}

void pi_free(void *block)
{
    if (!block) return;
    head h = head_of(block);
    poison(block, h.bytes, 0xfd);
    memset((char *)block - HEAD, 0, sizeof h);
    free(h.start);
    __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
    give_back(h.heap, h.total);
    pi_heap_unref(h.heap);
}

void pi_disown(void *block)
{
    head h = head_of(block);
    give_back(h.heap, h.total);
    pi_heap_unref(h.heap);
    h.heap = NULL;
    memcpy((char *)block - HEAD, &h, sizeof h);
}

pi_status pi_alloc_status(const pi_error *err) { return err && err->code != PI_E_OK ? err->code : PI_E_NOMEM; }
void pi_alloc_fail_at(long nth) { __atomic_store_n(&fail_at, nth > 0 ? nth : 0, __ATOMIC_RELAXED); }
long pi_alloc_alive(void) { return __atomic_load_n(&alive, __ATOMIC_RELAXED); }
