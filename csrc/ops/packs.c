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
    bool filled, found, sparse; /* found: the block is not ours */
    unsigned char key[];
};

struct pi_packs {
    pi_heap *heap;
    size_t bytes, made; /* made: atomic */
    pi_packs_find_fn find;
    void *find_arg;
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
    if (!p->found) pi_free(p->block);
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

static pi_status pack_new(pi_packs *packs, pi_const *c, const void *key, size_t key_size, size_t bytes, pi_pack **out,
                          pi_error *err)
{
    size_t size;
    if (!pi_add(sizeof **out, key_size, &size)) return pi_fail(err, PI_E_LIMIT, "the key has %zu bytes", key_size);
    pi_pack *p = *out = pi_alloc(packs->heap, size, err);
    if (!p) return pi_alloc_status(err);
    *p = (pi_pack){.constant = pi_const_ref(c), .bytes = bytes, .key_size = key_size};
    memcpy(p->key, key, key_size);
    return PI_E_OK;
}

/* The block of a pack that others wait for. */
static pi_status give_block(pi_packs *packs, pi_pack *p, bool sparse, pi_error *err)
{
    const void *found = NULL;
    if (packs->find && !sparse)
        PI_TRY(packs->find(packs->find_arg, p->constant, p->key, p->key_size, p->bytes, &found, err));
    p->found = found != NULL;
    p->sparse = sparse;
    p->block = found    ? (void *)(uintptr_t)found /* only to be read */
               : sparse ? pi_alloc_sparse(packs->heap, p->bytes, err)
                        : pi_alloc_full(packs->heap, p->bytes, err);
    return p->block ? PI_E_OK : pi_alloc_status(err);
}

pi_status pi_packs_take(pi_packs *packs, pi_const *c, const void *key, size_t key_size, size_t bytes, bool sparse,
                        pi_pack **mine, void **block, pi_error *err)
{
    pi_pack *p, **slot = slot_of(packs, c);
    pi_status st = PI_E_OK;
    *mine = NULL;
    (void)pthread_mutex_lock(&packs->lock);
    while ((p = find(*slot, c, key, key_size)) && !p->filled) (void)pthread_cond_wait(&packs->changed, &packs->lock);
    if (!p && (st = pack_new(packs, c, key, key_size, bytes, &p, err)) == PI_E_OK) {
        p->next = *slot;
        *slot = *mine = p;
    }
    (void)pthread_mutex_unlock(&packs->lock);
    if (st != PI_E_OK) return st;
    if (*mine) {
        st = give_block(packs, p, sparse, err);
        if (st != PI_E_OK || p->found) {
            *block = p->block;
            pi_packs_done(packs, p, st == PI_E_OK);
            *mine = NULL;
            return st;
        }
    }
    *block = p->block;
    return PI_E_OK;
}

void pi_packs_look(pi_packs *packs, pi_packs_find_fn find_fn, void *arg)
{
    packs->find = find_fn;
    packs->find_arg = arg;
}

size_t pi_packs_made(const pi_packs *packs) { return __atomic_load_n(&packs->made, __ATOMIC_ACQUIRE); }

/* Packs that are filled stay as they are: a list of them needs no lock. */
pi_status pi_packs_each(pi_packs *packs, pi_status (*fn)(void *arg, const pi_pack_view *pack, pi_error *err), void *arg,
                        pi_error *err)
{
    size_t n = 0, k = 0;
    pi_pack **list = NULL;
    pi_status st = PI_E_OK;
    (void)pthread_mutex_lock(&packs->lock);
    for (size_t i = 0; i < PACK_SLOTS; i++)
        for (pi_pack *p = packs->slot[i]; p; p = p->next) n++;
    list = pi_calloc(packs->heap, n + 1, sizeof *list, err);
    for (size_t i = 0; list && i < PACK_SLOTS; i++)
        for (pi_pack *p = packs->slot[i]; p; p = p->next)
            if (p->filled && !p->sparse) list[k++] = p;
    (void)pthread_mutex_unlock(&packs->lock);
    if (!list) return pi_alloc_status(err);
    for (size_t i = 0; i < k && st == PI_E_OK; i++) {
        const pi_pack_view view = {list[i]->constant, list[i]->key, list[i]->block, list[i]->key_size, list[i]->bytes};
        st = fn(arg, &view, err);
    }
    pi_free(list);
    return st;
}

void pi_packs_done(pi_packs *packs, pi_pack *mine, bool filled)
{
    (void)pthread_mutex_lock(&packs->lock);
    mine->filled = filled;
    if (filled) {
        packs->bytes += mine->bytes;
        const pi_const *c = mine->constant->base ? mine->constant->base : mine->constant;
        if (!mine->found && !mine->sparse && c->from) __atomic_add_fetch(&packs->made, mine->bytes, __ATOMIC_RELEASE);
    } else {
        pi_pack **at = slot_of(packs, mine->constant);
        while (*at != mine) at = &(*at)->next;
        *at = mine->next;
        pack_free(mine);
    }
    (void)pthread_cond_broadcast(&packs->changed);
    (void)pthread_mutex_unlock(&packs->lock);
}
