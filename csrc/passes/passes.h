/* SPDX-License-Identifier: Apache-2.0 */
/* Passes: each rewrites a graph into a better one that computes the same. All are idempotent; the same pipeline runs when
 * a model is loaded (what depends on shapes of the inputs is not known then) and again for each plan (all is known). */
#ifndef PI_PASSES_PASSES_H
#define PI_PASSES_PASSES_H
#include "graph/op.h"

typedef struct {
    int level;    /* 0 none, 1 folding and dead code, 2 all */
    bool planning; /* the shapes of the inputs are known */
    bool keep_padding; /* without the pass skip_padding */
    bool verify;  /* check the graph after each pass: tests, paranoid builds */
} pi_pass_options;

#define X(name, level, stage, purpose) pi_status pi_pass_##name(pi_graph *g, pi_error *err);
#include "passes/pipeline.inc"
#undef X

/* Before inference, which folds weights: operators between DequantizeLinear and QuantizeLinear work on bytes. Level 2. */
pi_status pi_pass_qdq(pi_graph *g, pi_error *err) PI_MUST_USE;

/* Infers, then runs the passes of pipeline.inc up to this level; g is sorted before and after. */
pi_status pi_passes_run(pi_graph *g, const pi_pass_options *options, pi_error *err) PI_MUST_USE;
#endif
