/* SPDX-License-Identifier: Apache-2.0 */
/* Constants: counted references to immutable bytes, ours, borrowed, or still in a file. */
#include <string.h>
#include "base/half.h"
#include "base/str.h"
#include "graph/seq.h"

static pi_const *const_new(pi_heap *heap, const pi_tensor *type, pi_error *err)
{
    size_t bytes;
    if (pi_tensor_bytes(type, &bytes, err) != PI_E_OK) return NULL;
    pi_const *c = pi_calloc(heap, 1, sizeof *c, err);
    if (!c) return NULL;
    c->t = *type;
    c->t.data = NULL;
    c->bytes = bytes;
    c->heap = pi_heap_ref(heap);
    c->refs = 1;
    return c;
}

pi_const *pi_const_new(pi_heap *heap, pi_dtype dtype, int rank, const int64_t *dim, pi_error *err)
{
    pi_tensor type = {.dtype = dtype};
    pi_tensor_set_shape(&type, rank, dim);
    pi_const *c = const_new(heap, &type, err);
    if (!c) return NULL;
    c->t.data = pi_alloc(heap, c->bytes, err);
    if (!c->t.data) {
        pi_const_unref(c);
        return NULL;
    }
    c->release = pi_free;
    c->owner = c->t.data;
    return c;
}

pi_const *pi_const_view(pi_heap *heap, const pi_tensor *t, void (*release)(void *), void *owner, pi_error *err)
{
    pi_const *c = const_new(heap, t, err);
    if (!c) return NULL;
    c->t.data = t->data;
    c->release = release;
    c->owner = owner;
    return c;
}

pi_const *pi_const_file(pi_heap *heap, const pi_tensor *type, pi_file *file, uint64_t offset, pi_error *err)
{
    pi_const *c = const_new(heap, type, err);
    if (!c) return NULL;
    c->file = pi_file_ref(file);
    c->offset = offset;
    return c;
}

bool pi_const_scalable(const pi_const *base, int axis)
{
    if (base->factor) return base->axis == axis;
    return pi_dtype_in(base->t.dtype, PI_BIT(F32) | PI_BIT(F16) | PI_BIT(BF16) | PI_BIT(I8) | PI_BIT(U8));
}

pi_const *pi_const_scaled(pi_heap *heap, pi_const *base, int axis, const double *factor, pi_error *err)
{
    pi_tensor type = base->t;
    type.dtype = PI_DTYPE_F32;
    pi_const *c = const_new(heap, &type, err);
    if (!c) return NULL;
    c->base = pi_const_ref(base->base ? base->base : base);
    c->axis = axis;
    if (!factor) return c;
    int64_t n = type.dim[axis];
    c->factor = pi_calloc(heap, (size_t)n, sizeof *c->factor, err);
    if (!c->factor) {
        pi_const_unref(c);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) c->factor[i] = factor[i] * (base->factor ? base->factor[i] : 1);
    return c;
}

typedef struct {
    pi_arena pool;
    void *data;
} string_owner;

static void string_owner_free(void *p)
{
    string_owner *o = p;
    pi_arena_deinit(&o->pool);
    pi_free(o->data);
    pi_free(o);
}

static pi_const *copy_strings(pi_heap *heap, const pi_tensor *t, size_t n, pi_error *err)
{
    string_owner *o = pi_calloc(heap, 1, sizeof *o, err);
    if (!o) return NULL;
    pi_arena_init(&o->pool, heap);
    const pi_str **to = o->data = pi_calloc(heap, n, sizeof *to, err);
    const pi_str *const *from = t->data;
    bool ok = to != NULL;
    for (size_t k = 0; ok && k < n; k++)
        if (from[k] && !(to[k] = pi_str_new(&o->pool, from[k]->bytes, from[k]->n, err))) ok = false;
    pi_tensor type = *t;
    type.data = o->data;
    pi_const *c = ok ? pi_const_view(heap, &type, string_owner_free, o, err) : NULL;
    if (!c) string_owner_free(o);
    return c;
}

