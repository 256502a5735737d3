/* SPDX-License-Identifier: Apache-2.0 */
/* TensorProto: the head is read and checked against the bytes that are there before anything is allocated. */
#include <string.h>
#include "base/half.h"
#include "model/reader.h"

/* The fields for numbers, by index in read_tensor_head.count. */
enum { IN_FLOAT, IN_INT32, IN_STRING, IN_INT64, IN_DOUBLE, IN_UINT64, PLACES };
static const struct {
    uint32_t number;
    pi_wire_type type;
} places[PLACES] = {
    [IN_FLOAT] = {4, PI_WIRE_FIXED32},   [IN_INT32] = {5, PI_WIRE_VARINT},  [IN_STRING] = {6, PI_WIRE_BYTES},
    [IN_INT64] = {7, PI_WIRE_VARINT},    [IN_DOUBLE] = {10, PI_WIRE_FIXED64}, [IN_UINT64] = {11, PI_WIRE_VARINT},
};

static int place_of(pi_dtype dtype)
{
    switch (dtype) {
    case PI_DTYPE_F32:
    case PI_DTYPE_C64: return IN_FLOAT;
    case PI_DTYPE_F64:
    case PI_DTYPE_C128: return IN_DOUBLE;
    case PI_DTYPE_I64: return IN_INT64;
    case PI_DTYPE_U32:
    case PI_DTYPE_U64: return IN_UINT64;
    case PI_DTYPE_STRING: return IN_STRING;
    default: return IN_INT32;
    }
}

/* ---- the head ---- */

static pi_status add_dim(pi_tensor *t, uint64_t dim, pi_error *err)
{
    if (t->rank == PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "more than %d dimensions", PI_MAX_RANK);
    if (dim > INT64_MAX) return pi_fail(err, PI_E_MODEL, "dimension %d is negative: %lld", t->rank, (long long)dim);
    t->dim[t->rank++] = (int64_t)dim;
    return PI_E_OK;
}

static pi_status add_dims(pi_tensor *t, const pi_field *field, pi_error *err)
{
    size_t n;
    uint64_t dim;
    PI_TRY(pi_field_count(field, PI_WIRE_VARINT, &n, err));
    if (field->type == PI_WIRE_VARINT) return add_dim(t, field->u, err);
    const uint8_t *at = field->bytes.p, *end = at + field->bytes.n;
    while (at < end) {
        if (!pi_varint(&at, end, &dim)) return pi_fail(err, PI_E_MODEL, "dimension %d has too many bytes", t->rank);
        PI_TRY(add_dim(t, dim, err));
    }
    return PI_E_OK;
}

static pi_status decimal(pi_span s, uint64_t *out, const char *what, pi_error *err)
{
    uint64_t v = 0;
    bool ok = s.n > 0 && s.n <= 18;
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = s.p[i] >= '0' && s.p[i] <= '9';
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return ok ? PI_E_OK : pi_fail(err, PI_E_MODEL, "the %s of its external data is no number of bytes", what);
}

/* A StringStringEntryProto of external_data. */
static pi_status add_external(pi_reader *r, read_tensor_head *h, pi_span message, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    pi_span key = {message.p, 0}, value = {message.p, 0};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 1) PI_TRY(pi_field_bytes(&f, &key, err));
        if (f.number == 2) PI_TRY(pi_field_bytes(&f, &value, err));
    }
    if (pi_span_is(key, "location")) h->location = value;
    if (pi_span_is(key, "offset")) return decimal(value, &h->offset, "offset", err);
    if (pi_span_is(key, "length")) {
        h->has_length = true;
        return decimal(value, &h->length, "length", err);
    }
    return PI_E_OK; /* checksum and the like */
}

static pi_status read_head(pi_reader *r, pi_span message, read_tensor_head *h, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    pi_span s;
    int64_t i, type = 0;
    *h = (read_tensor_head){.message = message, .name = {message.p, 0}};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        switch (f.number) {
        case 1: PI_TRY(add_dims(&h->t, &f, err)); break;
        case 2: PI_TRY(pi_field_int(&f, &type, err)); break;
        case 3: return pi_fail(err, PI_E_UNSUPPORTED, "tensors in segments are not supported");
        case 8: PI_TRY(pi_field_bytes(&f, &h->name, err)); break;
        case 9:
            PI_TRY(pi_field_bytes(&f, &h->raw, err));
            h->has_raw = true;
            break;
        case 13:
            PI_TRY(pi_field_bytes(&f, &s, err));
            PI_TRY(add_external(r, h, s, err));
            break;
        case 14:
            PI_TRY(pi_field_int(&f, &i, err));
            h->external = i == 1;
            break;
        default: break;
        }
        for (int k = 0; k < PLACES; k++)
            if (f.number == places[k].number) {
                size_t n;
                PI_TRY(pi_field_count(&f, places[k].type, &n, err)); /* strings: one in each field */
                h->count[k] += n;
            }
    }
    h->t.dtype = pi_dtype_from_id(type);
    if (h->t.dtype == PI_DTYPE_NONE)
        return type > 0 && type < 64 ? pi_fail(err, PI_E_UNSUPPORTED, "element type %lld is not supported", (long long)type)
                                     : pi_fail(err, PI_E_MODEL, "element type %lld does not exist", (long long)type);
    return PI_E_OK;
}

