/* SPDX-License-Identifier: Apache-2.0 */
/* Counted lists of constants. */
#include "graph/seq.h"

pi_seq *pi_seq_new(pi_heap *heap, pi_dtype dtype, int64_t n, pi_error *err)
{
    size_t bytes;
    if (n < 0 || n > PI_MAX_SEQUENCE || !pi_mul((size_t)n, sizeof(pi_const *), &bytes) || !pi_add(bytes, sizeof(pi_seq), &bytes)) {
        (void)pi_fail(err, PI_E_LIMIT, "a sequence of %lld tensors, at most %d are supported", (long long)n, PI_MAX_SEQUENCE);
        return NULL;
    }
    pi_seq *s = pi_calloc(heap, 1, bytes, err);
    if (!s) return NULL;
    s->self = s;
    s->dtype = dtype;
    s->refs = 1;
    s->n = (uint32_t)n;
    return s;
}

pi_seq *pi_seq_ref(pi_seq *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

/* Through pi_const_unref of an optional's sequence this comes back once; nothing nests deeper. */
void pi_seq_unref(pi_seq *s)
{
    if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    for (uint32_t i = 0; i < s->n; i++) pi_const_unref(s->item[i]);
    pi_free(s);
}

static void release(void *owner) { pi_seq_unref(owner); }

pi_const *pi_seq_const(pi_heap *heap, pi_dtype dtype, pi_seq *s, pi_error *err)
{
    pi_tensor t = pi_seq_tensor(s, dtype);
    pi_const *c = pi_const_view(heap, &t, release, s, err);
    if (!c) pi_seq_unref(s);
    return c;
}
