/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy's broadcasting as strides: the dimensions of the output with neighbours merged where all inputs allow it. */
#ifndef PI_OPS_BCAST_H
#define PI_OPS_BCAST_H
#include "graph/op.h"

enum { PI_BCAST_INPUTS = 8 };

typedef struct {
    int rank; /* 1 at least */
    int n_in;
    int64_t n;                 /* elements of the output */
    int64_t dim[PI_MAX_RANK];  /* the last one is a row */
    int64_t stride[PI_BCAST_INPUTS][PI_MAX_RANK]; /* in elements; 0 where an input is repeated */
} pi_bcast;

/* The inputs broadcast to the output's shape (checked before); at most PI_BCAST_INPUTS. */
void pi_bcast_init(pi_bcast *b, const pi_tensor *out, const pi_tensor *const *in, int n_in);
/* Offsets of the inputs at flat output place `at`; returns how many places are left in this row. */
int64_t pi_bcast_at(const pi_bcast *b, int64_t at, int64_t *offset);
/* The rule before opset 7: B's dimensions stand in A's from `axis` on (the last ones if it was left out) where the node
 * says broadcast=1, else both shapes are equal. Gives b with its dimensions so that NumPy's rule does the same; nodes
 * of newer rows: b as it is. */
pi_status pi_bcast_legacy(const pi_node *node, const pi_tensor *a, const pi_tensor *b, pi_tensor *aligned,
                          pi_error *err) PI_MUST_USE;
/* The longest stretch of [at, end) that is `rows` rows of n places with even strides. */
typedef struct {
    int64_t rows, n;
    int64_t offset[PI_BCAST_INPUTS], row[PI_BCAST_INPUTS]; /* start, and distance of rows, of each input */
} pi_bcast_span;
pi_bcast_span pi_bcast_rows(const pi_bcast *b, int64_t at, int64_t end);
/* Stride of input k along a row: 0 or 1. */
static inline int64_t pi_bcast_step(const pi_bcast *b, int k) { return b->stride[k][b->rank - 1]; }
#endif
