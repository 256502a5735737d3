/* SPDX-License-Identifier: Apache-2.0 */
/* The general copy: axes are merged until as few as possible are left, the innermost one or two go to a loop of their own, the
 * others count like an odometer. */
#include "kernels/layout/layout.h"

#include <stdbool.h>
#include <string.h>

enum { UNIT_BYTES = 16 << 10 }; /* a unit has at least about this size where an inner axis allows it */

/* Drops axes of length 1 and joins neighbours that are adjacent on both sides; returns the new rank. */
static int copy_merge(int rank, int64_t *dim, int64_t *src, int64_t *dst)
{
    int n = 0;
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 1) continue;
        if (n > 0 && src[n - 1] == src[i] * dim[i] && dst[n - 1] == dst[i] * dim[i]) {
            dim[n - 1] *= dim[i];
        } else {
            dim[n] = dim[i];
            n++;
        }
        src[n - 1] = src[i];
        dst[n - 1] = dst[i];
    }
    return n;
}

/* Takes axis i out of the outer ones and makes it inner axis k. */
static void copy_take(pi_copy *c, int i, int k)
{
    c->n[k] = c->dim[i];
    c->isrc[k] = c->src[i];
    c->idst[k] = c->dst[i];
    c->rank--;
    for (; i < c->rank; i++) {
        c->dim[i] = c->dim[i + 1];
        c->src[i] = c->src[i + 1];
        c->dst[i] = c->dst[i + 1];
    }
}

static bool copy_is_word(size_t bytes) { return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16; }

void pi_copy_plan(pi_copy *c, size_t elem, int rank, const int64_t *dim, const int64_t *src_stride,
                  const int64_t *dst_stride)
{
    memset(c, 0, sizeof *c);
    c->n[0] = c->n[1] = 1;
    c->elem = elem;
    for (int i = 0; i < rank; i++) {
        if (dim[i] <= 0) return;
        c->dim[i] = dim[i];
        c->src[i] = src_stride[i] * (int64_t)elem;
        c->dst[i] = dst_stride[i] * (int64_t)elem;
    }
    c->rank = copy_merge(rank, c->dim, c->src, c->dst);
    int last = c->rank - 1;
    if (last >= 0 && c->src[last] == (int64_t)c->elem && c->dst[last] == (int64_t)c->elem) {
        /* a short run is one bigger element, which turns more copies into transposes and fills */
        size_t run = c->elem * (size_t)c->dim[last];
        if (copy_is_word(run)) {
            c->elem = run;
            c->rank--;
            last--;
        }
    }
    int64_t word = (int64_t)c->elem;
    if (last >= 0) {
        copy_take(c, last, 1);
        int with = -1; /* the axis that is adjacent in the source */
        for (int i = 0; i < c->rank; i++)
            if (c->src[i] == word) with = i;
        if (c->isrc[1] == word && c->idst[1] == word)
            c->kind = PI_COPY_ROWS;
        else if (c->isrc[1] == 0 && c->idst[1] == word && copy_is_word(c->elem))
            c->kind = PI_COPY_FILL;
        else if (c->idst[1] == word && with >= 0 && copy_is_word(c->elem)) {
            c->kind = PI_COPY_TRANSPOSE;
            c->transpose = pi_transpose_select(c->elem);
        } else
            c->kind = PI_COPY_STRIDED;
        if (c->kind == PI_COPY_TRANSPOSE)
            copy_take(c, with, 0);
        else if (c->rank > 0)
            copy_take(c, c->rank - 1, 0);
    } else {
        c->kind = PI_COPY_ROWS;
        c->isrc[1] = c->idst[1] = word;
    }
    /* Units: cut the outer one of the inner axes, or the inner one if there is only one; of a transpose the longer one. */
    c->split = c->kind == PI_COPY_TRANSPOSE ? c->n[1] > c->n[0] : c->n[0] <= 1;
    int64_t each = word * c->n[!c->split];
    c->step = each >= UNIT_BYTES ? 1 : UNIT_BYTES / each;
    if (c->kind == PI_COPY_TRANSPOSE && c->step < 64) c->step = 64; /* whole tiles and cache lines */
    if (c->step > c->n[c->split]) c->step = c->n[c->split];
    c->cuts = (c->n[c->split] + c->step - 1) / c->step;
    c->units = c->cuts;
    for (int i = 0; i < c->rank; i++) c->units *= c->dim[i];
    c->unit_bytes = each * c->step;
}

