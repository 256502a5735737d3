/* SPDX-License-Identifier: Apache-2.0 */
/* Writing of stores: see plan_store.h. Blocks and parts first, then the index, the header last of all. */
#include <string.h>
#include "base/map.h"
#include "base/sum.h"
#include "plan/plan_store_format.h"

typedef struct {
    pi_heap *heap;
    unsigned char *bytes;
    size_t n, room;
} text;

static pi_status text_add(text *t, const void *bytes, size_t n, pi_error *err)
{
    static const unsigned char zeros[8];
    size_t want, pad = -n & 7;
    if (!pi_add(t->n, n, &want) || !pi_add(want, pad, &want)) return pi_fail(err, PI_E_LIMIT, "the index is too large");
    if (want > t->room) {
        size_t room = 2 * want;
        unsigned char *more = pi_realloc(t->heap, t->bytes, room, err);
        if (!more) return pi_alloc_status(err);
        t->bytes = more;
        t->room = room;
    }
    if (n) memcpy(t->bytes + t->n, bytes, n);
    memcpy(t->bytes + t->n + n, zeros, pad);
    t->n = want;
    return PI_E_OK;
}

typedef struct {
    const pi_store_plan *plan;
    pi_writer *writer;
    text parts, blocks, choices;
    uint32_t n_blocks, n_choices;
    uint64_t bytes; /* of blocks */
    pi_map seen;    /* ids */
    pi_arena ids;
} writing;

/* ---- blocks ---- */

static pi_status add_block(writing *w, const void *id, size_t id_bytes, const void *block, uint64_t bytes, uint64_t sum,
                           pi_error *err)
{
    uint64_t at;
    if (pi_map_get(&w->seen, id, id_bytes) != UINT32_MAX) return PI_E_OK;
    const char *kept = pi_arena_strndup(&w->ids, id, id_bytes, err);
    if (!kept) return pi_alloc_status(err);
    PI_TRY(pi_map_set(&w->seen, kept, id_bytes, w->n_blocks, err));
    w->bytes += bytes;
    if (w->plan->most && w->bytes > w->plan->most)
        return pi_fail(err, PI_E_LIMIT, "the packed weights need more than %llu bytes",
                       (unsigned long long)w->plan->most);
    PI_TRY(pi_writer_align(w->writer, STORE_ALIGN, &at, err));
    PI_TRY(pi_writer_put(w->writer, block, (size_t)bytes, err));
    const store_block head = {.at = at, .bytes = bytes, .sum = sum, .id_bytes = id_bytes};
    PI_TRY(text_add(&w->blocks, &head, sizeof head, err));
    PI_TRY(text_add(&w->blocks, id, id_bytes, err));
    w->n_blocks++;
    return PI_E_OK;
}

static pi_status add_pack(void *arg, const pi_pack_view *p, pi_error *err)
{
    writing *w = arg;
    store_id id;
    unsigned char name[sizeof id + STORE_KEY];
    if (p->key_size > STORE_KEY || !store_id_of(p->constant, p->bytes, &id)) return PI_E_OK;
    memcpy(name, &id, sizeof id);
    memcpy(name + sizeof id, p->key, p->key_size);
    return add_block(w, name, sizeof id + p->key_size, p->block, p->bytes, pi_sum64(p->block, p->bytes), err);
}

/* Those of the file before that this process did not need; a damaged one is as good as none. */
static pi_status add_before(writing *w, pi_error *err)
{
    const pi_store *before = w->plan->before;
    for (uint32_t i = 0; before && i < store_blocks(before); i++) {
        const void *bytes;
        const store_block *b = store_block_at(before, i, &bytes);
        if (pi_sum64(bytes, (size_t)b->bytes) != b->sum) continue;
        PI_TRY(add_block(w, b + 1, (size_t)b->id_bytes, bytes, b->bytes, b->sum, err));
    }
    return PI_E_OK;
}

static pi_status add_choice(void *arg, const pi_choice *choice, pi_error *err)
{
    writing *w = arg;
    w->n_choices++;
    return text_add(&w->choices, choice, sizeof *choice, err);
}

/* ---- parts ---- */

