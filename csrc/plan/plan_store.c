/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of stores: see plan_store.h. */
#include "plan/plan_store.h"

#include <string.h>
#include "base/map.h"
#include "base/sum.h"
#include "plan/plan_store_format.h"

typedef struct {
    const store_block *head; /* in the index */
    int checked;             /* atomic: 0 not yet, 1 good, 2 damaged */
} block;

struct pi_store {
    pi_heap *heap;
    pi_file *file;
    const unsigned char *bytes; /* the mapping */
    store_header header;
    uint64_t *index; /* 8-byte aligned */
    const pi_choice *choice; /* in the index */
    pi_file_part *part;
    const store_part **part_head;
    block *block;
    pi_map blocks; /* by id */
    bool fits;
};

bool pi_store_is(const void *magic) { return memcmp(magic, STORE_MAGIC, PI_STORE_MAGIC) == 0; }

/* ---- opening ---- */

static pi_status damaged(pi_error *err, const char *what)
{
    return pi_fail(err, PI_E_FILE, "the saved plan is damaged: %s; make it again", what);
}

static uint64_t header_sum(const store_header *h)
{
    store_header copy = *h;
    copy.sum = 0;
    return pi_sum64(&copy, sizeof copy);
}

static pi_status read_header(pi_store *s, const char *machine, pi_error *err)
{
    store_header *h = &s->header;
    if (pi_file_size(s->file) < sizeof *h) return damaged(err, "it is cut off");
    PI_TRY(pi_file_read(s->file, 0, h, sizeof *h, err));
    if (!pi_store_is(h->magic)) return pi_fail(err, PI_E_FILE, "this is no saved plan");
    if (h->format != STORE_FORMAT)
        return pi_fail(err, PI_E_FILE, "the saved plan has format %u, this version reads format %u: make it again",
                       h->format, (unsigned)STORE_FORMAT);
    if (h->sum != header_sum(h)) return damaged(err, "its header");
    if (h->file_bytes != pi_file_size(s->file)) return damaged(err, "it is cut off, or longer than it was");
    if (h->index_at > h->file_bytes || h->index_bytes > h->file_bytes - h->index_at || h->index_bytes % 8 ||
        h->index_at % 8)
        return damaged(err, "the place of its index");
    s->fits = strlen(machine) < sizeof h->machine && strncmp(h->machine, machine, sizeof h->machine) == 0;
    return PI_E_OK;
}

/* A walk over the index. */
typedef struct {
    const unsigned char *at;
    size_t left;
} cursor;

static const void *take(cursor *c, uint64_t n)
{
    uint64_t padded = n + (-n & 7);
    if (n > c->left || padded > c->left) return NULL;
    const void *p = c->at;
    c->at += padded;
    c->left -= (size_t)padded;
    return p;
}

static bool within(const pi_store *s, uint64_t at, uint64_t n)
{
    return at <= s->header.file_bytes && n <= s->header.file_bytes - at;
}

static pi_status read_parts(pi_store *s, cursor *c, pi_error *err)
{
    uint32_t n = s->header.n_parts;
    if (n > c->left / sizeof(store_part)) return damaged(err, "the number of its files");
    s->part = pi_calloc(s->heap, n + 1u, sizeof *s->part, err);
    s->part_head = pi_calloc(s->heap, n + 1u, sizeof *s->part_head, err);
    if (!s->part || !s->part_head) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++) {
        const store_part *head = take(c, sizeof *head);
        const char *name = head ? take(c, head->name_bytes) : NULL;
        if (!name) return damaged(err, "its list of files");
        s->part_head[i] = head;
        s->part[i] = (pi_file_part){.name = name, .name_n = (size_t)head->name_bytes};
        if (!s->header.inside) continue;
        uint64_t chunks = head->size / PI_FILE_CHUNK + (head->size % PI_FILE_CHUNK != 0);
        if (!within(s, head->at, head->size)) return damaged(err, "the place of a file in it");
        s->part[i].sum = take(c, chunks * sizeof(uint64_t)); /* no overflow: size is within the file's */
        if (!s->part[i].sum) return damaged(err, "the sums of a file in it");
        s->part[i].start = head->at;
        s->part[i].size = head->size;
    }
    return PI_E_OK;
}

static pi_status read_blocks(pi_store *s, cursor *c, pi_error *err)
{
    uint32_t n = s->header.n_blocks;
    if (n > c->left / sizeof(store_block)) return damaged(err, "the number of its blocks");
    if (!(s->block = pi_calloc(s->heap, n + 1u, sizeof *s->block, err))) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++) {
        const store_block *head = take(c, sizeof *head);
        const char *id = head ? take(c, head->id_bytes) : NULL;
        if (!id || head->id_bytes < sizeof(store_id)) return damaged(err, "its list of blocks");
        if (!within(s, head->at, head->bytes) || head->at % STORE_ALIGN) return damaged(err, "the place of a block");
        s->block[i].head = head;
        PI_TRY(pi_map_set(&s->blocks, id, (size_t)head->id_bytes, i, err));
    }
    return PI_E_OK;
}

static pi_status read_choices(pi_store *s, cursor *c, pi_error *err)
{
    uint32_t n = s->header.n_choices;
    if (n > c->left / sizeof(pi_choice)) return damaged(err, "the number of its choices");
    s->choice = take(c, n * sizeof(pi_choice));
    return c->left ? damaged(err, "its index") : PI_E_OK;
}

