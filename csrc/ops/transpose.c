/* SPDX-License-Identifier: Apache-2.0 */
/* Transpose, and the two operators that are a reshape, a transpose and a reshape: DepthToSpace, SpaceToDepth. */
#include <string.h>

#include "ops/move.h"

/* The permutation as axes of the input; without the attribute it is the reverse. */
static pi_status transpose_perm(const pi_node *node, int rank, pi_list *perm, pi_error *err)
{
    PI_TRY(pi_move_attr(node, "perm", perm, err));
    if (perm->n < 0) {
        perm->n = rank;
        for (int i = 0; i < rank; i++) perm->v[i] = rank - 1 - i;
    }
    if (perm->n != rank) return pi_fail(err, PI_E_MODEL, "perm has %d entries for an input of rank %d", perm->n, rank);
    return pi_move_axes(perm, rank, err);
}

static pi_status transpose_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list perm;
    int64_t dim[PI_MAX_RANK];
    PI_TRY(transpose_perm(node, in[0]->rank, &perm, err));
    for (int i = 0; i < perm.n; i++) dim[i] = in[0]->dim[perm.v[i]];
    return pi_move_shape(out, perm.n, dim, err);
}

/* Copies with the input seen as `dim` and its axes taken in the order `perm`. */
static void transpose_copy(const pi_call *call, int rank, const int64_t *dim, const int64_t *perm)
{
    int64_t stride[PI_MAX_RANK], to[PI_MAX_RANK], out_dim[PI_MAX_RANK], out_stride[PI_MAX_RANK];
    pi_copy copy;
    pi_move_strides(rank, dim, stride);
    for (int i = 0; i < rank; i++) {
        out_dim[i] = dim[perm[i]];
        to[i] = stride[perm[i]];
    }
    pi_move_strides(rank, out_dim, out_stride);
    pi_copy_plan(&copy, pi_dtype_size(call->in[0]->dtype), rank, out_dim, to, out_stride);
    pi_move(call, &copy, call->in[0]->data, call->out[0]->data);
}

static pi_status transpose_run(const pi_call *call, pi_error *err)
{
    pi_list perm;
    PI_TRY(transpose_perm(call->node, call->in[0]->rank, &perm, err));
    PI_TRY(pi_move_outputs(call, err));
    transpose_copy(call, perm.n, call->in[0]->dim, perm.v);
    return PI_E_OK;
}

static const pi_impl transpose_impls[] = {{.name = "ref", .run = transpose_run}, {0}};

static pi_status blocks_check(const pi_node *node, const pi_tensor *in, int64_t *b, pi_error *err)
{
    *b = pi_attr_int(node, "blocksize");
    if (in->rank != 4) return pi_fail(err, PI_E_MODEL, "input has rank %d, expected 4", in->rank);
    if (*b < 1 || *b > INT32_MAX) return pi_fail(err, PI_E_MODEL, "blocksize %lld is out of range", (long long)*b);
    return PI_E_OK;
}

/* 0: depth before the block (DCR), 1: after (CRD). */
static pi_status blocks_mode(const pi_node *node, int *crd, pi_error *err)
{
    const pi_attr *mode = pi_attr_find(node, "mode");
    *crd = mode && strcmp(mode->s.bytes, "CRD") == 0;
    if (mode && !*crd && strcmp(mode->s.bytes, "DCR") != 0)
        return pi_fail(err, PI_E_MODEL, "mode '%s' is neither DCR nor CRD", mode->s.bytes);
    return PI_E_OK;
}

static pi_status depth_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t b, h, w;
    int crd;
    PI_TRY(blocks_check(node, in[0], &b, err));
    PI_TRY(blocks_mode(node, &crd, err));
    if (in[0]->dim[1] % (b * b) != 0)
        return pi_fail(err, PI_E_MODEL, "%lld channels do not divide by blocksize squared, %lld", (long long)in[0]->dim[1],
                       (long long)(b * b));
    if (!pi_mul_i64(in[0]->dim[2], b, &h) || !pi_mul_i64(in[0]->dim[3], b, &w))
        return pi_fail(err, PI_E_LIMIT, "the output is too large");
    int64_t dim[4] = {in[0]->dim[0], in[0]->dim[1] / (b * b), h, w};
    return pi_move_shape(out, 4, dim, err);
}

