/* SPDX-License-Identifier: Apache-2.0 */
/* Reduction over any set of axes as two lists of dimensions: kept ones and reduced ones. */
#ifndef PI_OPS_REDUCTION_H
#define PI_OPS_REDUCTION_H
#include "graph/op.h"

typedef struct {
    int kept, reduced; /* dimensions in each list, neighbours merged */
    int64_t kept_dim[PI_MAX_RANK], kept_stride[PI_MAX_RANK];
    int64_t dim[PI_MAX_RANK], stride[PI_MAX_RANK]; /* of the reduced ones; the last is a row */
    int64_t outputs, count; /* kept elements, elements that one of them gathers */
} pi_reduction;

/* Bit i of axes: dimension i is reduced. */
void pi_reduction_init(pi_reduction *r, const pi_tensor *x, unsigned axes);
/* Offset in x of kept element i, and of row k of the reduced ones (rows: count / pi_reduction_row). */
int64_t pi_reduction_start(const pi_reduction *r, int64_t i);
int64_t pi_reduction_at(const pi_reduction *r, int64_t k);
static inline int64_t pi_reduction_row(const pi_reduction *r) { return r->reduced ? r->dim[r->reduced - 1] : 1; }
static inline int64_t pi_reduction_step(const pi_reduction *r) { return r->reduced ? r->stride[r->reduced - 1] : 1; }

/* Axes from a list of integers: MODEL if one is out of range or twice there. */
pi_status pi_reduction_axes(const int64_t *list, int64_t n, int rank, unsigned *axes, pi_error *err) PI_MUST_USE;
#endif