static pi_status read_index(pi_store *s, pi_error *err)
{
    size_t n = (size_t)s->header.index_bytes;
    if (!(s->index = pi_alloc(s->heap, n, err))) return pi_alloc_status(err);
    PI_TRY(pi_file_read(s->file, s->header.index_at, s->index, n, err));
    if (pi_sum64(s->index, n) != s->header.index_sum) return damaged(err, "its index");
    cursor c = {(const unsigned char *)s->index, n};
    PI_TRY(read_parts(s, &c, err));
    PI_TRY(read_blocks(s, &c, err));
    return read_choices(s, &c, err);
}

pi_status pi_store_open(pi_file *file, bool own, const char *machine, pi_heap *heap, pi_store **out, pi_error *err)
{
    pi_status st = PI_E_OK;
    const void *bytes;
    *out = NULL;
    pi_store *s = pi_calloc(heap, 1, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    s->heap = heap;
    s->file = pi_file_ref(file);
    pi_map_init(&s->blocks, heap);
    PI_TRY_DONE(read_header(s, machine, err));
    PI_TRY_DONE(read_index(s, err));
    PI_TRY_DONE(pi_file_map(file, own, &bytes, err));
    s->bytes = bytes;
    *out = s;
    s = NULL;
done:
    pi_store_close(s);
    return st;
}

void pi_store_close(pi_store *s)
{
    if (!s) return;
    pi_map_deinit(&s->blocks);
    pi_free(s->block);
    pi_free(s->part);
    pi_free(s->part_head);
    pi_free(s->index);
    pi_file_unref(s->file);
    pi_free(s);
}

/* ---- use ---- */

bool pi_store_fits(const pi_store *s) { return s->fits; }

const pi_file_part *pi_store_parts(const pi_store *s, uint32_t *n)
{
    *n = s->header.inside ? s->header.n_parts : 0;
    return s->part;
}

bool pi_store_is_of(const pi_store *s, const pi_file_id *id, uint32_t n)
{
    if (n != s->header.n_parts) return false;
    for (uint32_t i = 0; i < n; i++)
        if (id[i].inode == 0 || memcmp(&id[i], &s->part_head[i]->id, sizeof *id) != 0) return false;
    return true;
}

bool store_id_of(const pi_const *c, size_t bytes, store_id *id)
{
    const pi_const *from = c->base ? c->base : c;
    memset(id, 0, sizeof *id);
    if (!from->from) return false;
    id->from = from->from - 1;
    id->dtype = (uint32_t)from->t.dtype;
    id->offset = from->offset;
    id->source_bytes = from->bytes;
    id->bytes = bytes;
    id->rank = (uint64_t)from->t.rank;
    memcpy(id->dim, from->t.dim, (size_t)from->t.rank * sizeof *id->dim);
    if (c->base) id->factor = 1;
    if (c->factor) id->factor |= pi_sum64(c->factor, (size_t)c->t.dim[c->axis] * sizeof *c->factor) ^ (uint64_t)c->axis << 1;
    return true;
}

static pi_status check(block *b, const void *bytes, pi_error *err)
{
    int state = __atomic_load_n(&b->checked, __ATOMIC_ACQUIRE);
    if (!state) {
        pi_file_populate(bytes, (size_t)b->head->bytes);
        state = pi_sum64(bytes, (size_t)b->head->bytes) == b->head->sum ? 1 : 2;
        __atomic_store_n(&b->checked, state, __ATOMIC_RELEASE);
    }
    return state == 1 ? PI_E_OK : damaged(err, "a block of packed weights");
}

pi_status pi_store_find(void *store, const pi_const *c, const void *key, size_t key_size, size_t bytes,
                        const void **found, pi_error *err)
{
    pi_store *s = store;
    store_id id;
    unsigned char text[sizeof id + STORE_KEY];
    *found = NULL;
    if (!s->fits || key_size > STORE_KEY || !store_id_of(c, bytes, &id)) return PI_E_OK;
    memcpy(text, &id, sizeof id);
    memcpy(text + sizeof id, key, key_size);
    uint32_t i = pi_map_get(&s->blocks, (const char *)text, sizeof id + key_size);
    if (i == UINT32_MAX || s->block[i].head->bytes != bytes) return PI_E_OK;
    const void *at = s->bytes + s->block[i].head->at;
    pi_status st = check(&s->block[i], at, err);
    if (st != PI_E_OK && !s->header.inside) return PI_E_OK;
    if (st == PI_E_OK) *found = at;
    return st;
}

pi_status pi_store_choices(const pi_store *s, pi_choices *to, pi_error *err)
{
    for (uint32_t i = 0; s->fits && i < s->header.n_choices; i++)
        if (memchr(s->choice[i].impl, '\0', PI_CHOICE_NAME))
            PI_TRY(pi_choices_add(to, &s->choice[i], s->choice[i].impl, false, err));
    return PI_E_OK;
}

uint32_t store_blocks(const pi_store *s) { return s->fits ? s->header.n_blocks : 0; }

const store_block *store_block_at(const pi_store *s, uint32_t i, const void **bytes)
{
    *bytes = s->bytes + s->block[i].head->at;
    return s->block[i].head;
}
