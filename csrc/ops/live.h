/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens of a padded batch are computed. pyinfer.LiveTokens makes `live`, a bool for each token, from the masks that
 * hide padding; pyinfer.MatMul and pyinfer.Softmax leave out the rows of other tokens, which come out as zeros. */
#ifndef PI_OPS_LIVE_H
#define PI_OPS_LIVE_H
#include <stdbool.h>
#include <stdint.h>
#include "graph/op.h"

/* How a mask of pyinfer.LiveTokens says that a token is padding. */
typedef enum {
    PI_LIVE_FACTOR, /* [batch, tokens], or with ones behind: what the token is multiplied by is 0 */
    PI_LIVE_KEYS,   /* [batch, ..., tokens], of attention: in every row the key is false, or -1e9 or less (-inf too) */
    PI_LIVE_SELF,   /* the same; its rows, if they are not one for all, are [..., tokens]: queries of the same tokens */
} pi_live_kind;

/* Rows [first, end). */
typedef struct {
    int64_t first, end;
} pi_live_range;

/* What `keys` says: the columns of pyinfer.MatMul's result or its inner dimension, or the columns of pyinfer.Softmax, are
 * the tokens of `live` too. Scores are not written outside the span of live keys, nor for queries that are not live: a
 * softmax does not read them there, and its result is 0, which a product need not read. */
typedef enum { PI_LIVE_NO_KEYS, PI_LIVE_COLUMNS, PI_LIVE_INNER } pi_live_keys;

/* From the first live token to the last of n, or a few more: whole registers are quicker. Empty: {0, 0}. */
pi_live_range pi_live_span(const bool *live, int64_t n);

/* Ranges of at most `most` rows, in order, each from a live row to a live one, with all live rows of m in them. Returns how
 * many: at most (m + most - 1) / most. */
int64_t pi_live_ranges(const bool *live, int64_t m, int64_t most, pi_live_range *range);

/* The share of a node's work that its input `live` leaves, when it is bound: of rows, and of keys within them. 1 for all other
 * nodes. Kernels round up to whole tiles: what they do may be a little more. */
double pi_live_share(const pi_node *node, const pi_tensor *const *in);
#endif
