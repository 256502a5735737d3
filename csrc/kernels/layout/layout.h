/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between strided views: transpose, slice, concat, split, expand, tile, space-to-depth are all one of these.
 * pi_copy_plan merges what can be merged and picks an inner loop; pi_copy_units does a part of the work, so that a caller
 * can share it out. Source and destination must not overlap. Nothing here fails or allocates. */
#ifndef PI_KERNELS_LAYOUT_H
#define PI_KERNELS_LAYOUT_H
#include <stddef.h>
#include <stdint.h>
#include "base/limits.h"

enum { PI_COPY_RANK = 2 * PI_MAX_RANK };

/* dst[c][r] = src[r][c], elements of a fixed size; row strides in bytes, elements in a row are adjacent. */
typedef void (*pi_transpose_fn)(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols);

/* The best one for this CPU; bytes is 1, 2, 4, 8 or 16. */
pi_transpose_fn pi_transpose_select(size_t bytes);

typedef enum { PI_COPY_ROWS, PI_COPY_FILL, PI_COPY_TRANSPOSE, PI_COPY_STRIDED } pi_copy_kind;

typedef struct {
    pi_copy_kind kind;
    pi_transpose_fn transpose;
    size_t elem;       /* bytes moved at once, after merging */
    int rank;          /* outer axes: those that the inner loops do not take */
    int64_t dim[PI_COPY_RANK], src[PI_COPY_RANK], dst[PI_COPY_RANK]; /* strides in bytes */
    int64_t n[2], isrc[2], idst[2]; /* the two inner axes; [1] is the innermost of the destination */
    int split;         /* which inner axis is cut into units */
    int64_t step, cuts; /* its length in a unit, and units along it */
    int64_t units;     /* cuts times the product of dim; 0: nothing to do */
    int64_t unit_bytes;
} pi_copy;

/* A copy of `rank` axes in the order of the destination; strides in elements of `elem` bytes, any sign, 0 in the source
 * repeats. rank <= PI_COPY_RANK. Offsets of all elements must fit in ptrdiff_t. */
void pi_copy_plan(pi_copy *copy, size_t elem, int rank, const int64_t *dim, const int64_t *src_stride,
                  const int64_t *dst_stride);
/* Units [begin, end) of copy->units. src and dst are the addresses of element (0, 0, ..). */
void pi_copy_units(const pi_copy *copy, const void *src, void *dst, int64_t begin, int64_t end);

/* n copies of the element at `value` (elem: 1, 2, 4, 8 or 16 bytes). */
void pi_fill(void *dst, const void *value, size_t elem, int64_t n);

#define X(isa, bytes, name) \
    void name(const char *src, ptrdiff_t src_row, char *dst, ptrdiff_t dst_row, int64_t rows, int64_t cols);
#include "kernels/layout/kernels.inc"
#undef X
#endif
