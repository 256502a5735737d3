/* SPDX-License-Identifier: Apache-2.0 */
/* Between skip_padding.c, the pass, and skip_rules.c, what it knows of operators. */
#ifndef PI_PASSES_SKIP_PADDING_H
#define PI_PASSES_SKIP_PADDING_H
#include "ops/live.h"
#include "passes/match.h"

enum { PI_SKIP_MASKS = 8, PI_SKIP_ALWAYS = 8 };

/* Tokens are [batch, tokens] in the first axes of a value, or lie in one axis; others may stand between them (heads), and the
 * first axis may hold more than the batch. */
typedef struct {
    int64_t batch, tokens;
    unsigned *spare; /* by value: bit a is set if nobody needs what lies at padding along axis a */
    bool *late;      /* by value: comes out of a product or a softmax, so it is no mask */
    pi_value *mask[PI_SKIP_MASKS];
    int64_t kind[PI_SKIP_MASKS]; /* pi_live_kind */
    uint32_t n_masks;
    int64_t always[PI_SKIP_ALWAYS]; /* tokens that are read by their place */
    uint32_t n_always;
} pi_skip;

/* spare of input i, as far as this node goes, from that of its outputs. Masks on which that rests are added to s. */
unsigned pi_skip_input(pi_skip *s, const pi_node *node, uint32_t i);
/* The mask of this softmax or attention, if it may hide padding; else NULL. Sizes that are not known yet (0) become its. */
pi_value *pi_skip_mask(pi_skip *s, const pi_node *node);
/* The rows of this product or softmax are tokens, in order, and those of padding are spare. */
bool pi_skip_rows(const pi_skip *s, const pi_node *node);
/* What of this product or softmax are keys that one of the masks in s hides. */
pi_live_keys pi_skip_keys(const pi_skip *s, const pi_node *node);
#endif
