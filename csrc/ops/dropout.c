/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout. Inference copies; training mode (a flag from version 12 on) drops with the generator of random.c. */
#include <string.h>

#include "ops/element.h"
#include "ops/move.h"
#include "ops/random.h"

static pi_status dropout_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    PI_TRY(pi_infer_same(node, in, out, err));
    if (node->n_out > 1) {
        PI_TRY(pi_move_shape(&out[1], in[0]->rank, in[0]->dim, err));
        out[1].dtype = node->op->since >= 10 ? PI_DTYPE_BOOL : in[0]->dtype;
    }
    return PI_E_OK;
}

static pi_status dropout_run(const pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    const pi_tensor *in = call->in[0], *mode = NULL, *given = NULL;
    double ratio = 0;
    if (node->op->since >= 12) {
        int64_t n;
        given = pi_move_in(node, call->in, 1);
        mode = pi_move_in(node, call->in, 2);
        bool training = mode && pi_tensor_n(mode) > 0 && pi_tensor_int(mode, 0) != 0;
        if (training) {
            ratio = 0.5;
            if (given) {
                PI_TRY(pi_tensor_count(given, &n, err));
                if (n != 1) return pi_fail(err, PI_E_MODEL, "ratio has %lld elements, expected 1", (long long)n);
                ratio = pi_element_get(given->dtype, given->data, 0);
            }
            if (!(ratio >= 0 && ratio < 1)) return pi_fail(err, PI_E_INPUT, "ratio is %g, expected 0 to below 1", ratio);
        }
    }
    PI_TRY(pi_move_outputs(call, err));
    int64_t n = pi_tensor_n(in);
    char *out = call->out[0] ? call->out[0]->data : NULL;
    char *mask = pi_move_wants(call, 1) ? call->out[1]->data : NULL;
    pi_dtype mask_dtype = mask ? call->out[1]->dtype : PI_DTYPE_BOOL;
    if (ratio == 0) {
        char one[16] = {0};
        if (out) pi_move_bytes(call, in->data, out, (size_t)n * pi_dtype_size(in->dtype));
        pi_element_put(mask_dtype, one, 0, 1);
        if (mask) pi_move_fill(call, mask, one, pi_dtype_size(mask_dtype), n);
        return PI_E_OK;
    }
    const pi_attr *seed = pi_attr_find(node, "seed");
    pi_random r;
    pi_random_start(&r, seed ? (uint32_t)seed->i : pi_random_seed());
    double scale = 1 / (1 - ratio);
    for (int64_t i = 0; i < n; i++) {
        bool keep = pi_random_uniform(&r) >= ratio;
        if (out) pi_element_put(in->dtype, out, i, keep ? pi_element_get(in->dtype, in->data, i) * scale : 0);
        if (mask) pi_element_put(mask_dtype, mask, i, keep);
    }
    return PI_E_OK;
}

static const pi_impl impls[] = {{.name = "ref", .run = dropout_run, .inplace = 1}, {0}};

static const pi_attr_def attrs_v1[] = {{.name = "consumed_inputs", .kind = PI_ATTR_INTS},
                                       {.name = "is_test", .kind = PI_ATTR_INT, .i = 0},
                                       {.name = "ratio", .kind = PI_ATTR_FLOAT, .f = 0.5f},
                                       {0}};
static const pi_attr_def attrs_v6[] = {
    {.name = "is_test", .kind = PI_ATTR_INT, .i = 0}, {.name = "ratio", .kind = PI_ATTR_FLOAT, .f = 0.5f}, {0}};
static const pi_attr_def attrs_v7[] = {{.name = "ratio", .kind = PI_ATTR_FLOAT, .f = 0.5f}, {0}};
static const pi_attr_def attrs_v12[] = {{.name = "seed", .kind = PI_ATTR_INT}, {0}};

#define F8 (PI_BIT(F8E4M3FN) | PI_BIT(F8E4M3FNUZ) | PI_BIT(F8E5M2) | PI_BIT(F8E5M2FNUZ))
static const pi_op rows[] = {
    {.name = "Dropout", .since = 1, .signature = "data:T -> output:T mask?:T", .T = PI_FLOATS, .attrs = attrs_v1,
     .infer = dropout_infer, .impls = impls},
    {.name = "Dropout", .since = 6, .signature = "data:T -> output:T mask?:T", .T = PI_FLOATS, .attrs = attrs_v6,
     .infer = dropout_infer, .impls = impls},
    {.name = "Dropout", .since = 7, .signature = "data:T -> output:T mask?:T", .T = PI_FLOATS, .attrs = attrs_v7,
     .infer = dropout_infer, .impls = impls},
    {.name = "Dropout", .since = 10, .signature = "data:T -> output:T mask?:bool", .T = PI_FLOATS, .attrs = attrs_v7,
     .infer = dropout_infer, .impls = impls},
    {.name = "Dropout", .since = 12, .signature = "data:T ratio?:U training_mode?:bool -> output:T mask?:bool",
     .T = PI_FLOATS | F8, .U = PI_FLOATS | F8, .flags = PI_OP_RANDOM, .attrs = attrs_v12, .infer = dropout_infer, .impls = impls},
};
const pi_op_family pi_ops_dropout = {rows, PI_COUNT(rows)};
