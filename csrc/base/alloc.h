/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to memory. A heap is an account: what is used, the highest that was used, a limit.
 * Blocks are 64-byte aligned and carry their size and heap, so that freeing needs only the pointer.
 * A block keeps its heap alive: pi_heap_unref frees the account when the last block is gone too. */
#ifndef PI_BASE_ALLOC_H
#define PI_BASE_ALLOC_H
#include <stddef.h>
#include "base/error.h"

typedef struct pi_heap pi_heap;

/* limit: bytes; 0 is none. NULL if the system has no memory. */
pi_heap *pi_heap_new(size_t limit);
pi_heap *pi_heap_ref(pi_heap *heap);
void pi_heap_unref(pi_heap *heap);
size_t pi_heap_used(const pi_heap *heap);
size_t pi_heap_peak(const pi_heap *heap);

/* Memory of `bytes` (0 gives a valid block), not cleared. NULL on failure, `err` then says LIMIT
 * (with used, asked and limit) or NOMEM. `heap` NULL: outside any account. */
void *pi_alloc(pi_heap *heap, size_t bytes, pi_error *err) PI_MUST_USE;
/* The same for `count * size` bytes, checked, and cleared to zero. */
void *pi_calloc(pi_heap *heap, size_t count, size_t size, pi_error *err) PI_MUST_USE;
/* `bytes` bytes, zero, that take memory only page by page where they are written; the account has them all. */
void *pi_alloc_sparse(pi_heap *heap, size_t bytes, pi_error *err) PI_MUST_USE;
/* `bytes` bytes that will all be written and stay long, as weights: in large pages wherever one fits, which a single stream of
 * reading needs (a quarter faster for blocks of 2 to 8 MB, Zen 4). */
void *pi_alloc_full(pi_heap *heap, size_t bytes, pi_error *err) PI_MUST_USE;
/* Grows or shrinks; NULL on failure, the old block is then untouched. `block` may be NULL. */
void *pi_realloc(pi_heap *heap, void *block, size_t bytes, pi_error *err) PI_MUST_USE;
void pi_free(void *block);
/* The block leaves its account: it is somebody's outside the engine until pi_free. */
void pi_disown(void *block);
/* What to return when pi_alloc gave NULL. */
pi_status pi_alloc_status(const pi_error *err);

/* Tests: the nth allocation from now on fails (1 is the next), each later one too; 0 switches it off. */
void pi_alloc_fail_at(long nth);
/* Tests: blocks that are alive in this process. */
long pi_alloc_alive(void);

/* A bump arena: many small parts, freed at once. Zero-initialise it, or use pi_arena_init. */
typedef struct pi_arena {
    pi_heap *heap;
    struct pi_arena_chunk *chunk;
    size_t used, room;
} pi_arena;

void pi_arena_init(pi_arena *arena, pi_heap *heap);
void pi_arena_deinit(pi_arena *arena);
/* Cleared to zero, 16-byte aligned (64 from 64 bytes on); NULL on failure. */
void *pi_arena_alloc(pi_arena *arena, size_t bytes, pi_error *err) PI_MUST_USE;
void *pi_arena_calloc(pi_arena *arena, size_t count, size_t size, pi_error *err) PI_MUST_USE;
/* A copy of n bytes and a closing NUL; NULL on failure. */
char *pi_arena_strndup(pi_arena *arena, const char *text, size_t n, pi_error *err) PI_MUST_USE;

/* Address space of `bytes` (> 0), all zero, that takes memory only page by page where it is written; outside any
 * account. NULL on failure. For the sparse picture of a file that the model reader makes. */
void *pi_reserve(size_t bytes, pi_error *err) PI_MUST_USE;
void pi_unreserve(void *space, size_t bytes);
#endif
