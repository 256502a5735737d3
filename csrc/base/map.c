/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include <string.h>
struct pi_map_slot {
    const char *key;
    size_t n;
    uint32_t number;
};
void pi_map_init(pi_map *map, pi_heap *heap) { *map = (pi_map){.heap = heap}; }
void pi_map_deinit(pi_map *map)
{
    pi_free(map->slot);
    map->slot = NULL;
    map->used = map->room = 0;
}
static size_t hash(const char *key, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)key[i]) * 1099511628211u;
    return (size_t)(h ^ (h >> 32));
}
static struct pi_map_slot *find(struct pi_map_slot *slot, size_t room, const char *key, size_t n)
{
    for (size_t i = hash(key, n) & (room - 1);; i = (i + 1) & (room - 1))
        if (!slot[i].key || (slot[i].n == n && memcmp(slot[i].key, key, n) == 0)) return &slot[i];
}
pi_status pi_map_set(pi_map *map, const char *key, size_t n, uint32_t number, pi_error *err)
{
    if (2 * (map->used + 1) > map->room) {
        size_t room = map->room ? 2 * map->room : 64;
        struct pi_map_slot *slot = pi_calloc(map->heap, room, sizeof *slot, err);
        if (!slot) return pi_alloc_status(err);
        for (size_t i = 0; i < map->room; i++)
            if (map->slot[i].key) *find(slot, room, map->slot[i].key, map->slot[i].n) = map->slot[i];
        pi_free(map->slot);
        map->slot = slot;
        map->room = room;
    }
    struct pi_map_slot *s = find(map->slot, map->room, key, n);
    if (!s->key) map->used++;
    *s = (struct pi_map_slot){key, n, number};
    return PI_E_OK;
}
uint32_t pi_map_get(const pi_map *map, const char *key, size_t n)
{
    if (!map->room) return UINT32_MAX;
    const struct pi_map_slot *s = find(map->slot, map->room, key, n);
    return s->key ? s->number : UINT32_MAX;
}
