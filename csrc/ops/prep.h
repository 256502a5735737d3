/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind pi_prep.services: memory that lives as long as a plan, and packed weights that live as long as
 * the model. Used by plan (one services object a plan, `drop` cleared for each node) and by eval (one for one call). */
#ifndef PI_OPS_PREP_H
#define PI_OPS_PREP_H
#include "ops/ops.h"

/* ---- packed forms of constants, shared by the plans of a model. Calls hold the model's lock. ---- */

typedef struct pi_packs pi_packs;
pi_packs *pi_packs_new(pi_heap *heap, pi_error *err) PI_MUST_USE;
void pi_packs_free(pi_packs *packs);
/* Bytes of all packed blocks. */
size_t pi_packs_bytes(const pi_packs *packs);
/* The packed form of c that the key names, or NULL if there is none yet. */
const void *pi_packs_find(const pi_packs *packs, const pi_const *c, const void *key, size_t key_size);
/* Takes over `block` (from pi_alloc; freed also on failure). Keeps a reference to c, so that its address stays its name. */
pi_status pi_packs_add(pi_packs *packs, pi_const *c, const void *key, size_t key_size, void *block, size_t bytes,
                       pi_error *err) PI_MUST_USE;

/* ---- services ---- */

typedef struct pi_services {
    pi_arena arena;         /* of the plan: states and lists */
    struct pi_owned *owned; /* freed by pi_services_deinit, last first */
    pi_packs *packs;        /* NULL: packed forms are owned by these services */
    bool once;              /* there is one run only: what is bound now stays */
    uint64_t drop;          /* bit i: run will not read input i of the node that is being prepared */
} pi_services;

void pi_services_init(pi_services *services, pi_heap *heap, pi_packs *packs);
void pi_services_deinit(pi_services *services);
#endif
