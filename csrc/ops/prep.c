/* SPDX-License-Identifier: Apache-2.0 */
/* Services for prepare: plan memory, owned objects, and packed weights that plans share. */
#include <string.h>
#include "ops/block.h"
#include "ops/prep.h"

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

void pi_services_settle(pi_services *services)
{
    for (int i = 0; i < 2; i++) {
        pi_free(services->buffer[i].block);
        services->buffer[i].block = NULL;
        services->buffer[i].bytes = 0;
    }
    services->buffered = NULL;
}

void pi_services_deinit(pi_services *services)
{
    pi_services_settle(services);
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

/* Grows by doubling: pages that are not written cost nothing, and those of a block that goes have to be paid for again. */
static void *buffer(pi_services *services, int which, size_t bytes, pi_error *err)
{
    if (services->buffer[which].bytes >= bytes && services->buffer[which].block) return services->buffer[which].block;
    pi_free(services->buffer[which].block);
    size_t more = 2 * services->buffer[which].bytes; /* of memory that was there: no overflow */
    services->buffer[which].bytes = 0;
    services->buffer[which].block = pi_alloc(services->arena.heap, more > bytes ? more : bytes, NULL);
    if (services->buffer[which].block)
        bytes = more > bytes ? more : bytes;
    else
        services->buffer[which].block = pi_alloc(services->arena.heap, bytes, err);
    if (services->buffer[which].block) services->buffer[which].bytes = bytes;
    return services->buffer[which].block;
}

void *pi_prep_buffer(pi_prep *prep, size_t bytes, pi_error *err) { return buffer(prep->services, 1, bytes, err); }

/* The bytes of constant input i: bound, or read from the file now, into a buffer. Where prepare sees F32 in place of a
 * narrower type (ops/widen.h) they are converted into *made. */
static pi_status source_of(const pi_prep *prep, uint32_t i, const pi_const *c, pi_tensor *source, void **made, pi_error *err)
{
    pi_services *services = prep->services;
    *source = *prep->in[i];
    if (c) {
        source->data = c->t.data;
        if (!source->data) {
            source->data = services->buffered == c ? services->buffer[0].block : NULL;
            if (!source->data) {
                services->buffered = NULL;
                if (!(source->data = buffer(services, 0, c->bytes, err))) return pi_alloc_status(err);
                PI_TRY(pi_const_read(c, source->data, err));
                services->buffered = c;
            }
        }
        if (c->t.dtype != source->dtype && source->dtype == PI_DTYPE_F32) {
            int64_t n = pi_tensor_n(&c->t);
            const void *narrow = source->data;
            source->data = *made = pi_calloc(services->arena.heap, (size_t)n, sizeof(float), err);
            if (!*made) return pi_alloc_status(err);
            pi_read_f32(c->t.dtype, narrow, 1, n, *made);
        }
    }
    if (!source->data) return pi_fail(err, PI_E_INTERNAL, "input %u is no constant and cannot be packed", i);
    return PI_E_OK;
}

static pi_status fill(pi_prep *prep, uint32_t i, const pi_const *c, pi_pack_fn pack_fn, void *arg, void *block, pi_error *err)
{
    pi_tensor source;
    void *made = NULL;
    if (!pack_fn) return PI_E_OK;
    pi_status st = source_of(prep, i, c, &source, &made, err);
    if (st == PI_E_OK) st = pack_fn(arg, &source, block, err);
    pi_free(made);
    return st;
}

pi_status pi_prep_pack(pi_prep *prep, uint32_t i, const void *key, size_t key_size, size_t bytes, pi_pack_fn pack_fn,
                       void *arg, const void **out, pi_error *err)
{
    pi_services *services = prep->services;
    pi_const *c = prep->node->in[i] ? prep->node->in[i]->constant : NULL;
    void *block;
    pi_status st;
    if (c && services->packs) {
        pi_pack *mine;
        PI_TRY(pi_packs_take(services->packs, c, key, key_size, bytes, !pack_fn, &mine, &block, err));
        st = mine ? fill(prep, i, c, pack_fn, arg, block, err) : PI_E_OK;
        if (mine) pi_packs_done(services->packs, mine, st == PI_E_OK);
    } else {
        pi_heap *heap = services->arena.heap;
        block = pack_fn ? pi_alloc(heap, bytes, err) : pi_alloc_sparse(heap, bytes, err);
        if (!block) return pi_alloc_status(err);
        PI_TRY(pi_prep_own(prep, pi_free, block, err));
        services->packed += bytes;
        st = fill(prep, i, c, pack_fn, arg, block, err);
    }
    if (st == PI_E_OK) *out = block;
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
