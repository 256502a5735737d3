/* SPDX-License-Identifier: Apache-2.0 */
/* The picture of a file: its bytes at their places in reserved address space, large raw data left out. A first skim
 * follows the messages that can hold such data and reads the rest, so a model of gigabytes costs what its graph costs. */
#include <string.h>
#include "model/reader.h"

typedef enum { NONE, MODEL, GRAPH, FUNCTION, NODE, ATTR, TENSOR, SPARSE, RAW } message_kind;

/* What field `number` of a message holds, as far as it leads to raw data. */
static message_kind inside(message_kind kind, uint32_t number)
{
    switch (kind) {
    case MODEL: return number == 7 ? GRAPH : number == 25 ? FUNCTION : NONE;
    case GRAPH: return number == 1 ? NODE : number == 5 ? TENSOR : number == 15 ? SPARSE : NONE;
    case FUNCTION: return number == 7 ? NODE : NONE;
    case NODE: return number == 5 ? ATTR : NONE;
    case ATTR: return number == 5 || number == 10 ? TENSOR : number == 6 || number == 11 ? GRAPH : number == 22 ? SPARSE : NONE;
    case SPARSE: return number == 1 || number == 2 ? TENSOR : NONE;
    case TENSOR: return number == 9 ? RAW : NONE;
    default: return NONE;
    }
}

typedef struct {
    pi_reader *r;
    uint8_t *space;
    uint64_t n, filled; /* the file's size; all before `filled` that is wanted is there */
    size_t window, taken, charged;
} picture;

enum { WINDOW_MIN = 4096, WINDOW_MAX = 1 << 16, CHARGE = 1 << 20, SKIM_DEPTH = 3 * PI_MAX_DEPTH + 8 };

/* The account must know of the picture: a block of the same size, never touched, stands for it. */
static pi_status charge(picture *p, size_t more, pi_error *err)
{
    p->taken += more;
    if (p->taken <= p->charged) return PI_E_OK;
    size_t want = p->charged ? p->charged * 2 : CHARGE;
    while (want < p->taken) want *= 2;
    if (want > p->n) want = (size_t)p->n; /* all of the file: no more can come */
    pi_free(p->r->charge);
    p->r->charge = pi_alloc(p->r->heap, want, err);
    p->charged = want;
    return p->r->charge ? PI_E_OK : pi_alloc_status(err);
}

/* Bytes [at, at + n) are wanted; at + n is within the file. */
static pi_status ensure(picture *p, uint64_t at, uint64_t n, pi_error *err)
{
    if (at + n <= p->filled) return PI_E_OK;
    if (at > p->filled) { /* behind a hole */
        p->filled = at;
        p->window = WINDOW_MIN;
    }
    uint64_t from = p->filled, want = at + n - from;
    if (want < p->window) want = p->window;
    if (want > p->n - from) want = p->n - from;
    if (p->window < WINDOW_MAX) p->window *= 2;
    PI_TRY(charge(p, (size_t)want, err));
    PI_TRY(pi_file_read(p->r->file, from, p->space + from, (size_t)want, err));
    p->filled = from + want;
    return PI_E_OK;
}

typedef struct {
    uint64_t end;
    message_kind kind;
} level;

static pi_status skim(picture *p, pi_error *err)
{
    level stack[SKIM_DEPTH];
    int depth = 0;
    uint64_t at = 0;
    stack[depth++] = (level){p->n, MODEL};
    while (depth) {
        level *top = &stack[depth - 1];
        if (at == top->end) {
            depth--;
            continue;
        }
        uint64_t left = top->end - at, tag, value = 0;
        PI_TRY(ensure(p, at, left < 20 ? left : 20, err));
        const uint8_t *from = p->space + at, *q = from, *end = from + (left < 20 ? left : 20);
        bool ok = pi_varint(&q, end, &tag);
        unsigned type = (unsigned)(tag & 7);
        if (ok && (type == PI_WIRE_VARINT || type == PI_WIRE_BYTES)) ok = pi_varint(&q, end, &value);
        if (ok && type == PI_WIRE_FIXED32) ok = end - q >= 4, q += 4;
        if (ok && type == PI_WIRE_FIXED64) ok = end - q >= 8, q += 8;
        if (!ok || (type != PI_WIRE_VARINT && type != PI_WIRE_BYTES && type != PI_WIRE_FIXED32 && type != PI_WIRE_FIXED64))
            return pi_fail(err, PI_E_MODEL, "byte %llu: not a field of an ONNX file", (unsigned long long)at);
        uint64_t start = at + (uint64_t)(q - from);
        if (type != PI_WIRE_BYTES) {
            at = start;
            continue;
        }
        if (value > top->end - start)
            return pi_fail(err, PI_E_MODEL, "byte %llu: field %u has %llu bytes, but only %llu are left: it seems to be cut off",
                           (unsigned long long)at, (unsigned)(tag >> 3), (unsigned long long)value,
                           (unsigned long long)(top->end - start));
        message_kind kind = tag >> 3 < 100 ? inside(top->kind, (uint32_t)(tag >> 3)) : NONE;
        at = start;
        if (value > READ_LARGE && kind != NONE && kind != RAW && depth < SKIM_DEPTH) {
            stack[depth++] = (level){start + value, kind};
            continue;
        }
        if (value <= READ_LARGE || kind != RAW) PI_TRY(ensure(p, at, value, err));
        at += value;
    }
    return PI_E_OK;
}

pi_status read_open(pi_reader *r, const pi_model_source *source, pi_error *err)
{
    r->external_allowed = source->path || source->external_dir;
    if (source->file) {
        r->file = pi_file_ref(source->file);
    } else if (source->path) {
        PI_TRY(pi_file_open(source->path, &r->file, err));
    } else {
        PI_TRY(pi_file_memory(source->bytes, source->n, source->release, source->owner, source->external_dir, &r->file, err));
        r->base = pi_file_bytes(r->file);
        r->n = source->n;
        return read_hint(r->base, r->n, r->n, err);
    }
    uint8_t first[1024];
    uint64_t size = pi_file_size(r->file);
    size_t n = size < sizeof first ? (size_t)size : sizeof first;
    PI_TRY(pi_file_read(r->file, 0, first, n, err));
    PI_TRY(read_hint(first, n, size, err));
    if (size > SIZE_MAX / 2) return pi_fail(err, PI_E_LIMIT, "the file has %llu bytes", (unsigned long long)size);
    r->n = (size_t)size;
    r->reserved = pi_reserve(r->n, err);
    if (!r->reserved) return pi_alloc_status(err);
    r->base = r->reserved;
    r->holes = true;
    picture p = {.r = r, .space = r->reserved, .n = size, .window = WINDOW_MIN};
    return skim(&p, err);
}

void read_close(pi_reader *r)
{
    for (uint32_t i = 0; i < r->n_external; i++) pi_file_unref(r->external_file[i]);
    pi_free(r->external_file);
    pi_free(r->external_name);
    pi_map_deinit(&r->external);
    if (r->reserved) pi_unreserve(r->reserved, r->n);
    pi_free(r->charge);
    if (r->file) pi_file_unref(r->file);
}