pi_const *pi_const_copy(pi_heap *heap, const pi_tensor *t, pi_error *err)
{
    size_t bytes;
    if (pi_dtype_is_seq(t->dtype)) return pi_seq_const(heap, t->dtype, pi_seq_ref(pi_seq_of(t)), err);
    if (pi_tensor_bytes(t, &bytes, err) != PI_E_OK) return NULL;
    if (t->dtype == PI_DTYPE_STRING) return copy_strings(heap, t, bytes / sizeof(pi_str *), err);
    pi_const *c = pi_const_new(heap, t->dtype, t->rank, t->dim, err);
    if (c && bytes) memcpy(c->t.data, t->data, bytes);
    return c;
}

pi_const *pi_const_ref(pi_const *c)
{
    if (c) __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void pi_const_unref(pi_const *c)
{
    if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    if (c->release) c->release(c->owner);
    if (c->file) pi_file_unref(c->file);
    if (c->base) pi_const_unref(c->base); /* no chain: a base has none */
    pi_free(c->factor);
    pi_heap *heap = c->heap;
    pi_free(c);
    pi_heap_unref(heap);
}

static float as_float(pi_dtype dtype, const unsigned char *p)
{
    uint16_t half;
    if (dtype == PI_DTYPE_I8) return (float)(int8_t)*p;
    if (dtype == PI_DTYPE_U8) return (float)*p;
    memcpy(&half, p, sizeof half);
    return dtype == PI_DTYPE_F16 ? pi_f16_to_float(half) : pi_bf16_to_float(half);
}

/* The narrow elements may be the end of y's own bytes: no element is written before those behind it are read. */
static void widen(const pi_tensor *base, const unsigned char *x, float *y)
{
    size_t size = pi_dtype_size(base->dtype);
    for (int64_t i = 0, n = pi_tensor_n(base); i < n; i++) {
        float wide = as_float(base->dtype, x + (size_t)i * size);
        memcpy(&y[i], &wide, sizeof wide);
    }
}

static void multiply(const pi_const *c, float *y)
{
    int64_t n = c->t.dim[c->axis], inner = pi_dims_product(&c->t, c->axis + 1, c->t.rank), all = pi_tensor_n(&c->t);
    for (int64_t at = 0; at < all; at += n * inner)
        for (int64_t r = 0; r < n; r++) {
            float *row = y + at + r * inner;
            for (int64_t i = 0; i < inner; i++) row[i] = (float)((double)row[i] * c->factor[r]);
        }
}

static pi_status read_as(const pi_const *c, void *out, pi_error *err)
{
    if (!c->t.data) return pi_file_read(c->file, c->offset, out, c->bytes, err);
    if (c->bytes) memcpy(out, c->t.data, c->bytes);
    return PI_E_OK;
}

pi_status pi_const_read(const pi_const *c, void *out, pi_error *err)
{
    const pi_const *base = c->base;
    if (!base || c->t.data) return read_as(c, out, err);
    unsigned char *narrow = (unsigned char *)out + (c->bytes - base->bytes);
    PI_TRY(read_as(base, narrow, err));
    if (base->t.dtype != PI_DTYPE_F32) widen(&base->t, narrow, out);
    if (c->factor) multiply(c, out);
    return PI_E_OK;
}

pi_status pi_const_load(pi_const *c, pi_error *err)
{
    if (c->t.data) return PI_E_OK;
    void *data = pi_alloc(c->heap, c->bytes, err);
    if (!data) return pi_alloc_status(err);
    pi_status st = pi_const_read(c, data, err);
    if (st != PI_E_OK) {
        pi_free(data);
        return st;
    }
    c->t.data = data;
    c->release = pi_free;
    c->owner = data;
    return PI_E_OK;
}

void pi_const_drop(pi_const *c)
{
    if ((!c->file && !c->base) || !c->t.data || __atomic_load_n(&c->pins, __ATOMIC_ACQUIRE) > 0) return;
    c->release(c->owner);
    c->release = NULL;
    c->owner = NULL;
    c->t.data = NULL;
}
