/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator, the arena, strings and the map: accounts, limits, sizes that overflow, memory that is not there. */
#include "base/alloc.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/map.h"
#include "base/str.h"
#include "check.h"

static void test_blocks(void)
{
    pi_heap *heap = pi_heap_new(0);
    void *block[200];
    long before = pi_alloc_alive();
    for (size_t i = 0; i < 200; i++) {
        block[i] = pi_alloc(heap, i * i, NULL);
        CHECK(block[i] && (uintptr_t)block[i] % 64 == 0);
        memset(block[i], (int)i, i * i);
    }
    CHECK(pi_alloc_alive() == before + 200);
    int wrong = 0;
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * i; k++) wrong += ((unsigned char *)block[i])[k] != i;
    CHECK(wrong == 0);
    size_t used = pi_heap_used(heap);
    CHECK(used >= 199 * 200 * 399 / 6);
    for (size_t i = 0; i < 200; i += 2) pi_free(block[i]);
    CHECK(pi_heap_used(heap) < used && pi_heap_peak(heap) == used);
    for (size_t i = 1; i < 200; i += 2) pi_free(block[i]);
    CHECK(pi_heap_used(heap) == 0 && pi_heap_peak(heap) == used && pi_alloc_alive() == before);
    pi_free(NULL);
    pi_heap_unref(heap);
    pi_heap_unref(NULL);
    CHECK(pi_heap_used(NULL) == 0 && pi_heap_ref(NULL) == NULL);
}

static bool is_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

static void test_clear_and_grow(void)
{
    for (size_t n = 1; n < 40u << 20; n = n * 7 + 3) { /* memory that was used before, and large pages */
        char *p = pi_alloc(NULL, n, NULL);
        CHECK(p);
        if (!p) return;
        memset(p, 1, n);
        pi_free(p);
        p = pi_calloc(NULL, n, 1, NULL);
        CHECK(p && is_zero(p, n) && (uintptr_t)p % 64 == 0);
        pi_free(p);
    }
    char *p = pi_realloc(NULL, NULL, 3, NULL);
    memcpy(p, "abc", 3);
    for (size_t n = 4; n < 6u << 20; n *= 3) p = pi_realloc(NULL, p, n, NULL);
    CHECK(memcmp(p, "abc", 3) == 0);
    p = pi_realloc(NULL, p, 2, NULL);
    CHECK(memcmp(p, "ab", 2) == 0);
    pi_free(p);
}

static void test_overflow(void)
{
    const size_t large[] = {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX - 127, SIZE_MAX - 200, SIZE_MAX / 2, (size_t)PTRDIFF_MAX - 64};
    pi_heap *heap = pi_heap_new(1 << 20);
    pi_arena arena;
    pi_arena_init(&arena, heap);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        pi_error err = {0};
        size_t n = large[i];
        CHECK(!pi_alloc(NULL, n, &err) && pi_alloc_status(&err) != PI_E_OK);
        CHECK(!pi_alloc(heap, n, &err) && pi_alloc_status(&err) == PI_E_LIMIT);
        CHECK(!pi_calloc(NULL, n, 1, &err) && !pi_calloc(NULL, n, 3, &err) && err.code == PI_E_LIMIT);
        CHECK(!pi_calloc(NULL, 1ull << 33, 1ull << 33, &err));
        CHECK(!pi_arena_alloc(&arena, n, &err) && !pi_arena_calloc(&arena, n, 16, &err));
        CHECK(!pi_arena_strndup(&arena, "", n, &err) && !pi_str_new(&arena, "", n, &err) && err.text[0]);
    }
    CHECK(pi_arena_alloc(&arena, 100, NULL));
    pi_arena_deinit(&arena);
    CHECK(pi_heap_used(heap) == 0);
    pi_heap_unref(heap);
    CHECK(pi_alloc_status(NULL) == PI_E_NOMEM);
}

static void test_limit(void)
{
    pi_error err = {0};
    pi_heap *heap = pi_heap_new(10000);
    void *a = pi_alloc(heap, 6000, &err);
    CHECK(a && !pi_alloc(heap, 6000, &err) && err.code == PI_E_LIMIT);
    CHECK(strstr(err.text, "10000") && strstr(err.text, "limit"));
    CHECK(pi_heap_peak(heap) <= 10000);
    void *b = pi_alloc(heap, 2000, &err);
    CHECK(b && !pi_realloc(heap, b, 3500, &err)); /* old and new exist for a moment */
    pi_free(a);
    b = pi_realloc(heap, b, 3500, &err);
    CHECK(b);
    pi_heap_unref(heap); /* the block keeps it */
    CHECK(pi_heap_used(heap) >= 3500);
    pi_free(b);
}