/* ---- where the bytes are ---- */

typedef struct {
    pi_file *file;
    uint64_t offset;
    const uint8_t *p; /* the same bytes in memory, or NULL */
    size_t n;
    uint32_t number; /* of the file: 0 is the model itself, then those of external data */
} bytes_at;

static pi_status open_external(pi_reader *r, pi_span location, bytes_at *out, pi_error *err)
{
    const char *key = (const char *)location.p;
    uint32_t k = pi_map_get(&r->external, key, location.n);
    if (k == UINT32_MAX) {
        if (r->n_external == r->room_external) {
            uint32_t room = r->room_external ? 2 * r->room_external : 4;
            pi_file **list = pi_realloc(r->heap, r->external_file, room * sizeof *list, err);
            if (!list) return pi_alloc_status(err);
            r->external_file = list;
            pi_span *names = pi_realloc(r->heap, r->external_name, room * sizeof *names, err);
            if (!names) return pi_alloc_status(err);
            r->external_name = names;
            r->room_external = room;
        }
        pi_file *file;
        PI_TRY(pi_file_open_external(r->file, key, location.n, &file, err));
        k = r->n_external++;
        r->external_file[k] = file;
        r->external_name[k] = location;
        PI_TRY(pi_map_set(&r->external, key, location.n, k, err));
    }
    out->file = r->external_file[k];
    out->number = k + 1;
    return PI_E_OK;
}

/* The place of raw or external data of `want` bytes, which must be all there. */
static pi_status find_bytes(pi_reader *r, const read_tensor_head *h, size_t want, bytes_at *at, pi_error *err)
{
    char type[256];
    if (!h->external) {
        *at = (bytes_at){r->file, (uint64_t)(h->raw.p - r->base), h->raw.p, h->raw.n, 0};
        if (h->raw.n != want)
            return pi_fail(err, PI_E_MODEL, "%s needs %zu bytes, but the file has %zu",
                           pi_tensor_text(&h->t, type, sizeof type), want, h->raw.n);
        if (r->holes && h->raw.n > READ_LARGE) at->p = NULL;
        return PI_E_OK;
    }
    if (!h->location.n) return pi_fail(err, PI_E_MODEL, "its external data has no location");
    if (!r->external_allowed)
        return pi_fail(err, PI_E_FILE,
                       "its data is in the file '%s', which a model given as bytes cannot open: load the model by its path",
                       read_text(r, h->location));
    if (h->has_length && h->length != want)
        return pi_fail(err, PI_E_MODEL, "%s needs %zu bytes, but its external data has the length %llu",
                       pi_tensor_text(&h->t, type, sizeof type), want, (unsigned long long)h->length);
    PI_TRY(open_external(r, h->location, at, err));
    uint64_t size = pi_file_size(at->file);
    if (h->offset > size || want > size - h->offset) {
        pi_status st = pi_fail(err, PI_E_MODEL, "%s needs %zu bytes at %llu, but the file '%s' has %llu bytes: ",
                               pi_tensor_text(&h->t, type, sizeof type), want, (unsigned long long)h->offset,
                               read_text(r, h->location), (unsigned long long)size);
        uint8_t first[32];
        bool lfs = size >= sizeof first && pi_file_read(at->file, 0, first, sizeof first, NULL) == PI_E_OK &&
                   memcmp(first, "version https://git-lfs", 23) == 0;
        pi_error_append(err, "%s", lfs ? "it is a Git LFS pointer: fetch the file itself with 'git lfs pull'"
                                       : "it is cut off, or of another model: fetch it again");
        return st;
    }
    at->offset = h->offset;
    at->p = NULL;
    at->n = want;
    return PI_E_OK;
}

static pi_status copy_bytes(const bytes_at *at, size_t from, void *out, size_t n, pi_error *err)
{
    if (!at->p) return pi_file_read(at->file, at->offset + from, out, n, err);
    if (n) memcpy(out, at->p + from, n);
    return PI_E_OK;
}

/* ---- elements smaller than a byte ---- */

/* How many elements of the tensor a number of the file's own field stands for: 1, 2 or 4. */
static size_t packed_per_byte(pi_dtype dtype)
{
    size_t bits = pi_dtype_bits(dtype);
    return bits == 4 ? 2 : bits == 2 ? 4 : 1;
}

