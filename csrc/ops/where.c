/* SPDX-License-Identifier: Apache-2.0 */
/* Where: each element from X where the condition is true, else from Y; all three broadcast. */
#include <string.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "ops/bcast.h"
#include "ops/block.h"
#include "ops/ops.h"

enum { GRAIN = 1 << 15 };

static pi_status where_prepare(pi_prep *prep, pi_error *err)
{
    pi_bcast *b = prep->state = pi_prep_alloc(prep, sizeof *b, err);
    if (!b) return pi_alloc_status(err);
    pi_bcast_init(b, prep->out[0], prep->in, 3);
    return PI_E_OK;
}

/* One loop for each size of element: what the bytes mean does not matter. */
#define SELECT(type)                                                                              \
    {                                                                                             \
        const type *x = px, *y = py;                                                              \
        type *out = pout;                                                                         \
        for (int64_t i = 0; i < n; i++) out[i] = condition[i * sc] ? x[i * sx] : y[i * sy];       \
        break;                                                                                    \
    }
typedef struct {
    uint64_t part[2];
} wide;

static void where_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pi_bcast *b = call->state;
    pi_dtype dtype = call->out[0]->dtype;
    int64_t sc = pi_bcast_step(b, 0), sx = pi_bcast_step(b, 1), sy = pi_bcast_step(b, 2);
    for (int64_t at = begin, n; at < end; at += n) {
        int64_t offset[PI_BCAST_INPUTS];
        n = pi_min_i64(pi_bcast_at(b, at, offset), end - at);
        const uint8_t *condition = (const uint8_t *)call->in[0]->data + offset[0];
        const void *px = pi_at(call->in[1]->data, dtype, offset[1]), *py = pi_at(call->in[2]->data, dtype, offset[2]);
        void *pout = pi_at_mut(call->out[0]->data, dtype, at);
        switch (pi_dtype_size(dtype)) {
        case 1: SELECT(uint8_t)
        case 2: SELECT(uint16_t)
        case 4: SELECT(uint32_t)
        case 8: SELECT(uint64_t)
        default: SELECT(wide)
        }
    }
}

static void where_fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pi_bcast *b = call->state;
    for (int64_t at = begin; at < end;) {
        pi_bcast_span s = pi_bcast_rows(b, at, end);
        pi_in in[3] = {{(const uint8_t *)call->in[0]->data + s.offset[0], s.row[0], (int)pi_bcast_step(b, 0)}};
        for (int k = 1; k < 3; k++)
            in[k] = (pi_in){(const uint32_t *)call->in[k]->data + s.offset[k], s.row[k], (int)pi_bcast_step(b, k)};
        pi_eltwise()->where_32((size_t)s.rows, (size_t)s.n, in[0], in[1], in[2], (uint32_t *)call->out[0]->data + at);
        at += s.rows * s.n;
    }
}

static const char *where_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)node;
    (void)out;
    return pi_dtype_size(in[1]->dtype) == 4 ? NULL : "only types of 4 bytes";
}

static pi_status where_fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    pi_parallel(call->run->threads, pi_tensor_n(call->out[0]), GRAIN, where_fast_chunk, &copy);
    return PI_E_OK;
}

static pi_status where_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    pi_parallel(call->run->threads, pi_tensor_n(call->out[0]), GRAIN, where_chunk, &copy);
    return PI_E_OK;
}

static const pi_impl where_impls[] = {
    {"simd", where_fast_refuse, where_prepare, where_fast_run, 6},
    {"ref", NULL, where_prepare, where_run, 6},
    {0},
};

static const pi_op rows[] = {
    {.name = "Where", .since = 9, .signature = "condition:bool X:T Y:T -> output:T", .T = PI_ANY,
     .flags = PI_OP_ELEMENTWISE, .infer = pi_infer_broadcast, .impls = where_impls},
};
const pi_op_family pi_ops_where = {rows, PI_COUNT(rows)};