/* Threads that fight for a heap: never more than the limit, and in the end nothing. */
static void *fight(void *arg)
{
    void *block[8] = {0};
    for (unsigned i = 0; i < 4000; i++) {
        unsigned k = i * 2654435761u >> 29;
        pi_free(block[k]);
        block[k] = pi_alloc(arg, 100 + i % 500, NULL);
    }
    for (int k = 0; k < 8; k++) pi_free(block[k]);
    return NULL;
}

static void test_threads(void)
{
    enum { LIMIT = 3000 }; /* less than one thread wants */
    pthread_t thread[4];
    pi_heap *heap = pi_heap_new(LIMIT);
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&thread[i], NULL, fight, heap) == 0);
    for (int i = 0; i < 4; i++) (void)pthread_join(thread[i], NULL);
    CHECK(pi_heap_used(heap) == 0 && pi_heap_peak(heap) <= LIMIT);
    pi_heap_unref(heap);
}

static void test_arena(void)
{
    enum { N = 3000 };
    static char *part[N];
    static size_t size[N];
    pi_arena arena = {0};
    int wrong = 0;
    for (size_t i = 0; i < N; i++) {
        size[i] = i % 97 == 0 ? i * 50 : i % 211;
        part[i] = pi_arena_alloc(&arena, size[i], NULL);
        if (!part[i]) continue;
        wrong += !is_zero(part[i], size[i]) || (uintptr_t)part[i] % (size[i] >= 64 ? 64 : 16) != 0;
        memset(part[i], (int)(i % 255 + 1), size[i]);
    }
    for (size_t i = 0; i < N; i++) {
        wrong += !part[i];
        for (size_t k = 0; part[i] && k < size[i]; k++) wrong += (unsigned char)part[i][k] != i % 255 + 1;
    }
    CHECK(wrong == 0);
    const char *text = pi_arena_strndup(&arena, "conv1x", 5, NULL);
    CHECK(text && strcmp(text, "conv1") == 0);
    text = pi_arena_strndup(&arena, NULL, 0, NULL);
    CHECK(text && !*text);
    const pi_str *s = pi_str_new(&arena, "a\0b", 3, NULL);
    CHECK(s && s->n == 3 && memcmp(s->bytes, "a\0b", 4) == 0);
    s = pi_str_new(&arena, NULL, 0, NULL);
    CHECK(s && s->n == 0 && s->bytes[0] == '\0');
    pi_arena_deinit(&arena);
    pi_arena_deinit(&arena); /* again, and it can be used again */
    CHECK(pi_arena_alloc(&arena, 0, NULL) && pi_arena_alloc(&arena, 1, NULL));
    pi_arena_deinit(&arena);
}

static void test_reserve(void)
{
    size_t n = (size_t)1 << 32;
    char *space = pi_reserve(n, NULL);
    CHECK(space);
    if (!space) return;
    space[n / 2] = 1;
    CHECK(space[0] == 0 && space[n / 2] == 1 && space[n - 1] == 0);
    pi_unreserve(space, n);
    pi_unreserve(NULL, 0);
    pi_error err = {0};
    CHECK(!pi_reserve(SIZE_MAX / 2, &err) && err.code == PI_E_NOMEM);
}

/* ---- the map ---- */

enum { KEYS = 10000 };

static size_t key_of(char *text, unsigned i) { return (size_t)snprintf(text, 32, "layer%u/conv_%u", i / 7, i); }

