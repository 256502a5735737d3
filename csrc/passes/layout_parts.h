/* SPDX-License-Identifier: Apache-2.0 */
/* Between layout.c, which drives, layout_ops.c, which knows operators that name axes, and layout_tokens.c. */
#ifndef PI_PASSES_LAYOUT_PARTS_H
#define PI_PASSES_LAYOUT_PARTS_H
#include "graph/op.h"

typedef struct {
    pi_graph *g;
    uint32_t quantised; /* convolutions of bytes */
} pi_layout;

int pi_layout_source(int rank, int i, bool first);
int64_t pi_layout_axis(int rank, int64_t axis);
/* What v was before a transpose to "first" made it; NULL if nothing did. */
pi_value *pi_layout_undone(const pi_value *v);
pi_value *pi_layout_last(pi_layout *l, const pi_node *like, pi_value *v, pi_error *err);
pi_status pi_layout_emit(pi_layout *l, pi_node *node, uint32_t i, pi_error *err);
/* A Reshape or Transpose between tokens and images, see layout_tokens.c. */
pi_status pi_layout_tokens(pi_layout *l, pi_node *node, pi_error *err);
/* Input 0 comes out of a transpose to "first": moves the operator before it, if it is one that names axes and can. */
pi_status pi_layout_rewrite(pi_layout *l, pi_node *node, pi_error *err);
#endif
