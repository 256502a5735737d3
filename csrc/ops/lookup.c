/* SPDX-License-Identifier: Apache-2.0 */
/* See lookup.h. */
#include "ops/lookup.h"
#include "ops/order.h"
#include "ops/utf8.h"

typedef struct {
    const char *bytes;
    size_t n;
    int64_t i;
    double f;
} lookup_key;

static lookup_key key_at(const pi_lookup *l, int64_t i)
{
    lookup_key k = {0};
    if (l->texts)
        k = (lookup_key){.bytes = l->texts[i].bytes, .n = l->texts[i].n};
    else if (l->ints)
        k.i = l->ints[i];
    else
        k.f = l->floats[i];
    return k;
}

static int key_compare(const pi_lookup *l, const lookup_key *a, const lookup_key *b)
{
    if (l->texts) return pi_text_compare(a->bytes, a->n, b->bytes, b->n, l->fold);
    if (l->ints) return (a->i > b->i) - (a->i < b->i);
    bool na = a->f != a->f, nb = b->f != b->f;
    return na || nb ? na - nb : (a->f > b->f) - (a->f < b->f);
}

static bool place_before(const void *arg, int64_t a, int64_t b)
{
    const pi_lookup *l = arg;
    lookup_key x = key_at(l, a), y = key_at(l, b);
    int c = key_compare(l, &x, &y);
    return c ? c < 0 : a < b;
}

pi_status pi_lookup_sort(pi_lookup *l, pi_prep *prep, pi_error *err)
{
    size_t bytes;
    if (!pi_mul((size_t)l->n, sizeof *l->place, &bytes)) return pi_fail(err, PI_E_LIMIT, "too many keys");
    if (!(l->place = pi_prep_alloc(prep, bytes, err))) return pi_alloc_status(err);
    for (int64_t i = 0; i < l->n; i++) l->place[i] = i;
    pi_order_sort(l->place, l->n, place_before, l);
    l->count = 0;
    for (int64_t i = 0; i < l->n; i++) {
        lookup_key x = key_at(l, l->place[i]);
        if (l->count) {
            lookup_key last = key_at(l, l->place[l->count - 1]);
            if (key_compare(l, &last, &x) == 0) l->count--;
        }
        l->place[l->count++] = l->place[i];
    }
    return PI_E_OK;
}

static int64_t find(const pi_lookup *l, const lookup_key *key)
{
    int64_t low = 0, high = l->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        lookup_key k = key_at(l, l->place[middle]);
        int c = key_compare(l, &k, key);
        if (c == 0) return l->place[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

int64_t pi_lookup_text(const pi_lookup *l, const char *bytes, size_t n)
{
    return find(l, &(lookup_key){.bytes = bytes, .n = n});
}
int64_t pi_lookup_int(const pi_lookup *l, int64_t key) { return find(l, &(lookup_key){.i = key}); }
int64_t pi_lookup_float(const pi_lookup *l, double key) { return find(l, &(lookup_key){.f = key}); }
