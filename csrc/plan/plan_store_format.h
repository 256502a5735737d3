/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a store, as plan_store.c reads and plan_store_write.c writes them: little-endian, each record 8-byte
 * aligned. Another byte order or word size has another STORE_MAGIC in its eyes, or fails the sums. */
#ifndef PI_PLAN_PLAN_STORE_FORMAT_H
#define PI_PLAN_PLAN_STORE_FORMAT_H
#include "plan/plan_store.h"

#define STORE_MAGIC "PYINFER\x1a"
/* To be raised when a record changes here, or what a pack function writes under the same key. */
enum { STORE_FORMAT = 2 };
enum { STORE_ALIGN = 4096, STORE_KEY = 4096 };

typedef struct {
    char magic[PI_STORE_MAGIC];
    uint32_t format, inside; /* inside: 1, the parts' bytes are in the file */
    uint64_t file_bytes, index_at, index_bytes, index_sum;
    uint32_t n_parts, n_blocks, n_choices, unused;
    char machine[PI_STORE_MACHINE];
    uint64_t sum; /* of all this, with 0 here */
} store_header;

typedef struct { /* the name follows, then, if inside, the sums of its chunks */
    pi_file_id id;
    uint64_t at, size, name_bytes;
} store_part;

typedef struct { /* the id follows: a store_id and the key */
    uint64_t at, bytes, sum, id_bytes;
} store_block;

/* Choices follow the blocks: they are pi_choice as it is. */
_Static_assert(sizeof(pi_choice) == 24, "a choice without gaps");

/* What a block was packed from. */
typedef struct {
    uint32_t from, dtype; /* number of the model's file */
    uint64_t offset, source_bytes, factor, bytes, rank;
    int64_t dim[PI_MAX_RANK];
} store_id;

/* false: the constant has no place in a file. */
bool store_id_of(const pi_const *c, size_t bytes, store_id *id);
/* Blocks that may be used, and one of them. */
uint32_t store_blocks(const pi_store *store);
const store_block *store_block_at(const pi_store *store, uint32_t i, const void **bytes);
#endif
