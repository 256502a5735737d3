/* SPDX-License-Identifier: Apache-2.0 */
/* CumSum and CumProd: running sums and products along an axis. Axes behind it are the inner loop, so that lanes do not
 * depend on each other; f16 and bf16 keep the running value in float. */
#include <string.h>

#include "base/threads.h"
#include "ops/element.h"
#include "ops/move.h"

enum { MANY = 256 }; /* lanes that run side by side */

typedef struct {
    const void *in;
    void *out;
    pi_dtype dtype;
    int64_t n, inner; /* length of the axis, elements behind it */
    bool product, reverse, exclusive;
} cumulative_job;

/* A column block: steps along the axis outside, columns [from, to) inside. */
#define COLUMNS(type, wide, GET, PUT)                                                          \
    {                                                                                          \
        wide run[MANY];                                                                        \
        const type *x = (const type *)job->in + base;                                          \
        type *y = (type *)job->out + base;                                                     \
        if (to - from == 1) { /* one lane: the running value stays in a register */            \
            wide one = (wide)job->product;                                                     \
            for (int64_t k = 0; k < job->n; k++) {                                             \
                int64_t at = (job->reverse ? job->n - 1 - k : k) * job->inner + from;          \
                wide v = (wide)GET(x[at]), before = one;                                       \
                one = job->product ? (wide)(one * v) : (wide)(one + v);                        \
                y[at] = (type)PUT(job->exclusive ? before : one);                              \
            }                                                                                  \
            return;                                                                            \
        }                                                                                      \
        for (int64_t c0 = from; c0 < to; c0 += MANY) {                                         \
            int64_t c1 = to - c0 < MANY ? to : c0 + MANY;                                      \
            for (int64_t c = c0; c < c1; c++) run[c - c0] = (wide)job->product;                \
            for (int64_t k = 0; k < job->n; k++) {                                             \
                int64_t at = (job->reverse ? job->n - 1 - k : k) * job->inner;                 \
                if (job->product || job->exclusive) {                                          \
                    for (int64_t c = c0; c < c1; c++) {                                        \
                        wide v = (wide)GET(x[at + c]), before = run[c - c0];                   \
                        wide after = job->product ? (wide)(before * v) : (wide)(before + v);   \
                        run[c - c0] = after;                                                   \
                        y[at + c] = (type)PUT(job->exclusive ? before : after);                \
                    }                                                                          \
                    continue;                                                                  \
                }                                                                              \
                for (int64_t c = c0; c < c1; c++) { /* the usual one has no choices inside */  \
                    wide sum = (wide)(run[c - c0] + GET(x[at + c]));                           \
                    run[c - c0] = sum;                                                         \
                    y[at + c] = (type)PUT(sum);                                                \
                }                                                                              \
            }                                                                                  \
        }                                                                                      \
        return;                                                                                \
    }

static void cumulative_columns(const cumulative_job *job, int64_t base, int64_t from, int64_t to)
{
    switch (job->dtype) {
    case PI_DTYPE_F32: COLUMNS(float, float, , )
    case PI_DTYPE_F64: COLUMNS(double, double, , )
    case PI_DTYPE_F16: COLUMNS(uint16_t, float, pi_f16_to_float, pi_float_to_f16)
    case PI_DTYPE_BF16: COLUMNS(uint16_t, float, pi_bf16_to_float, pi_float_to_bf16)
    case PI_DTYPE_I32:
    case PI_DTYPE_U32: COLUMNS(uint32_t, uint32_t, , ) /* wraps */
    case PI_DTYPE_I64:
    case PI_DTYPE_U64: COLUMNS(uint64_t, uint64_t, , )
    default: return;
    }
}

/* Units: (outer, column). */
static void cumulative_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const cumulative_job *job = arg;
    while (begin < end) {
        int64_t outer = begin / job->inner, from = begin % job->inner, n = pi_min_i64(end - begin, job->inner - from);
        cumulative_columns(job, outer * job->n * job->inner, from, from + n);
        begin += n;
    }
}

static pi_status cumulative_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *in = call->in[0];
    int64_t given;
    int axis;
    PI_TRY(pi_move_scalar(call->in[1], "axis", &given, err));
    if (in->rank == 0) return pi_fail(err, PI_E_MODEL, "x is a scalar, it has no axis");
    PI_TRY(pi_axis(given, in->rank, &axis, err));
    PI_TRY(pi_move_outputs(call, err));
    cumulative_job job = {.in = in->data,
                          .out = call->out[0]->data,
                          .dtype = in->dtype,
                          .n = in->dim[axis],
                          .inner = pi_dims_product(in, axis + 1, in->rank),
                          .product = strcmp(call->node->op->name, "CumProd") == 0,
                          .reverse = pi_attr_int(call->node, "reverse") != 0,
                          .exclusive = pi_attr_int(call->node, "exclusive") != 0};
    if (pi_tensor_n(in) == 0) return PI_E_OK;
    /* neighbours that share a cache line in each step would wait for each other: whole rows, or long parts of them */
    int64_t least = job.inner < 2 * MANY ? job.inner : MANY, lanes = pi_max_i64(1, 16384 / job.n / least) * least;
    pi_parallel(call->run->threads, pi_dims_product(in, 0, axis) * job.inner, lanes, cumulative_task, &job);
    return PI_E_OK;
}

static const pi_impl impls[] = {{.name = "ref", .run = cumulative_run, .inplace = 1}, {0}};

static const pi_attr_def attrs[] = {
    {.name = "exclusive", .kind = PI_ATTR_INT, .i = 0}, {.name = "reverse", .kind = PI_ATTR_INT, .i = 0}, {0}};

#define SUMS (PI_FLOATS | PI_BIT(I32) | PI_BIT(I64) | PI_BIT(U32) | PI_BIT(U64))
#define INDEX (PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "CumSum", .since = 11, .signature = "x:T axis:U -> y:T", .T = SUMS, .U = INDEX, .attrs = attrs,
     .infer = pi_infer_same, .impls = impls},
    {.name = "CumProd", .since = 26, .signature = "x:T axis:U -> y:T", .T = SUMS, .U = INDEX, .attrs = attrs,
     .infer = pi_infer_same, .impls = impls},
};
const pi_op_family pi_ops_cumulative = {rows, PI_COUNT(rows)};
