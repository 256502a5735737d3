/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of tensors: these rows only say what is legal. passes/sequences.c takes sequences apart where it can be told what is
 * in them; what is left has no implementation. */
#include "ops/ops.h"

static pi_status sequence_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)in;
    (void)out;
    (void)err;
    return PI_E_OK;
}

static pi_status sequence_run(const pi_call *call, pi_error *err)
{
    (void)call;
    return pi_fail(err, PI_E_UNSUPPORTED, "only sequences that are made in the model and read at constant places are supported");
}

static const pi_impl impls[] = {{.name = "ref", .run = sequence_run}, {0}};

static const pi_attr_def split_attrs[] = {
    {.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {.name = "keepdims", .kind = PI_ATTR_INT, .i = 1}, {0}};
static const pi_attr_def concat_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT, .required = true},
                                           {.name = "new_axis", .kind = PI_ATTR_INT, .i = 0},
                                           {0}};

#define INDEX (PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "SplitToSequence", .since = 11, .signature = "input:T split?:U -> output_sequence:any", .T = PI_ANY, .U = INDEX,
     .flags = PI_OP_NO_FOLD, .attrs = split_attrs, .infer = sequence_infer, .impls = impls},
    {.name = "SequenceConstruct", .since = 11, .signature = "inputs*:T -> output_sequence:any", .T = PI_ANY,
     .flags = PI_OP_NO_FOLD, .infer = sequence_infer, .impls = impls},
    {.name = "SequenceAt", .since = 11, .signature = "input_sequence:any position:U -> tensor:any", .U = INDEX,
     .flags = PI_OP_NO_FOLD, .infer = sequence_infer, .impls = impls},
    {.name = "SequenceLength", .since = 11, .signature = "input_sequence:any -> length:i64", .flags = PI_OP_NO_FOLD,
     .infer = sequence_infer, .impls = impls},
    {.name = "ConcatFromSequence", .since = 11, .signature = "input_sequence:any -> concat_result:any",
     .flags = PI_OP_NO_FOLD, .attrs = concat_attrs, .infer = sequence_infer, .impls = impls},
};
const pi_op_family pi_ops_sequence = {rows, PI_COUNT(rows)};
