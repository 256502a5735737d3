/* SPDX-License-Identifier: Apache-2.0 */
/* Between tokens [batch, places, channels] and images: what turns them and splits or merges the places is, on a channels-last image,
 * a change of shape. */
#include "passes/layout_parts.h"
#include "passes/match.h"

/* Between [batch, places, channels] and [batch, channels, places]. */
static bool is_turn(const pi_node *node)
{
    uint32_t n;
    const int64_t *p = pi_attr_ints(node, "perm", &n);
    return p && n == 3 && p[0] == 0 && p[1] == 2 && p[2] == 1;
}

/* image is [batch, channels, spatial...] of as many elements as [batch, channels, places]. */
static bool splits_places(const pi_tensor *image, const pi_tensor *turned)
{
    return image->rank > 3 && turned->rank == 3 && pi_tensor_known(image) && pi_tensor_known(turned) && pi_tensor_n(image) > 0 &&
           image->dim[0] == turned->dim[0] && image->dim[1] == turned->dim[1];
}

/* Reshape(Transpose(tokens)): a channels-last image of them, transposed to "first". */
static pi_status image_of_tokens(pi_layout *l, pi_node *reshape, pi_error *err)
{
    const pi_node *turn = pi_made_by(reshape->in[0], "Transpose");
    const pi_tensor *y = &reshape->out[0]->t;
    if (!turn || !is_turn(turn) || !splits_places(y, &turn->out[0]->t)) return PI_E_OK;
    int64_t dim[PI_MAX_RANK], perm[PI_MAX_RANK];
    int rank = y->rank;
    for (int i = 0; i < rank; i++) {
        dim[i] = y->dim[pi_layout_source(rank, i, false)];
        perm[i] = pi_layout_source(rank, i, true);
    }
    pi_value *image = pi_reshaped(l->g, reshape, turn->in[0], rank, dim, err);
    pi_node *node = image ? pi_rewrite(l->g, reshape, pi_op_find(NULL, "Transpose", 13), &image, 1, err) : NULL;
    return node ? pi_attr_set_ints(l->g, node, "perm", perm, (uint32_t)rank, err) : pi_alloc_status(err);
}

/* Transpose(Reshape(image)) of an image that was transposed to "first". */
static pi_status tokens_of_image(pi_layout *l, pi_node *turn, pi_error *err)
{
    const pi_node *reshape = pi_made_by(turn->in[0], "Reshape");
    pi_value *last = reshape ? pi_layout_undone(reshape->in[0]) : NULL;
    if (!last || !is_turn(turn) || !splits_places(&reshape->in[0]->t, &reshape->out[0]->t)) return PI_E_OK;
    const pi_tensor *y = &turn->out[0]->t;
    pi_value *shape = pi_graph_ints(l->g, y->dim, y->rank, 1, err);
    if (!shape) return pi_alloc_status(err);
    return pi_rewrite(l->g, turn, pi_op_find(NULL, "Reshape", 13), (pi_value *[]){last, shape}, 2, err) ? PI_E_OK
                                                                                                        : pi_alloc_status(err);
}

pi_status pi_layout_tokens(pi_layout *l, pi_node *node, pi_error *err)
{
    return pi_is(node, "Reshape") ? image_of_tokens(l, node, err) : tokens_of_image(l, node, err);
}
