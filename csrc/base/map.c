/* SPDX-License-Identifier: Apache-2.0 */
/* The hash map: linear probing, at most half full. Names come from files, so the hash has a secret of this process in it:
 * nobody can prepare a million names that all meet in one slot. */
#include "base/map.h"

#include <string.h>
#include <sys/auxv.h>
#include "base/size.h"

struct pi_map_slot {
    const char *key; /* NULL: free */
    size_t n;
    uint32_t hash, number;
};
enum { FIRST_ROOM = 64 };

void pi_map_init(pi_map *map, pi_heap *heap) { *map = (pi_map){.heap = heap}; }

void pi_map_deinit(pi_map *map)
{
    pi_free(map->slot);
    map->slot = NULL;
    map->used = map->room = 0;
}

/* Both halves of the 128-bit product, folded: each bit of the result depends on every bit of a and b. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 wide = (unsigned __int128)a * b;
    return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

/* Sixteen random bytes that the kernel gave this process at its start. */
static void secret(uint64_t out[2])
{
    const void *random = (const void *)getauxval(AT_RANDOM);
    if (random)
        memcpy(out, random, 16);
    else
        out[0] = out[1] = 0;
}

static uint32_t hash_of(const char *key, size_t n)
{
    uint64_t s[2], word;
    secret(s);
    uint64_t h = s[0] ^ n;
    for (; n >= 8; key += 8, n -= 8) {
        memcpy(&word, key, 8);
        h = mix(h ^ word ^ 0x9e3779b97f4a7c15u, s[1] | 1);
    }
    word = 0;
    if (n) memcpy(&word, key, n);
    h = mix(h ^ word ^ 0x9e3779b97f4a7c15u, s[1] | 1);
    h = mix(h ^ 0xd1b54a32d192ed03u, 0x8cb92ba72f3d8dd7u);
    return (uint32_t)(h ^ (h >> 32));
}

/* The slot of the key, or the free one where it belongs. */
static struct pi_map_slot *find(struct pi_map_slot *slot, size_t room, const char *key, size_t n, uint32_t hash)
{
    size_t i = hash & (room - 1);
    while (slot[i].key && (slot[i].hash != hash || slot[i].n != n || memcmp(slot[i].key, key, n) != 0))
        i = (i + 1) & (room - 1);
    return &slot[i];
}

static pi_status grow(pi_map *map, pi_error *err)
{
    size_t room = map->room ? 2 * map->room : FIRST_ROOM;
    struct pi_map_slot *slot = pi_calloc(map->heap, room, sizeof *slot, err);
    if (!slot) return pi_alloc_status(err);
    for (size_t i = 0; i < map->room; i++) {
        const struct pi_map_slot *old = &map->slot[i];
        if (old->key) *find(slot, room, old->key, old->n, old->hash) = *old;
    }
    pi_free(map->slot);
    map->slot = slot;
    map->room = room;
    return PI_E_OK;
}

pi_status pi_map_set(pi_map *map, const char *key, size_t n, uint32_t number, pi_error *err)
{
    if (!key) key = ""; /* of no bytes */
    if (map->used >= map->room / 2) PI_TRY(grow(map, err));
    uint32_t hash = hash_of(key, n);
    struct pi_map_slot *s = find(map->slot, map->room, key, n, hash);
    if (!s->key) map->used++;
    *s = (struct pi_map_slot){key, n, hash, number};
    return PI_E_OK;
}

uint32_t pi_map_get(const pi_map *map, const char *key, size_t n)
{
    if (!map->room) return UINT32_MAX;
    const struct pi_map_slot *s = find(map->slot, map->room, key ? key : "", n, hash_of(key, n));
    return s->key ? s->number : UINT32_MAX;
}
