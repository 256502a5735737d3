/* SPDX-License-Identifier: Apache-2.0 */
/* The bump arena: a list of chunks, the first is the one in use. Parts never move. */
#include <string.h>
#include <sys/mman.h>
#include "base/alloc.h"
#include "base/size.h"

struct pi_arena_chunk {
    struct pi_arena_chunk *next;
    char pad[56]; /* parts start 64-byte aligned */
};
_Static_assert(sizeof(struct pi_arena_chunk) == 64, "a chunk's head keeps the alignment");

/* Checked builds give each part a block of its own, so that the tools see where it ends. */
#if defined(PI_PARANOID) || defined(__SANITIZE_ADDRESS__)
enum { FIRST_CHUNK = 0, LARGEST_CHUNK = 0 };
#else
enum { FIRST_CHUNK = 16 << 10, LARGEST_CHUNK = 256 << 10 };
#endif

void pi_arena_init(pi_arena *arena, pi_heap *heap) { *arena = (pi_arena){.heap = heap}; }

void pi_arena_deinit(pi_arena *arena)
{
    while (arena->chunk) {
        struct pi_arena_chunk *chunk = arena->chunk;
        arena->chunk = chunk->next;
        pi_free(chunk);
    }
    arena->used = arena->room = 0;
}

/* A chunk with room for `bytes` parts; NULL on failure. */
static struct pi_arena_chunk *chunk_new(pi_arena *arena, size_t bytes, pi_error *err)
{
    size_t total;
    if (pi_add(bytes, sizeof(struct pi_arena_chunk), &total)) return pi_alloc(arena->heap, total, err);
    (void)pi_fail(err, PI_E_LIMIT, "%zu bytes are more than can be addressed", bytes);
    return NULL;
}

/* A large part gets its own chunk, behind the one in use, whose rest stays available. */
static void *large_part(pi_arena *arena, size_t bytes, pi_error *err)
{
    struct pi_arena_chunk *chunk = chunk_new(arena, bytes, err);
    if (!chunk) return NULL;
    struct pi_arena_chunk **at = arena->chunk ? &arena->chunk->next : &arena->chunk;
    chunk->next = *at;
    *at = chunk;
    return memset(chunk + 1, 0, bytes);
}

void *pi_arena_alloc(pi_arena *arena, size_t bytes, pi_error *err)
{
    size_t align = bytes >= 64 ? 64 : 16, at = (arena->used + align - 1) & ~(align - 1);
    if (at > arena->room || bytes > arena->room - at || !arena->chunk) {
        size_t room = arena->room ? arena->room * 2 : FIRST_CHUNK;
        if (room > LARGEST_CHUNK) room = LARGEST_CHUNK;
        if (bytes >= room / 4) return large_part(arena, bytes, err);
        struct pi_arena_chunk *chunk = chunk_new(arena, room, err);
        if (!chunk) return NULL;
        chunk->next = arena->chunk;
        arena->chunk = chunk;
        arena->room = room;
        at = 0;
    }
    arena->used = at + bytes;
    return memset((char *)(arena->chunk + 1) + at, 0, bytes);
}

void *pi_arena_calloc(pi_arena *arena, size_t count, size_t size, pi_error *err)
{
    size_t bytes;
    if (pi_mul(count, size, &bytes)) return pi_arena_alloc(arena, bytes, err);
    (void)pi_fail(err, PI_E_LIMIT, "%zu times %zu bytes are more than can be addressed", count, size);
    return NULL;
}

char *pi_arena_strndup(pi_arena *arena, const char *text, size_t n, pi_error *err)
{
    size_t bytes;
    if (!pi_add(n, 1, &bytes)) {
        (void)pi_fail(err, PI_E_LIMIT, "a text of %zu bytes", n);
        return NULL;
    }
    char *copy = pi_arena_alloc(arena, bytes, err);
    if (copy && n) memcpy(copy, text, n);
    return copy;
}

void *pi_reserve(size_t bytes, pi_error *err)
{
    void *space = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space != MAP_FAILED) return space;
    (void)pi_fail(err, PI_E_NOMEM, "no address space for %zu bytes", bytes);
    return NULL;
}

void pi_unreserve(void *space, size_t bytes)
{
    if (space) (void)munmap(space, bytes);
}
