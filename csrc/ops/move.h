/* SPDX-License-Identifier: Apache-2.0 */
/* What the data movement families share: reading small integer inputs, setting checked shapes, copies shared by threads. */
#ifndef PI_OPS_MOVE_H
#define PI_OPS_MOVE_H
#include "kernels/layout/layout.h"
#include "ops/ops.h"

/* A shape or a list of axes. */
typedef struct {
    int n;
    int64_t v[PI_MAX_RANK];
} pi_list;

/* An integer input of rank 1 (or a scalar, as one value), data bound; MODEL names it if it has another rank, LIMIT if it
 * is longer than a rank may be. */
pi_status pi_move_list(const pi_tensor *t, const char *name, pi_list *out, pi_error *err) PI_MUST_USE;
/* The same from an INTS attribute; n is -1 if it was left out. */
pi_status pi_move_attr(const pi_node *node, const char *name, pi_list *out, pi_error *err) PI_MUST_USE;
/* axes -> [0, rank), each at most once. */
pi_status pi_move_axes(pi_list *axes, int rank, pi_error *err) PI_MUST_USE;
/* The only element of an integer tensor, data bound; MODEL if it has another number of elements. */
pi_status pi_move_scalar(const pi_tensor *t, const char *name, int64_t *out, pi_error *err) PI_MUST_USE;

/* Sets out's shape; MODEL on a negative dimension, LIMIT on a rank or size too large. */
pi_status pi_move_shape(pi_tensor *out, int rank, const int64_t *dim, pi_error *err) PI_MUST_USE;
/* Strides of a dense tensor in elements. */
void pi_move_strides(int rank, const int64_t *dim, int64_t *stride);

/* Outputs that were not placed because infer needed values that only this run has: infer again, and ask for memory. */
pi_status pi_move_outputs(const pi_call *call, pi_error *err) PI_MUST_USE;
/* The copy on the threads of the run. */
void pi_move(const pi_call *call, const pi_copy *copy, const void *src, void *dst);
/* bytes from src to dst, on the threads; nothing if they are the same address. */
void pi_move_bytes(const pi_call *call, const void *src, void *dst, size_t bytes);
/* n elements of the value at `value`, on the threads. */
void pi_move_fill(const pi_call *call, void *dst, const void *value, size_t elem, int64_t n);
/* run of the operators of flag PI_OP_VIEW. */
pi_status pi_move_view_run(const pi_call *call, pi_error *err);
/* out[i] of this call is wanted. */
static inline int pi_move_wants(const pi_call *call, uint32_t i) { return i < call->node->n_out && call->out[i]; }
/* in[i], NULL if it is absent. */
static inline const pi_tensor *pi_move_in(const pi_node *node, const pi_tensor *const *in, uint32_t i)
{
    return i < node->n_in ? in[i] : NULL;
}
#endif
