/* SPDX-License-Identifier: Apache-2.0 */
/* Words to match and to rewrite with, shared by the passes. Matching goes from a value to what produces it. */
#ifndef PI_PASSES_MATCH_H
#define PI_PASSES_MATCH_H
#include "ops/eltwise_find.h"
#include "ops/ops.h"

/* Is it this operator of the standard domain (any version)? */
bool pi_is(const pi_node *node, const char *name);
/* Is it this operator of the domain "pyinfer"? */
bool pi_is_internal(const pi_node *node, const char *name);
/* The node that makes v as its first output, if it is this standard operator; else NULL. */
pi_node *pi_made_by(const pi_value *v, const char *name);
/* The only reader of v if there is just one use and v is no output; else NULL. */
pi_node *pi_only_reader(const pi_value *v);
/* The other input of a two-input node. */
pi_value *pi_other(const pi_node *node, const pi_value *one);
/* A constant of one element, of a float type or an integer one. */
bool pi_scalar(const pi_value *v, double *number);
/* The same, close to `number`. */
bool pi_is_number(const pi_value *v, double number);
/* f32 constant: loads its bytes; false if it is none. */
bool pi_floats(const pi_value *v);
bool pi_is_f32(const pi_value *v);
/* A constant f32 that is one number for each index of the given axis of y: as a vector [n]; NULL if it is none. */
pi_value *pi_as_bias(pi_graph *g, pi_value *c, const pi_tensor *y, int axis, pi_error *err);
/* The kernel of this node; bounds of a Clip are constants, or there is none. */
bool pi_eltwise_of(const pi_node *node, pi_eltwise_kernel *k);
/* Node `node` is (one of two inputs in any order) op(x, number): gives x. */
pi_value *pi_with_number(const pi_node *node, double number);

/* A node with these inputs (NULL entries allowed) that takes over output 0 of `old`, its name, number and line, and
 * removes `old` afterwards. NULL on failure. */
pi_node *pi_rewrite(pi_graph *g, pi_node *old, const pi_op *op, pi_value *const *in, uint32_t n_in, pi_error *err);
/* A new node of one new output; named after `like`. */
pi_node *pi_insert(pi_graph *g, const pi_node *like, const pi_op *op, pi_value *const *in, uint32_t n_in,
                   pi_error *err);
/* x under another shape, a Reshape of its own (a dim of 0 stays as x has it); NULL on failure. */
pi_value *pi_reshaped(pi_graph *g, const pi_node *like, pi_value *x, int rank, const int64_t *dim, pi_error *err);
/* Infers the output types of one node, whose inputs are typed. */
pi_status pi_retype(pi_node *node, pi_error *err);
#endif
