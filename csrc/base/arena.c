/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/mman.h>
#include "base/alloc.h"
#include "base/size.h"
struct pi_arena_chunk {
    struct pi_arena_chunk *next;
    char pad[56];
};
void pi_arena_init(pi_arena *a, pi_heap *heap) { *a = (pi_arena){.heap = heap}; }
void pi_arena_deinit(pi_arena *a)
{
    while (a->chunk) {
        struct pi_arena_chunk *c = a->chunk;
        a->chunk = c->next;
        pi_free(c);
    }
    a->used = a->room = 0;
}
void *pi_arena_alloc(pi_arena *a, size_t bytes, pi_error *err)
{
    size_t align = bytes >= 64 ? 64 : 16, at = (a->used + align - 1) & ~(align - 1), end;
    if (!pi_add(at, bytes, &end)) {
        (void)pi_fail(err, PI_E_LIMIT, "too many bytes");
        return NULL;
    }
    if (!a->chunk || end > a->room) {
        size_t room = bytes > 16384 ? bytes : 16384;
        struct pi_arena_chunk *c = pi_alloc(a->heap, room + 64, err);
        if (!c) return NULL;
        c->next = a->chunk;
        a->chunk = c;
        a->room = room;
        at = 0;
        end = bytes;
    }
    a->used = end;
    char *p = (char *)(a->chunk + 1) + at;
    memset(p, 0, bytes);
    return p;
}
void *pi_arena_calloc(pi_arena *a, size_t count, size_t size, pi_error *err)
{
    size_t bytes;
    if (!pi_mul(count, size, &bytes)) {
        (void)pi_fail(err, PI_E_LIMIT, "too many bytes");
        return NULL;
    }
    return pi_arena_alloc(a, bytes, err);
}
char *pi_arena_strndup(pi_arena *a, const char *text, size_t n, pi_error *err)
{
    char *p = pi_arena_alloc(a, n + 1, err);
    if (p && n) memcpy(p, text, n);
    return p;
}

void *pi_reserve(size_t bytes, pi_error *err)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) return p;
    (void)pi_fail(err, PI_E_NOMEM, "no address space for %zu bytes", bytes);
    return NULL;
}

void pi_unreserve(void *space, size_t bytes)
{
    if (space) (void)munmap(space, bytes);
}