static pi_status copy_part(writing *w, const pi_store_source *source, pi_error *err)
{
    pi_status st = PI_E_OK;
    uint64_t size = pi_file_size(source->file);
    unsigned char *chunk = pi_alloc(w->parts.heap, PI_FILE_CHUNK, err);
    if (!chunk) return pi_alloc_status(err);
    for (uint64_t at = 0; at < size; at += PI_FILE_CHUNK) {
        size_t n = size - at < PI_FILE_CHUNK ? (size_t)(size - at) : PI_FILE_CHUNK;
        PI_TRY_DONE(pi_file_read(source->file, at, chunk, n, err));
        PI_TRY_DONE(pi_writer_put(w->writer, chunk, n, err));
        uint64_t sum = pi_sum64(chunk, n);
        PI_TRY_DONE(text_add(&w->parts, &sum, sizeof sum, err));
    }
done:
    pi_free(chunk);
    return st;
}

static pi_status add_parts(writing *w, pi_error *err)
{
    for (uint32_t i = 0; i < w->plan->n_sources; i++) {
        const pi_store_source *source = &w->plan->source[i];
        store_part head = {.id = source->id, .name_bytes = source->name_n};
        if (w->plan->inside) {
            head.id = (pi_file_id){0}; /* of no use, and nobody's business */
            head.size = pi_file_size(source->file);
            PI_TRY(pi_writer_align(w->writer, STORE_ALIGN, &head.at, err));
        }
        PI_TRY(text_add(&w->parts, &head, sizeof head, err));
        PI_TRY(text_add(&w->parts, source->name, source->name_n, err));
        if (w->plan->inside) PI_TRY(copy_part(w, source, err));
    }
    return PI_E_OK;
}

/* ---- all of it ---- */

static pi_status finish(writing *w, pi_error *err)
{
    store_header h = {.format = STORE_FORMAT,
                      .inside = w->plan->inside,
                      .n_parts = w->plan->n_sources,
                      .n_blocks = w->n_blocks,
                      .n_choices = w->n_choices};
    memcpy(h.magic, STORE_MAGIC, sizeof h.magic);
    strncpy(h.machine, w->plan->machine, sizeof h.machine - 1);
    PI_TRY(text_add(&w->parts, w->blocks.bytes, w->blocks.n, err)); /* one text, whose sum is told */
    PI_TRY(text_add(&w->parts, w->choices.bytes, w->choices.n, err));
    h.index_bytes = w->parts.n;
    PI_TRY(pi_writer_align(w->writer, STORE_ALIGN, &h.index_at, err));
    PI_TRY(pi_writer_put(w->writer, w->parts.bytes, w->parts.n, err));
    PI_TRY(pi_writer_align(w->writer, 8, &h.file_bytes, err));
    h.index_sum = pi_sum64(w->parts.bytes, w->parts.n);
    h.sum = pi_sum64(&h, sizeof h);
    pi_writer *writer = w->writer;
    w->writer = NULL; /* finish frees it */
    return pi_writer_finish(writer, &h, sizeof h, err);
}

pi_status pi_store_write(const pi_store_plan *plan, pi_heap *heap, pi_error *err)
{
    pi_status st = PI_E_OK;
    const store_header room = {0};
    writing w = {.plan = plan, .parts = {.heap = heap}, .blocks = {.heap = heap}, .choices = {.heap = heap}};
    pi_map_init(&w.seen, heap);
    pi_arena_init(&w.ids, heap);
    PI_TRY_DONE(pi_writer_open(plan->path, &w.writer, err));
    PI_TRY_DONE(pi_writer_put(w.writer, &room, sizeof room, err));
    PI_TRY_DONE(pi_packs_each(plan->packs, add_pack, &w, err));
    PI_TRY_DONE(add_before(&w, err));
    PI_TRY_DONE(add_parts(&w, err));
    PI_TRY_DONE(pi_choices_each(plan->choices, add_choice, &w, err));
    PI_TRY_DONE(finish(&w, err));
done:
    pi_writer_drop(w.writer);
    pi_map_deinit(&w.seen);
    pi_arena_deinit(&w.ids);
    pi_free(w.parts.bytes);
    pi_free(w.blocks.bytes);
    pi_free(w.choices.bytes);
    return st;
}