static pi_status fill_raw(const bytes_at *at, pi_const *c, pi_error *err)
{
    size_t bits = pi_dtype_bits(c->t.dtype), n = c->bytes;
    if (bits >= 8) {
        PI_TRY(copy_bytes(at, 0, c->t.data, n, err));
        uint8_t *b = c->t.data;
        if (c->t.dtype == PI_DTYPE_BOOL)
            for (size_t i = 0; i < n; i++) b[i] = b[i] != 0;
        return PI_E_OK;
    }
    uint8_t part[1024];
    for (size_t from = 0; from < n; from += sizeof part) { /* elements; so many fill whole bytes */
        size_t m = n - from < sizeof part ? n - from : sizeof part;
        PI_TRY(copy_bytes(at, from * bits / 8, part, (m * bits + 7) / 8, err));
        for (size_t i = 0; i < m; i++) ((uint8_t *)c->t.data)[from + i] = pi_unpack_small(c->t.dtype, part, i);
    }
    return PI_E_OK;
}

static void file_release(void *file) { pi_file_unref(file); }

/* Raw or external data: left where it is if it is large and needs no change, else copied. */
static pi_status from_bytes(pi_reader *r, const read_tensor_head *h, size_t bytes, pi_const **out, pi_error *err)
{
    size_t bits = pi_dtype_bits(h->t.dtype), size = pi_dtype_size(h->t.dtype), packed = bytes;
    bytes_at at = {0};
    if (h->t.dtype == PI_DTYPE_STRING) return pi_fail(err, PI_E_MODEL, "strings cannot be raw data");
    if (bits < 8) packed = bytes / 8 * bits + (bytes % 8 * bits + 7) / 8;
    PI_TRY(find_bytes(r, h, packed, &at, err));
    if (bytes > READ_LARGE && bits >= 8 && h->t.dtype != PI_DTYPE_BOOL) {
        const uint8_t *memory = pi_file_bytes(at.file);
        size_t align = size > 8 ? 8 : size;
        if (memory && ((uintptr_t)memory + at.offset) % align == 0) { /* the caller's bytes serve as they are */
            union {
                const void *from;
                void *to;
            } data = {memory + at.offset};
            pi_tensor t = h->t;
            t.data = data.to;
            *out = pi_const_view(r->heap, &t, file_release, pi_file_ref(at.file), err);
            if (!*out) pi_file_unref(at.file);
        } else {
            *out = pi_const_file(r->heap, &h->t, at.file, at.offset, err);
        }
        if (!*out) return pi_alloc_status(err);
        (*out)->offset = at.offset;
        (*out)->from = at.number + 1;
        return PI_E_OK;
    }
    pi_const *c = pi_const_new(r->heap, h->t.dtype, h->t.rank, h->t.dim, err);
    if (!c) return pi_alloc_status(err);
    if (bits >= 8 && h->t.dtype != PI_DTYPE_BOOL) {
        c->offset = at.offset;
        c->from = at.number + 1;
    }
    pi_status st = fill_raw(&at, c, err);
    if (st != PI_E_OK)
        pi_const_unref(c);
    else
        *out = c;
    return st;
}

/* ---- numbers in their own fields ---- */

static void put(void *out, size_t size, size_t i, uint64_t u)
{
    uint8_t *p = (uint8_t *)out + i * size;
    uint32_t u32 = (uint32_t)u;
    uint16_t u16 = (uint16_t)u;
    switch (size) {
    case 0: ((uint8_t *)out)[i] = u != 0; break; /* truth */
    case 1: *p = (uint8_t)u; break;
    case 2: memcpy(p, &u16, 2); break;
    case 4: memcpy(p, &u32, 4); break;
    default: memcpy(p, &u, 8); break;
    }
}

pi_status read_numbers(pi_wire w, uint32_t number, pi_wire_type type, size_t size, void *out, size_t n, pi_error *err)
{
    pi_field f;
    bool more;
    size_t i = 0;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != number) continue;
        if (f.type == type) {
            if (i < n) put(out, size, i++, f.u);
            continue;
        }
        pi_span s;
        PI_TRY(pi_field_bytes(&f, &s, err));
        const uint8_t *at = s.p, *end = s.p + s.n;
        while (at < end && i < n) {
            uint64_t u = 0;
            size_t step = type == PI_WIRE_FIXED64 ? 8 : 4;
            if (type == PI_WIRE_VARINT) {
                if (!pi_varint(&at, end, &u)) return pi_fail(err, PI_E_MODEL, "a number has too many bytes");
            } else {
                for (size_t k = 0; k < step; k++) u |= (uint64_t)at[k] << (8 * k);
                at += step;
            }
            put(out, size, i++, u);
        }
    }
}