/* Lines of 64 bytes; the last one overlaps the one before it. */
#define FILL(bytes)                                                                           \
    {                                                                                         \
        char line[64], *d = dst, *end = d + (size_t)n * (bytes);                              \
        if (n < 64 / (bytes)) {                                                               \
            for (; d < end; d += (bytes)) memcpy(d, value, bytes);                            \
            return;                                                                           \
        }                                                                                     \
        for (size_t i = 0; i < sizeof line; i += (bytes)) memcpy(line + i, value, bytes);     \
        for (; end - d > 64; d += sizeof line) memcpy(d, line, sizeof line);                  \
        memcpy(end - 64, line, sizeof line);                                                  \
        return;                                                                               \
    }

void pi_fill(void *dst, const void *value, size_t elem, int64_t n)
{
    if (n <= 0) return;
    if (elem == 1 || memcmp(value, (const char *)value + 1, elem - 1) == 0) { /* all bytes are the same */
        memset(dst, *(const unsigned char *)value, (size_t)n * elem);
        return;
    }
    switch (elem) {
    case 2: FILL(2)
    case 4: FILL(4)
    case 8: FILL(8)
    case 16: FILL(16)
    default: return;
    }
}
#undef FILL

static inline void strided_row(const char *s, ptrdiff_t ss, char *d, ptrdiff_t ds, size_t elem, int64_t n)
{
    switch (elem) { /* a constant size makes memcpy one move */
    case 1: for (int64_t i = 0; i < n; i++, s += ss, d += ds) *d = *s; break;
    case 2: for (int64_t i = 0; i < n; i++, s += ss, d += ds) memcpy(d, s, 2); break;
    case 4: for (int64_t i = 0; i < n; i++, s += ss, d += ds) memcpy(d, s, 4); break;
    case 8: for (int64_t i = 0; i < n; i++, s += ss, d += ds) memcpy(d, s, 8); break;
    case 16: for (int64_t i = 0; i < n; i++, s += ss, d += ds) memcpy(d, s, 16); break;
    default: for (int64_t i = 0; i < n; i++, s += ss, d += ds) memcpy(d, s, elem); break;
    }
}

static void copy_inner(const pi_copy *c, const char *s, char *d, int64_t n0, int64_t n1)
{
    switch (c->kind) {
    case PI_COPY_ROWS:
        if (n1 == 1) { /* one element a row: the outer loop is the inner one */
            strided_row(s, c->isrc[0], d, c->idst[0], c->elem, n0);
            return;
        }
        for (int64_t i = 0; i < n0; i++, s += c->isrc[0], d += c->idst[0]) memcpy(d, s, c->elem * (size_t)n1);
        return;
    case PI_COPY_FILL:
        for (int64_t i = 0; i < n0; i++, s += c->isrc[0], d += c->idst[0]) pi_fill(d, s, c->elem, n1);
        return;
    case PI_COPY_TRANSPOSE:
        /* rows of the transpose are the steps along the destination's last axis */
        c->transpose(s, c->isrc[1], d, c->idst[0], n1, n0);
        return;
    case PI_COPY_STRIDED:
        for (int64_t i = 0; i < n0; i++, s += c->isrc[0], d += c->idst[0])
            strided_row(s, c->isrc[1], d, c->idst[1], c->elem, n1);
        return;
    }
}

void pi_copy_units(const pi_copy *c, const void *src, void *dst, int64_t begin, int64_t end)
{
    if (begin >= end) return;
    int64_t at[PI_COPY_RANK], cut = begin % c->cuts, rest = begin / c->cuts;
    const char *s = src;
    char *d = dst;
    for (int i = c->rank - 1; i >= 0; i--) {
        at[i] = rest % c->dim[i];
        rest /= c->dim[i];
        s += at[i] * c->src[i];
        d += at[i] * c->dst[i];
    }
    for (int64_t u = begin; u < end; u++) {
        int64_t n[2] = {c->n[0], c->n[1]}, from = cut * c->step;
        n[c->split] = c->n[c->split] - from < c->step ? c->n[c->split] - from : c->step;
        copy_inner(c, s + from * c->isrc[c->split], d + from * c->idst[c->split], n[0], n[1]);
        if (++cut < c->cuts) continue;
        cut = 0;
        for (int i = c->rank - 1; i >= 0; i--) {
            s += c->src[i];
            d += c->dst[i];
            if (++at[i] < c->dim[i]) break;
            at[i] = 0;
            s -= c->src[i] * c->dim[i];
            d -= c->dst[i] * c->dim[i];
        }
    }
}
