/* SPDX-License-Identifier: Apache-2.0 */
/* Names to numbers: an open-addressing hash map from byte strings (borrowed) to uint32_t. */
#ifndef PI_BASE_MAP_H
#define PI_BASE_MAP_H
#include <stddef.h>
#include <stdint.h>
#include "base/alloc.h"

typedef struct {
    pi_heap *heap;
    struct pi_map_slot *slot;
    size_t used, room;
} pi_map;

void pi_map_init(pi_map *map, pi_heap *heap);
void pi_map_deinit(pi_map *map);
/* Sets (or replaces) the number; the key's bytes must outlive the map. */
pi_status pi_map_set(pi_map *map, const char *key, size_t n, uint32_t number, pi_error *err) PI_MUST_USE;
/* UINT32_MAX if there is no such key. */
uint32_t pi_map_get(const pi_map *map, const char *key, size_t n);
#endif
