/* SPDX-License-Identifier: Apache-2.0 */
/* SwiGLU: y = swish(a) * b, the gate of transformer blocks; f16 and bf16 through blocks of f32, f64 in double. */
#include <math.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "ops/block.h"
#include "ops/ops.h"

enum { GRAIN = 1 << 14 };

static pi_status swiglu_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    char ta[200], tb[200];
    if (!pi_tensor_same_shape(in[0], in[1]))
        return pi_fail(err, PI_E_MODEL, "A is %s and B is %s, expected the same shape",
                       pi_tensor_text(in[0], ta, sizeof ta), pi_tensor_text(in[1], tb, sizeof tb));
    return pi_infer_same(node, in, out, err);
}

static void block_f64(double alpha, const double *a, const double *b, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] / (1 + exp(-alpha * a[i])) * b[i];
}

static void swiglu_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pi_eltwise_kernels *k = pi_eltwise();
    pi_dtype dtype = call->in[0]->dtype;
    float alpha = pi_attr_float(call->node, "alpha");
    for (int64_t at = begin; at < end; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, end - at);
        const void *a = pi_at(call->in[0]->data, dtype, at), *b = pi_at(call->in[1]->data, dtype, at);
        void *y = pi_at_mut(call->out[0]->data, dtype, at);
        if (dtype == PI_DTYPE_F64) {
            block_f64((double)alpha, a, b, y, n);
            continue;
        }
        float gate[PI_BLOCK], value[PI_BLOCK];
        pi_read_f32(dtype, a, 1, n, gate);
        pi_read_f32(dtype, b, 1, n, value);
        k->act_f32((pi_act){PI_ACT_SILU, alpha, 0}, (size_t)n, gate, gate);
        k->binary_f32(PI_BINARY_MUL, 1, (size_t)n, (pi_in){gate, 0, 1}, (pi_in){value, 0, 1}, gate);
        pi_write_f32(dtype, y, 1, n, gate);
    }
}

static pi_status swiglu_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    pi_parallel(call->run->threads, pi_tensor_n(call->in[0]), GRAIN, swiglu_chunk, &copy);
    return PI_E_OK;
}

static const pi_impl swiglu_impls[] = {{"ref", NULL, NULL, swiglu_run, 3}, {0}};
static const pi_attr_def swiglu_attrs[] = {{"alpha", PI_ATTR_FLOAT, false, 0, 1, NULL}, {0}};
static const pi_op rows[] = {
    {.name = "SwiGLU", .since = 28, .signature = "A:T B:T -> Y:T", .T = PI_FLOATS, .flags = PI_OP_ELEMENTWISE,
     .attrs = swiglu_attrs, .infer = swiglu_infer, .impls = swiglu_impls},
};
const pi_op_family pi_ops_swiglu = {rows, PI_COUNT(rows)};
