/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.QuantAdd and QuantMul: DequantizeLinear of two byte tensors, the sum or product in f32, QuantizeLinear, in
 * blocks that stay in the cache; the same bits as the operators one by one. Made by the pass qdq. */
#include <string.h>

#include "base/threads.h"
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

static pi_quant_pair pair_of(const pi_call *call)
{
    const pi_tensor *const *in = call->in;
    return (pi_quant_pair){.a_scale = *(const float *)in[A + 1]->data,
                           .a_zero = (float)pi_tensor_int(in[A + 2], 0),
                           .b_scale = *(const float *)in[B + 1]->data,
                           .b_zero = (float)pi_tensor_int(in[B + 2], 0),
                           .y_scale = *(const float *)in[Y]->data,
                           .y_zero = (float)pi_tensor_int(in[Y + 1], 0),
                           .a_signed = in[A]->dtype == PI_DTYPE_I8,
                           .b_signed = in[B]->dtype == PI_DTYPE_I8,
                           .y_signed = call->out[0]->dtype == PI_DTYPE_I8,
                           .product = call->node->op->name[5] == 'M'};
}

static void binary_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const char *a = w->call->in[A]->data, *b = w->call->in[B]->data;
    char *y = w->call->out[0]->data;
    pi_quant_pair p = pair_of(w->call);
    for (int64_t at = begin, n; at < end; at += n) {
        int64_t offset[PI_BCAST_INPUTS];
        char repeated[2][BLOCK];
        n = pi_min_i64(pi_bcast_at(&w->b, at, offset), end - at);
        const char *from[2] = {a + offset[0], b + offset[1]};
        for (int k = 0; k < 2; k++) {
            if (pi_bcast_step(&w->b, k) == 1) continue;
            n = pi_min_i64(n, BLOCK);
            memset(repeated[k], *from[k], (size_t)n);
            from[k] = repeated[k];
        }
        pi_quant_linear_select()->pair(y + at, from[0], from[1], n, &p);
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
     .flags = PI_OP_ELEMENTWISE,                                                                   \
     .infer = binary_infer,                                                                        \
     .impls = impls}
static const pi_op rows[] = {ROW("QuantAdd"), ROW("QuantMul")};
const pi_op_family pi_ops_quant_binary = {rows, PI_COUNT(rows)};