static pi_status from_numbers(pi_reader *r, const read_tensor_head *h, size_t bytes, pi_const **out, pi_error *err)
{
    char type[256];
    int k = place_of(h->t.dtype);
    size_t size = pi_dtype_size(h->t.dtype), per = packed_per_byte(h->t.dtype), want, have = h->count[k];
    if (h->t.dtype == PI_DTYPE_C64 || h->t.dtype == PI_DTYPE_C128) size /= 2; /* real, imaginary, real ... */
    want = per > 1 ? bytes / per + (bytes % per != 0) : bytes / size;
    if (have != want)
        return pi_fail(err, PI_E_MODEL, "%s needs %zu numbers, but the file has %zu", pi_tensor_text(&h->t, type, sizeof type),
                       want, have);
    pi_wire w = pi_wire_over(h->message, r->base);
    if (k == IN_STRING) return read_strings(r, h->t.rank, h->t.dim, want, &w, 6, out, err);
    pi_const *c = pi_const_new(r->heap, h->t.dtype, h->t.rank, h->t.dim, err);
    if (!c) return pi_alloc_status(err);
    bool truth = h->t.dtype == PI_DTYPE_BOOL;
    /* packed elements are read to the end of the block, which is larger, and spread from there, front first */
    uint8_t *data = c->t.data, *to = per > 1 ? data + (bytes - want) : data;
    pi_status st = read_numbers(w, places[k].number, places[k].type, per > 1 ? 1 : truth ? 0 : size, to, want, err);
    if (st != PI_E_OK) {
        pi_const_unref(c);
        return st;
    }
    for (size_t i = 0; pi_dtype_bits(h->t.dtype) == 6 && i < bytes; i++) data[i] &= 63;
    if (per > 1)
        for (size_t i = 0; i < bytes; i += per) {
            uint8_t packed[2] = {to[i / per], 0};
            for (size_t j = 0; j < per && i + j < bytes; j++) data[i + j] = pi_unpack_small(h->t.dtype, packed, j);
        }
    *out = c;
    return PI_E_OK;
}

/* ---- strings ---- */

static void pool_release(void *pool)
{
    pi_arena_deinit(pool);
    pi_free(pool);
}

pi_status read_strings(pi_reader *r, int rank, const int64_t *dim, size_t n, pi_wire *fields, uint32_t number, pi_const **out,
                       pi_error *err)
{
    pi_status st = PI_E_OK;
    pi_tensor t = {.dtype = PI_DTYPE_STRING};
    pi_field f;
    bool more = true;
    pi_tensor_set_shape(&t, rank, dim);
    pi_arena *pool = pi_calloc(r->heap, 1, sizeof *pool, err);
    if (!pool) return pi_alloc_status(err);
    pi_arena_init(pool, r->heap);
    const pi_str **str = pi_arena_calloc(pool, n ? n : 1, sizeof *str, err);
    if (!str) {
        st = pi_alloc_status(err);
        goto done;
    }
    for (size_t i = 0; i < n;) {
        PI_TRY_DONE(pi_wire_next(fields, &f, &more, err));
        if (!more) break;
        if (f.number != number) continue;
        if (!(str[i++] = pi_str_new(pool, (const char *)f.bytes.p, f.bytes.n, err))) {
            st = pi_alloc_status(err);
            goto done;
        }
    }
    t.data = str;
    if ((*out = pi_const_view(r->heap, &t, pool_release, pool, err)))
        pool = NULL;
    else
        st = pi_alloc_status(err);
done:
    if (pool) pool_release(pool);
    return st;
}

/* ---- all of it ---- */

static pi_status tensor_value(pi_reader *r, const read_tensor_head *h, pi_const **out, pi_error *err)
{
    size_t bytes;
    PI_TRY(pi_tensor_bytes(&h->t, &bytes, err));
    if (h->has_raw || h->external) return from_bytes(r, h, bytes, out, err);
    return from_numbers(r, h, bytes, out, err);
}

/* The name, however wrong the rest is. */
static pi_span find_name(pi_reader *r, pi_span message)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    while (pi_wire_next(&w, &f, &more, NULL) == PI_E_OK && more)
        if (f.number == 8 && f.type == PI_WIRE_BYTES) return f.bytes;
    return (pi_span){message.p, 0};
}

pi_status read_tensor(pi_reader *r, pi_span message, pi_span *name, pi_const **out, pi_error *err)
{
    read_tensor_head h;
    *out = NULL;
    pi_status st = read_head(r, message, &h, err);
    if (st == PI_E_OK) st = tensor_value(r, &h, out, err);
    if (st != PI_E_OK) pi_error_prefix(err, "tensor '%s': ", read_text(r, find_name(r, message)));
    if (name) *name = h.name;
    return st;
}