static void test_map(void)
{
    static char text[KEYS][32];
    static size_t length[KEYS];
    pi_heap *heap = pi_heap_new(0);
    pi_map map;
    int wrong = 0;
    pi_map_init(&map, heap);
    CHECK(pi_map_get(&map, "a", 1) == UINT32_MAX);
    for (unsigned i = 0; i < KEYS; i++) {
        length[i] = key_of(text[i], i);
        wrong += pi_map_set(&map, text[i], length[i], i, NULL) != PI_E_OK;
    }
    for (unsigned i = 0; i < KEYS; i += 3) wrong += pi_map_set(&map, text[i], length[i], i + KEYS, NULL) != PI_E_OK;
    for (unsigned i = 0; i < KEYS; i++) {
        char other[32];
        size_t n = key_of(other, i);
        wrong += pi_map_get(&map, other, n) != (i % 3 ? i : i + KEYS);
        n = key_of(other, i + KEYS);
        wrong += pi_map_get(&map, other, n) != UINT32_MAX;
    }
    CHECK(wrong == 0 && map.used == KEYS);
    CHECK(pi_map_set(&map, NULL, 0, 7, NULL) == PI_E_OK && pi_map_get(&map, "", 0) == 7 && pi_map_get(&map, NULL, 0) == 7);
    CHECK(pi_map_set(&map, "", 0, 8, NULL) == PI_E_OK && pi_map_get(&map, "", 0) == 8 && map.used == KEYS + 1);
    static const char zeros[40];
    for (uint32_t n = 1; n < 40; n++) CHECK(pi_map_set(&map, zeros, n, n, NULL) == PI_E_OK);
    for (uint32_t n = 1; n < 40; n++) CHECK(pi_map_get(&map, zeros, n) == n);
    pi_map_deinit(&map);
    pi_map_deinit(&map);
    CHECK(pi_heap_used(heap) == 0);
    pi_heap_unref(heap);
}

/* ---- memory that is not there ---- */

/* Some of everything; PI_E_OK if all allocations were good. */
static pi_status some_work(pi_heap *heap, pi_error *err)
{
    pi_arena arena;
    pi_map map;
    void *a = NULL, *b = NULL, *bigger;
    pi_status st = PI_E_OK;
    static char text[300][32];
    pi_arena_init(&arena, heap);
    pi_map_init(&map, heap);
    if (!(a = pi_alloc(heap, 100, err)) || !(b = pi_calloc(heap, 5u << 20, 1, err))) goto failed;
    if (!(bigger = pi_realloc(heap, a, 1000, err))) goto failed;
    a = bigger;
    for (unsigned i = 0; i < 300; i++) {
        PI_TRY_DONE(pi_map_set(&map, text[i], key_of(text[i], i), i, err));
        if (!pi_arena_alloc(&arena, i * 10, err) || !pi_str_new(&arena, "abc", 3, err)) goto failed;
    }
    goto done;
failed:
    st = pi_alloc_status(err);
done:
    pi_map_deinit(&map);
    pi_arena_deinit(&arena);
    pi_free(a);
    pi_free(b);
    return st;
}

static void test_torture(void)
{
    long alive = pi_alloc_alive(), nth = 0;
    pi_status st;
    do {
        pi_error err = {0};
        pi_heap *heap = pi_heap_new(0);
        pi_alloc_fail_at(++nth);
        st = some_work(heap, &err);
        pi_alloc_fail_at(0);
        CHECK(st == PI_E_OK || (st == PI_E_NOMEM && err.text[0]));
        CHECK(pi_heap_used(heap) == 0 && pi_alloc_alive() == alive);
        CHECK(some_work(heap, NULL) == PI_E_OK);
        pi_heap_unref(heap);
    } while (st != PI_E_OK && nth < 10000);
    CHECK(nth > 8 && nth < 10000);
    pi_heap *heap = pi_heap_new(6u << 20); /* the same through the limit */
    pi_error err = {0};
    CHECK(some_work(heap, &err) == PI_E_OK);
    void *rest = pi_alloc(heap, 1u << 20, NULL);
    CHECK(rest && some_work(heap, &err) == PI_E_LIMIT && pi_alloc_alive() == alive + 1);
    pi_free(rest);
    pi_heap_unref(heap);
    pi_alloc_fail_at(2);
    void *first = pi_alloc(NULL, 1, NULL);
    CHECK(first && !pi_alloc(NULL, 1, NULL) && !pi_alloc(NULL, 1, NULL)); /* and each later one */
    pi_alloc_fail_at(0);
    pi_free(first);
}

int main(void)
{
    test_blocks();
    test_clear_and_grow();
    test_overflow();
    test_limit();
    test_threads();
    test_arena();
    test_reserve();
    test_map();
    test_torture();
    CHECK(pi_alloc_alive() == 0);
    return CHECK_DONE();
}
