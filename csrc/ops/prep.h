/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind pi_prep.services: memory that lives as long as a plan, and packed weights that live as long as
 * the model. Used by plan (one services object a plan, `drop` cleared for each node) and by eval (one for one call). */
#ifndef PI_OPS_PREP_H
#define PI_OPS_PREP_H
#include "ops/ops.h"

/* ---- packed forms of constants, shared by the plans of a model (ops/packs.c). Any number of threads prepare at a time. ---- */

typedef struct pi_packs pi_packs;
pi_packs *pi_packs_new(pi_heap *heap, pi_error *err) PI_MUST_USE;
void pi_packs_free(pi_packs *packs);
/* Bytes of all packed blocks. */
size_t pi_packs_bytes(const pi_packs *packs);

typedef struct pi_pack pi_pack;
/* The packed form of c that the key names: *block, and *mine NULL; if another thread makes it now, this waits for it. If
 * there is none, *block has room for `bytes` bytes (sparse: see pi_alloc_sparse), and the caller fills it and calls
 * pi_packs_done. Keeps a reference to c, so that its address stays its name. */
pi_status pi_packs_take(pi_packs *packs, pi_const *c, const void *key, size_t key_size, size_t bytes, bool sparse,
                        pi_pack **mine, void **block, pi_error *err) PI_MUST_USE;
/* Where packed forms may lie ready. *found: bytes that live longer than the packs, or NULL. */
typedef pi_status (*pi_packs_find_fn)(void *arg, const pi_const *c, const void *key, size_t key_size, size_t bytes,
                                      const void **found, pi_error *err);
void pi_packs_look(pi_packs *packs, pi_packs_find_fn find, void *arg);
/* Bytes of the blocks that were packed here, not found, from constants that have a place in a file. */
size_t pi_packs_made(const pi_packs *packs);
typedef struct {
    const pi_const *constant;
    const void *key, *block;
    size_t key_size, bytes;
} pi_pack_view;
/* fn for each packed form that there is now (but sparse ones). Others may pack meanwhile. */
pi_status pi_packs_each(pi_packs *packs, pi_status (*fn)(void *arg, const pi_pack_view *pack, pi_error *err), void *arg,
                        pi_error *err) PI_MUST_USE;
/* Others may use it, or, after a failure, try in their turn. */
void pi_packs_done(pi_packs *packs, pi_pack *mine, bool filled);

/* ---- services ---- */

typedef struct pi_services {
    pi_arena arena;         /* of the plan: states and lists */
    struct pi_owned *owned; /* freed by pi_services_deinit, last first */
    pi_packs *packs;        /* NULL: packed forms are owned by these services */
    bool once;              /* there is one run only: what is bound now stays */
    size_t packed;          /* bytes of the packed forms that these services own */
    uint64_t drop;          /* bit i: run will not read input i of the node that is being prepared */
    struct {
        void *block; /* or NULL */
        size_t bytes;
    } buffer[2]; /* for sources of packing, and for what packing needs in between */
    const pi_const *buffered; /* whose bytes are in buffer[0]; or NULL */
} pi_services;

void pi_services_init(pi_services *services, pi_heap *heap, pi_packs *packs);
void pi_services_deinit(pi_services *services);
/* Frees the buffers, when there is nothing more to prepare for a while. */
void pi_services_settle(pi_services *services);
#endif
