/* SPDX-License-Identifier: Apache-2.0 */
/* The operator table, and what an operator's code may call. */
#ifndef PI_OPS_OPS_H
#define PI_OPS_OPS_H
#include "graph/op.h"

typedef struct {
    const pi_op *row;
    size_t count;
} pi_op_family;

/* The row of this name with the highest `since` <= opset. domain NULL or "" or "ai.onnx": the standard one. NULL: none. */
const pi_op *pi_op_find(const char *domain, const char *name, int64_t opset);
/* Row i of all, NULL at the end. */
const pi_op *pi_op_at(size_t i);
/* A row of the domain "pyinfer", by name; it exists. */
const pi_op *pi_op_internal(const char *name);

/* ---- infer functions shared by families ---- */

pi_status pi_infer_same(const pi_node *, const pi_tensor *const *in, pi_tensor *out, pi_error *);      /* out[0] like in[0] */
pi_status pi_infer_broadcast(const pi_node *, const pi_tensor *const *in, pi_tensor *out, pi_error *); /* of all inputs */

/* ---- prepare: services ---- */

/* Memory of the plan, cleared; NULL on failure. */
void *pi_prep_alloc(pi_prep *prep, size_t bytes, pi_error *err) PI_MUST_USE;
/* free_fn(object) is called when the plan goes (or at once, if this fails). */
pi_status pi_prep_own(pi_prep *prep, void (*free_fn)(void *), void *object, pi_error *err) PI_MUST_USE;
/* A packed form of constant input `i`, shared by all plans of the model: key (key_size bytes: operator, format, blocking)
 * names the form; on first use pack(arg, source tensor with data, out) fills `bytes` bytes, 64-byte aligned. The
 * original is read for that. Different steps may be prepared, and their constants packed, at the same time. pack NULL: the
 * block is zeros that take memory only where they are written, and nothing is read. */
typedef pi_status (*pi_pack_fn)(void *arg, const pi_tensor *source, void *out, pi_error *err);
pi_status pi_prep_pack(pi_prep *prep, uint32_t i, const void *key, size_t key_size, size_t bytes, pi_pack_fn pack,
                       void *arg, const void **out, pi_error *err) PI_MUST_USE;
/* Memory for a pack function, not cleared; until the next call. NULL on failure. */
void *pi_prep_buffer(pi_prep *prep, size_t bytes, pi_error *err) PI_MUST_USE;
/* Is input i a constant (present, and the same in each run)? */
bool pi_prep_is_const(const pi_prep *prep, uint32_t i);
/* Sets prep->flops, and gives the threads that so much work deserves: one where fork and join would cost more. */
int pi_prep_threads(pi_prep *prep, double flops);
/* Run will not read in[i] (it was packed): its bytes may be dropped. */
void pi_prep_drop(pi_prep *prep, uint32_t i);

/* ---- run ---- */

bool pi_cancelled(const pi_call *call);
pi_status pi_call_output(const pi_call *call, uint32_t i, int rank, const int64_t *dim, pi_error *err) PI_MUST_USE;
/* Output i becomes this sequence or optional, whose reference is taken over also on failure; s NULL: its allocation failed. */
pi_status pi_call_seq(const pi_call *call, uint32_t i, pi_dtype dtype, pi_seq *s, pi_error *err) PI_MUST_USE;

/* Computes one node on bound tensors: folding, tests. `impl` NULL: the first that accepts; else by name ("ref"). */
pi_status pi_op_eval(const pi_node *node, const char *impl, const pi_tensor *const *in, pi_heap *heap, pi_const **out,
                     pi_error *err) PI_MUST_USE;
/* The same on up to `threads` threads. */
pi_status pi_op_eval_threads(const pi_node *node, const char *impl, int threads, const pi_tensor *const *in,
                             pi_heap *heap, pi_const **out, pi_error *err) PI_MUST_USE;
/* pi_eval_fn of pi_graph_infer: the first that accepts. */
pi_status pi_op_fold(const pi_node *node, const pi_tensor *const *in, pi_heap *heap, pi_const **out, pi_error *err);
#endif