static pi_status depth_run(const pi_call *call, pi_error *err)
{
    int64_t b;
    int crd;
    const int64_t *d = call->in[0]->dim;
    PI_TRY(blocks_check(call->node, call->in[0], &b, err));
    PI_TRY(blocks_mode(call->node, &crd, err));
    PI_TRY(pi_move_outputs(call, err));
    int64_t c = d[1] / (b * b);
    int64_t dcr_dim[6] = {d[0], b, b, c, d[2], d[3]}, crd_dim[6] = {d[0], c, b, b, d[2], d[3]};
    static const int64_t dcr_perm[6] = {0, 3, 4, 1, 5, 2}, crd_perm[6] = {0, 1, 4, 2, 5, 3};
    transpose_copy(call, 6, crd ? crd_dim : dcr_dim, crd ? crd_perm : dcr_perm);
    return PI_E_OK;
}

static pi_status space_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t b, c;
    int crd;
    PI_TRY(blocks_check(node, in[0], &b, err));
    PI_TRY(blocks_mode(node, &crd, err));
    if (in[0]->dim[2] % b != 0 || in[0]->dim[3] % b != 0)
        return pi_fail(err, PI_E_MODEL, "height %lld and width %lld do not divide by blocksize %lld",
                       (long long)in[0]->dim[2], (long long)in[0]->dim[3], (long long)b);
    if (!pi_mul_i64(in[0]->dim[1], b * b, &c)) return pi_fail(err, PI_E_LIMIT, "the output is too large");
    int64_t dim[4] = {in[0]->dim[0], c, in[0]->dim[2] / b, in[0]->dim[3] / b};
    return pi_move_shape(out, 4, dim, err);
}

static pi_status space_run(const pi_call *call, pi_error *err)
{
    int64_t b;
    int crd;
    const int64_t *d = call->in[0]->dim;
    PI_TRY(blocks_check(call->node, call->in[0], &b, err));
    PI_TRY(blocks_mode(call->node, &crd, err));
    PI_TRY(pi_move_outputs(call, err));
    int64_t dim[6] = {d[0], d[1], d[2] / b, b, d[3] / b, b};
    static const int64_t dcr_perm[6] = {0, 3, 5, 1, 2, 4}, crd_perm[6] = {0, 1, 3, 5, 2, 4};
    transpose_copy(call, 6, dim, crd ? crd_perm : dcr_perm);
    return PI_E_OK;
}

static const pi_impl depth_impls[] = {{.name = "ref", .run = depth_run}, {0}};
static const pi_impl space_impls[] = {{.name = "ref", .run = space_run}, {0}};

static const pi_attr_def transpose_attrs[] = {{.name = "perm", .kind = PI_ATTR_INTS}, {0}};
static const pi_attr_def block_attrs[] = {{.name = "blocksize", .kind = PI_ATTR_INT, .required = true}, {0}};
static const pi_attr_def block_mode_attrs[] = {{.name = "blocksize", .kind = PI_ATTR_INT, .required = true},
                                               {.name = "mode", .kind = PI_ATTR_STRING, .s = "DCR"},
                                               {0}};

static const pi_op rows[] = {
    {.name = "Transpose", .since = 1, .signature = "data:T -> transposed:T", .T = PI_ANY, .attrs = transpose_attrs,
     .infer = transpose_infer, .impls = transpose_impls},
    {.name = "DepthToSpace", .since = 1, .signature = "input:T -> output:T", .T = PI_ANY, .attrs = block_attrs,
     .infer = depth_infer, .impls = depth_impls},
    {.name = "DepthToSpace", .since = 11, .signature = "input:T -> output:T", .T = PI_ANY, .attrs = block_mode_attrs,
     .infer = depth_infer, .impls = depth_impls},
    {.name = "SpaceToDepth", .since = 1, .signature = "input:T -> output:T", .T = PI_ANY, .attrs = block_attrs,
     .infer = space_infer, .impls = space_impls},
    {.name = "SpaceToDepth", .since = 28, .signature = "input:T -> output:T", .T = PI_ANY, .attrs = block_mode_attrs,
     .infer = space_infer, .impls = space_impls},
};
const pi_op_family pi_ops_transpose = {rows, PI_COUNT(rows)};
