/* SPDX-License-Identifier: Apache-2.0 */
/* Packed weights in a file: found there by later processes, mapped and used in place. A file of the cache belongs to a
 * model file; a saved plan has the model (and its external data) inside. Nothing in it is trusted: what could lead out
 * of the file is checked when it is opened, and each packed block is summed when it is first used. Blocks hold numbers
 * only.
 *
 *   header     magic, format, sizes, sums, the machine that it fits
 *   blocks     each from a multiple of 4096 on; then the parts: the files inside, 4096-aligned too
 *   index      parts (identity, place, name, sums of their chunks), blocks (place, sum, what they are packed from and
 * how), choices of tuning (what for, a name) */
#ifndef PI_PLAN_PLAN_STORE_H
#define PI_PLAN_PLAN_STORE_H
#include "plan/plan_tune.h"

enum { PI_STORE_MAGIC = 8, PI_STORE_MACHINE = 960 };
/* Are the first PI_STORE_MAGIC bytes of a file those of a store? */
bool pi_store_is(const void *magic);

typedef struct pi_store pi_store;
/* FILE: no store, damaged, of another format; takes a reference to file. `machine`: a text of at most PI_STORE_MACHINE
 * - 1 bytes; of a store that another text is in, no block is used. own: see pi_file_map. */
pi_status pi_store_open(pi_file *file, bool own, const char *machine, pi_heap *heap, pi_store **out,
                        pi_error *err) PI_MUST_USE;
void pi_store_close(pi_store *store); /* NULL is fine */
/* It was made on a machine or by a version that packs in the same way. */
bool pi_store_fits(const pi_store *store);
/* The files inside: 0 in the cache. They live as long as the store. */
const pi_file_part *pi_store_parts(const pi_store *store, uint32_t *n);
/* It was made from these files, unchanged since. */
bool pi_store_is_of(const pi_store *store, const pi_file_id *id, uint32_t n);
/* A pi_packs_find_fn. A damaged block: FILE if the model is inside, else as if it were not there. */
pi_status pi_store_find(void *store, const pi_const *c, const void *key, size_t key_size, size_t bytes,
                        const void **found, pi_error *err);

/* Adds the choices in it to these; none if it does not fit. */
pi_status pi_store_choices(const pi_store *store, pi_choices *to, pi_error *err) PI_MUST_USE;

typedef struct {
    const char *name;
    size_t name_n;
    pi_file_id id;
    pi_file *file; /* may be NULL if it is not put inside */
} pi_store_source;
typedef struct {
    const char *path, *machine;
    const pi_store_source *source; /* n_sources; what the model was read from */
    uint32_t n_sources;
    bool inside; /* put them into the file */
    pi_packs *packs;
    pi_choices *choices;
    const pi_store *before; /* or NULL: its blocks are kept */
    uint64_t most;          /* bytes; LIMIT if it would be larger; 0: none */
} pi_store_plan;
pi_status pi_store_write(const pi_store_plan *plan, pi_heap *heap, pi_error *err) PI_MUST_USE;
#endif
