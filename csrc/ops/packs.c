/* SPDX-License-Identifier: Apache-2.0 */
/* Packed constants: chains by the constant's address. A thread that finds one in the making waits until it is made. */
#include <pthread.h>
#include <string.h>
#include "ops/prep.h"

enum { PACK_SLOTS = 1024 };

struct pi_pack {
    pi_pack *next;
    pi_const *constant;
    void *block;
    size_t bytes, key_size;
    bool filled;
    unsigned char key[];
};

struct pi_packs {
    pi_heap *heap;
    size_t bytes;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pi_pack *slot[PACK_SLOTS];
};

static pi_pack **slot_of(pi_packs *packs, const pi_const *c) { return &packs->slot[((uintptr_t)c >> 6) % PACK_SLOTS]; }

pi_packs *pi_packs_new(pi_heap *heap, pi_error *err)
{
    pi_packs *packs = pi_calloc(heap, 1, sizeof *packs, err);
    if (!packs) return NULL;
    packs->heap = heap;
    (void)pthread_mutex_init(&packs->lock, NULL);
    (void)pthread_cond_init(&packs->changed, NULL);
    return packs;
}

static void pack_free(pi_pack *p)
{
    pi_const_unref(p->constant);
    pi_free(p->block);
    pi_free(p);
}

void pi_packs_free(pi_packs *packs)
{
    if (!packs) return;
    for (size_t i = 0; i < PACK_SLOTS; i++)
        for (pi_pack *p = packs->slot[i], *next; p; p = next) {
            next = p->next;
            pack_free(p);
        }
    (void)pthread_cond_destroy(&packs->changed);
    (void)pthread_mutex_destroy(&packs->lock);
    pi_free(packs);
}

size_t pi_packs_bytes(const pi_packs *packs) { return packs->bytes; }

static pi_pack *find(const pi_pack *p, const pi_const *c, const void *key, size_t key_size)
{
    while (p && (p->constant != c || p->key_size != key_size || memcmp(p->key, key, key_size) != 0)) p = p->next;
    return (pi_pack *)(uintptr_t)p;
}

static pi_status pack_new(pi_packs *packs, pi_const *c, const void *key, size_t key_size, size_t bytes, bool sparse,
                          pi_pack **out, pi_error *err)
{
    size_t size;
    *out = NULL;
    if (!pi_add(sizeof **out, key_size, &size)) return pi_fail(err, PI_E_LIMIT, "the key has %zu bytes", key_size);
    pi_pack *p = pi_alloc(packs->heap, size, err);
    if (!p) return pi_alloc_status(err);
    *p = (pi_pack){.constant = pi_const_ref(c), .bytes = bytes, .key_size = key_size};
    memcpy(p->key, key, key_size);
    p->block = sparse ? pi_alloc_sparse(packs->heap, bytes, err) : pi_alloc(packs->heap, bytes, err);
    if (!p->block) {
        pack_free(p);
        return pi_alloc_status(err);
    }
    *out = p;
    return PI_E_OK;
}

pi_status pi_packs_take(pi_packs *packs, pi_const *c, const void *key, size_t key_size, size_t bytes, bool sparse,
                        pi_pack **mine, void **block, pi_error *err)
{
    pi_pack *p, **slot = slot_of(packs, c);
    pi_status st = PI_E_OK;
    *mine = NULL;
    (void)pthread_mutex_lock(&packs->lock);
    while ((p = find(*slot, c, key, key_size)) && !p->filled) (void)pthread_cond_wait(&packs->changed, &packs->lock);
    if (!p) {
        PI_TRY_DONE(pack_new(packs, c, key, key_size, bytes, sparse, &p, err));
        p->next = *slot;
        *slot = *mine = p;
    }
    *block = p->block;
done:
    (void)pthread_mutex_unlock(&packs->lock);
    return st;
}

void pi_packs_done(pi_packs *packs, pi_pack *mine, bool filled)
{
    (void)pthread_mutex_lock(&packs->lock);
    mine->filled = filled;
    if (filled) {
        packs->bytes += mine->bytes;
    } else {
        pi_pack **at = slot_of(packs, mine->constant);
        while (*at != mine) at = &(*at)->next;
        *at = mine->next;
        pack_free(mine);
    }
    (void)pthread_cond_broadcast(&packs->changed);
    (void)pthread_mutex_unlock(&packs->lock);
}
