/* SPDX-License-Identifier: Apache-2.0 */
/* What the operators with subgraphs share. */
#ifndef PI_OPS_CONTROL_H
#define PI_OPS_CONTROL_H
#include "ops/ops.h"

enum { CONTROL_INFER_DEPTH = 8 }; /* of nesting: deeper bodies are not inferred before they run, inference would recurse */

/* The subgraph attribute of this name; NULL if it was left out. */
const pi_graph *pi_control_graph(const pi_node *node, const char *name);
/* Runs g once. in: one tensor an input of g; out: g->n_outputs new constants, the caller's. Ends when the run is cancelled. */
pi_status pi_control_run(const pi_call *call, const pi_graph *g, const pi_tensor *const *in, pi_const **out,
                         pi_error *err) PI_MUST_USE;
/* Gives the wanted output i the type and shape of t, and memory if it has none; MODEL if another type or shape was promised. */
pi_status pi_control_place(const pi_call *call, uint32_t i, const pi_tensor *t, pi_error *err) PI_MUST_USE;
/* The same, and copies t's data; nothing if nobody wants the output. */
pi_status pi_control_give(const pi_call *call, uint32_t i, const pi_tensor *t, pi_error *err) PI_MUST_USE;
void pi_control_unref(pi_const **c, uint32_t n);
/* Types and shapes of g's outputs without running it, as far as they follow from those of its inputs (an entry may be NULL)
 * or the file declares them. */
pi_status pi_control_types(const pi_graph *g, const pi_tensor *const *in, pi_tensor *out, pi_error *err) PI_MUST_USE;
#endif
