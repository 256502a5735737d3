/* SPDX-License-Identifier: Apache-2.0 */
/* Services for prepare: plan memory, owned objects, and packed weights that plans share. */
#include <string.h>
#include "ops/block.h"
#include "ops/prep.h"

/* ---- packed constants: chains by the constant's address ---- */

enum { PACK_SLOTS = 1024 };

typedef struct pack {
    struct pack *next;
    pi_const *constant;
    void *block;
    size_t key_size;
    unsigned char key[];
} pack;

struct pi_packs {
    pi_heap *heap;
    size_t bytes;
    pack *slot[PACK_SLOTS];
};

static size_t pack_slot(const pi_const *c) { return ((uintptr_t)c >> 6) % PACK_SLOTS; }

pi_packs *pi_packs_new(pi_heap *heap, pi_error *err)
{
    pi_packs *packs = pi_calloc(heap, 1, sizeof *packs, err);
    if (packs) packs->heap = heap;
    return packs;
}

void pi_packs_free(pi_packs *packs)
{
    if (!packs) return;
    for (size_t i = 0; i < PACK_SLOTS; i++)
        for (pack *p = packs->slot[i], *next; p; p = next) {
            next = p->next;
            pi_const_unref(p->constant);
            pi_free(p->block);
            pi_free(p);
        }
    pi_free(packs);
}

size_t pi_packs_bytes(const pi_packs *packs) { return packs->bytes; }

const void *pi_packs_find(const pi_packs *packs, const pi_const *c, const void *key, size_t key_size)
{
    for (const pack *p = packs->slot[pack_slot(c)]; p; p = p->next)
        if (p->constant == c && p->key_size == key_size && memcmp(p->key, key, key_size) == 0) return p->block;
    return NULL;
}

pi_status pi_packs_add(pi_packs *packs, pi_const *c, const void *key, size_t key_size, void *block, size_t bytes,
                       pi_error *err)
{
    pack *p = pi_alloc(packs->heap, sizeof *p + key_size, err);
    if (!p) {
        pi_free(block);
        return pi_alloc_status(err);
    }
    *p = (pack){.next = packs->slot[pack_slot(c)], .constant = pi_const_ref(c), .block = block, .key_size = key_size};
    memcpy(p->key, key, key_size);
    packs->slot[pack_slot(c)] = p;
    packs->bytes += bytes;
    return PI_E_OK;
}

/* ---- services ---- */

struct pi_owned {
    struct pi_owned *next;
    void (*free_fn)(void *);
    void *object;
};

void pi_services_init(pi_services *services, pi_heap *heap, pi_packs *packs)
{
    *services = (pi_services){.packs = packs};
    pi_arena_init(&services->arena, heap);
}

void pi_services_deinit(pi_services *services)
{
    for (struct pi_owned *o = services->owned; o; o = o->next) o->free_fn(o->object);
    services->owned = NULL;
    pi_arena_deinit(&services->arena);
}

void *pi_prep_alloc(pi_prep *prep, size_t bytes, pi_error *err)
{
    return pi_arena_alloc(&prep->services->arena, bytes ? bytes : 1, err);
}

pi_status pi_prep_own(pi_prep *prep, void (*free_fn)(void *), void *object, pi_error *err)
{
    struct pi_owned *o = pi_arena_alloc(&prep->services->arena, sizeof *o, err);
    if (!o) {
        free_fn(object);
        return pi_alloc_status(err);
    }
    *o = (struct pi_owned){prep->services->owned, free_fn, object};
    prep->services->owned = o;
    return PI_E_OK;
}

bool pi_prep_is_const(const pi_prep *prep, uint32_t i)
{
    const pi_node *node = prep->node;
    if (i >= node->n_in || !prep->in[i]) return false;
    return (node->in[i] && node->in[i]->constant) || (prep->services->once && prep->in[i]->data);
}

/* The bytes of constant input i: bound, or read from the file now. Where prepare sees F32 in place of a narrower type
 * (ops/widen.h) they are converted into *made. */
static pi_status source_of(const pi_prep *prep, uint32_t i, pi_const *c, pi_tensor *source, void **made, pi_error *err)
{
    *source = *prep->in[i];
    if (c) {
        PI_TRY(pi_const_load(c, err));
        source->data = c->t.data;
        if (c->t.dtype != source->dtype && source->dtype == PI_DTYPE_F32) {
            int64_t n = pi_tensor_n(&c->t);
            source->data = *made = pi_calloc(prep->services->arena.heap, (size_t)n, sizeof(float), err);
            if (!*made) return pi_alloc_status(err);
            pi_read_f32(c->t.dtype, c->t.data, 1, n, *made);
        }
    }
    if (!source->data) return pi_fail(err, PI_E_INTERNAL, "input %u is no constant and cannot be packed", i);
    return PI_E_OK;
}

pi_status pi_prep_pack(pi_prep *prep, uint32_t i, const void *key, size_t key_size, size_t bytes, pi_pack_fn pack_fn,
                       void *arg, const void **out, pi_error *err)
{
    pi_services *services = prep->services;
    pi_const *c = prep->node->in[i] ? prep->node->in[i]->constant : NULL;
    pi_packs *packs = c ? services->packs : NULL;
    if (packs && (*out = pi_packs_find(packs, c, key, key_size)) != NULL) return PI_E_OK;
    pi_tensor source;
    pi_status st = PI_E_OK;
    void *made = NULL, *block = NULL, *done_block;
    PI_TRY_DONE(source_of(prep, i, c, &source, &made, err));
    if (!(block = pi_alloc(services->arena.heap, bytes, err))) {
        st = pi_alloc_status(err);
        goto done;
    }
    PI_TRY_DONE(pack_fn(arg, &source, block, err));
    done_block = block;
    block = NULL; /* the next call takes it over */
    PI_TRY_DONE(packs ? pi_packs_add(packs, c, key, key_size, done_block, bytes, err)
                      : pi_prep_own(prep, pi_free, done_block, err));
    *out = done_block;
done:
    pi_free(block);
    pi_free(made);
    return st;
}

void pi_prep_drop(pi_prep *prep, uint32_t i)
{
    if (i < 64) prep->services->drop |= (uint64_t)1 << i;
}

int pi_prep_threads(pi_prep *prep, double flops)
{
    enum { SMALL = 600000 }; /* 5 microseconds of a core at 116 GFLOP/s; fork and join take 1, far more if a core is busy */
    prep->flops = flops;
    return flops < SMALL ? 1 : prep->threads;
}
