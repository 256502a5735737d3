/* SPDX-License-Identifier: Apache-2.0 */
/* Padded tokens are not computed where nothing that reaches an output depends on them. Shapes show here who needs the rows of
 * padding: from the outputs, which need all, backwards to where a row is multiplied by 0 (mean pooling), has no weight
 * (keys and values behind the mask of attention), or is not picked (the first token alone is). Which rows are padding shows in
 * each run: pyinfer.LiveTokens reads it off these masks, and products and softmaxes get it as an input. What padded tokens
 * hold never reaches an output, then, not even NaN. */
#include "ops/live.h"
#include "ops/matmul.h"
#include "passes/passes.h"
#include "passes/skip_padding.h"

enum { SOFTMAX_LIVE = 2, MATMUL_LIVE = 4 };

/* Finds out what comes late, and the size of the batch; false if no mask may hide padding. */
static bool look(pi_skip *s, const pi_graph *g)
{
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const pi_node *node = g->node[i];
        bool late = pi_is_internal(node, "MatMul") || pi_is_internal(node, "Softmax") || pi_is(node, "Attention");
        for (uint32_t k = 0; k < node->n_in; k++) late |= node->in[k] && s->late[node->in[k]->id];
        (void)pi_skip_mask(s, node);
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k]) s->late[node->out[k]->id] = late;
    }
    return s->batch > 0;
}

/* From the outputs to the inputs. */
static void find_spare(pi_skip *s, const pi_graph *g)
{
    for (uint32_t i = 0; i < g->n_values; i++) s->spare[i] = g->value[i]->n_outputs ? 0 : ~0u;
    for (uint32_t i = g->n_nodes; i-- > 0;)
        for (uint32_t k = 0; k < g->node[i]->n_in; k++)
            if (g->node[i]->in[k]) s->spare[g->node[i]->in[k]->id] &= pi_skip_input(s, g->node[i], k);
    for (uint32_t k = 0; k < s->n_masks; k++) { /* are the queries the same tokens, and spare too? */
        bool self = s->kind[k] == PI_LIVE_KEYS;
        for (uint32_t i = 0; i < s->mask[k]->n_uses; i++) {
            const pi_node *user = s->mask[k]->use[i].node;
            self &= pi_skip_mask(s, user) != s->mask[k] || pi_skip_rows(s, user);
        }
        if (self) s->kind[k] = PI_LIVE_SELF;
    }
}

/* The input of this node for `live`, or -1. */
static int place_for_live(const pi_skip *s, const pi_node *node)
{
    bool product = pi_is_internal(node, "MatMul"), softmax = pi_is_internal(node, "Softmax");
    int place = product ? MATMUL_LIVE : SOFTMAX_LIVE;
    const pi_tensor *in[MATMUL_LIVE + 1] = {0}, *out[1];
    if ((!product && !softmax) || node->in[place] || !pi_skip_rows(s, node)) return -1;
    for (int i = 0; i < place; i++) in[i] = node->in[i] ? &node->in[i]->t : NULL;
    out[0] = &node->out[0]->t;
    return product && pi_matmul_own_refuse(node, in, out) ? -1 : place;
}

static pi_value *live_tokens(const pi_skip *s, pi_graph *g, const pi_node *like, pi_error *err)
{
    pi_node *node = pi_insert(g, like, pi_op_internal("LiveTokens"), s->mask, s->n_masks, err);
    if (!node || pi_attr_set_int(g, node, "batch", s->batch, err) != PI_E_OK ||
        pi_attr_set_int(g, node, "tokens", s->tokens, err) != PI_E_OK ||
        pi_attr_set_ints(g, node, "kinds", s->kind, s->n_masks, err) != PI_E_OK ||
        pi_attr_set_ints(g, node, "always", s->always, s->n_always, err) != PI_E_OK || pi_retype(node, err) != PI_E_OK)
        return NULL;
    return node->out[0];
}

static pi_status attach(const pi_skip *s, pi_graph *g, pi_error *err)
{
    pi_value *live = NULL;
    for (uint32_t i = 0, n = g->n_nodes; i < n && s->n_masks; i++) {
        int place = place_for_live(s, g->node[i]);
        if (place < 0) continue;
        if (!live && !(live = live_tokens(s, g, g->node[i], err))) return pi_alloc_status(err);
        pi_node *node = g->node[i];
        PI_TRY(pi_node_set_in(g, node, (uint32_t)place, live, err));
        PI_TRY(pi_attr_set_int(g, node, "keys", pi_skip_keys(s, node), err));
    }
    return PI_E_OK;
}

pi_status pi_pass_skip_padding(pi_graph *g, pi_error *err)
{
    pi_skip s = {0};
    pi_status st = PI_E_OK;
    s.spare = pi_calloc(g->heap, g->n_values + 1u, sizeof *s.spare, err);
    s.late = pi_calloc(g->heap, g->n_values + 1u, sizeof *s.late, err);
    if (!s.spare || !s.late) {
        st = pi_alloc_status(err);
    } else if (look(&s, g)) {
        find_spare(&s, g);
        st = attach(&s, g, err);
    }
    pi_free(s.spare);
    pi_free(s.late);
    return st;
}
