/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.QuantAdd and QuantMul: DequantizeLinear of two byte tensors, the sum or product in f32, QuantizeLinear, in
 * blocks that stay in the cache; the same bits as the operators one by one. Made by the pass qdq. */
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/quant/quant_linear.h"
#include "ops/bcast.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/quant.h"

enum { A, B = 3, Y = 6, BLOCK = 768, GRAIN = 16384 };

typedef struct {
    const pi_call *call;
    pi_bcast b;
} work;

static pi_status binary_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    for (int i = 1; i < 8; i++) {
        char text[160];
        if (i != B && pi_tensor_n(in[i]) != 1)
            return pi_fail(err, PI_E_MODEL, "input %d is %s, expected one element", i,
                           pi_tensor_text(in[i], text, sizeof text));
    }
    return pi_broadcast(in[A], in[B], out, err);
}

/* n floats of operand `first`, from `offset` on, `step` (0 or 1) apart. */
static void read_operand(const pi_call *call, int first, int64_t offset, int64_t step, int64_t n, float *x)
{
    const pi_tensor *t = call->in[first];
    float scale = *(const float *)call->in[first + 1]->data, zero = (float)pi_tensor_int(call->in[first + 2], 0);
    pi_quant_linear_select()->to_floats(x, (const char *)t->data + offset, step ? n : 1, scale, zero,
                                        t->dtype == PI_DTYPE_I8);
    for (int64_t i = 1; step == 0 && i < n; i++) x[i] = x[0];
}

static void binary_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const pi_call *call = w->call;
    const pi_tensor *y = call->out[0];
    bool add = call->node->op->name[5] == 'A';
    float scale = *(const float *)call->in[Y]->data, zero = (float)pi_tensor_int(call->in[Y + 1], 0);
    for (int64_t at = begin, n; at < end; at += n) {
        float a[BLOCK], b[BLOCK];
        int64_t offset[PI_BCAST_INPUTS];
        n = pi_min_i64(pi_min_i64(pi_bcast_at(&w->b, at, offset), end - at), BLOCK);
        read_operand(call, A, offset[0], pi_bcast_step(&w->b, 0), n, a);
        read_operand(call, B, offset[1], pi_bcast_step(&w->b, 1), n, b);
        pi_eltwise()->binary_f32(add ? PI_BINARY_ADD : PI_BINARY_MUL, 1, (size_t)n, (pi_in){a, 0, 1}, (pi_in){b, 0, 1},
                                 a);
        pi_quant_linear_select()->to_bytes((char *)y->data + at, a, n, scale, zero, y->dtype == PI_DTYPE_I8);
    }
}

static pi_status binary_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    work w = {.call = call};
    const pi_tensor *in[2] = {call->in[A], call->in[B]};
    pi_bcast_init(&w.b, call->out[0], in, 2);
    pi_parallel(call->run->threads, pi_tensor_n(call->out[0]), GRAIN, binary_task, &w);
    return PI_E_OK;
}

static const pi_impl impls[] = {{.name = "ref", .run = binary_run}, {0}};

#define BYTES (PI_BIT(U8) | PI_BIT(I8))
#define ROW(row_name)                                                                              \
    {.domain = "pyinfer",                                                                          \
     .name = row_name,                                                                             \
     .since = 1,                                                                                   \
     .signature = "A:T A_scale:f32 A_zero:T B:U B_scale:f32 B_zero:U Y_scale:f32 Y_zero:V -> Y:V", \
     .T = BYTES,                                                                                   \
     .U = BYTES,                                                                                   \
     .V = BYTES,                                                                                   \
     .infer = binary_infer,                                                                        \
     .impls = impls}
static const pi_op rows[] = {ROW("QuantAdd"), ROW("QuantMul")};
const pi_op_family pi_ops_quant_binary = {rows, PI_COUNT(rows)};
