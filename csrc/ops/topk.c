/* SPDX-License-Identifier: Apache-2.0 */
/* TopK: a heap of the k best so far, its root the worst of them; most elements of a lane fail one comparison. Equal
 * elements come in the order of their indices. */
#include <string.h>

#include "base/threads.h"
#include "ops/element.h"
#include "ops/move.h"
#include "ops/order.h"

typedef struct {
    uint64_t key;
    int64_t index;
} topk_item;

typedef struct {
    const pi_tensor *in;
    char *values;
    int64_t *indices;
    topk_item *heap; /* k for each thread */
    int64_t n, inner, k;
    bool smallest;
} topk_job;

static pi_status topk_axis(const pi_node *node, const pi_tensor *in, int *axis, pi_error *err)
{
    if (in->rank == 0) return pi_fail(err, PI_E_MODEL, "X is a scalar, it has no axis");
    return pi_axis(pi_attr_int(node, "axis"), in->rank, axis, err);
}

static pi_status topk_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    int64_t k, dim[PI_MAX_RANK];
    PI_TRY(topk_axis(node, in[0], &axis, err));
    if (node->op->since < 10) {
        k = pi_attr_int(node, "k");
    } else {
        if (!in[1]->data) return PI_E_OK;
        PI_TRY(pi_move_scalar(in[1], "K", &k, err));
    }
    for (int i = 0; i < in[0]->rank; i++) dim[i] = in[0]->dim[i];
    if (k < 0 || k > dim[axis])
        return pi_fail(err, PI_E_MODEL, "K is %lld, axis %d has length %lld", (long long)k, axis, (long long)dim[axis]);
    dim[axis] = k;
    for (uint32_t i = 0; i < node->n_out; i++) PI_TRY(pi_move_shape(&out[i], in[0]->rank, dim, err));
    return PI_E_OK;
}

/* a is a worse choice than b */
static inline bool worse(const topk_item *a, const topk_item *b)
{
    return a->key < b->key || (a->key == b->key && a->index > b->index);
}

static void topk_sink(topk_item *heap, int64_t at, int64_t n)
{
    topk_item v = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && worse(&heap[child + 1], &heap[child])) child++;
        if (!worse(&heap[child], &v)) break;
        heap[at] = heap[child];
    }
    heap[at] = v;
}

static void topk_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const topk_job *job = arg;
    const pi_tensor *in = job->in;
    topk_item *heap = job->heap + thread * job->k;
    size_t elem = pi_dtype_size(in->dtype);
    int64_t k = job->k;
    for (int64_t lane = begin; lane < end; lane++) {
        int64_t base = lane / job->inner * job->n * job->inner + lane % job->inner;
        for (int64_t i = 0; i < job->n; i++) {
            if (i >= k && in->dtype == PI_DTYPE_F32) { /* most fail here; a NaN does not */
                float x = ((const float *)in->data)[base + i * job->inner];
                float bar = ((const float *)in->data)[base + heap[0].index * job->inner];
                if (job->smallest ? x >= bar : x <= bar) continue;
            }
            uint64_t key = pi_order_key(in->dtype, in->data, base + i * job->inner);
            topk_item item = {job->smallest ? ~key : key, i};
            if (i < k) {
                heap[i] = item;
                if (i == k - 1)
                    for (int64_t p = k / 2 - 1; p >= 0; p--) topk_sink(heap, p, k);
            } else if (item.key > heap[0].key) { /* an equal one that comes later is worse */
                heap[0] = item;
                topk_sink(heap, 0, k);
            }
        }
        int64_t to = lane / job->inner * k * job->inner + lane % job->inner;
        for (int64_t left = k - 1; left >= 0; left--) { /* the worst goes to the end */
            int64_t i = heap[0].index, o = to + left * job->inner;
            if (job->values)
                memcpy(job->values + (size_t)o * elem, (const char *)in->data + (size_t)(base + i * job->inner) * elem, elem);
            if (job->indices) job->indices[o] = i;
            heap[0] = heap[left];
            topk_sink(heap, 0, left);
        }
    }
}

static int64_t topk_k(const pi_tensor *const *out, uint32_t n, int axis)
{
    for (uint32_t i = 0; i < n; i++)
        if (out[i] && out[i]->rank > axis) return out[i]->dim[axis];
    return 0;
}

static pi_status topk_prepare(pi_prep *prep, pi_error *err)
{
    int axis;
    PI_TRY(topk_axis(prep->node, prep->in[0], &axis, err));
    int64_t k = topk_k(prep->out, prep->node->n_out, axis);
    if (!pi_mul((size_t)k * sizeof(topk_item), (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "K is too large");
    return PI_E_OK;
}

static pi_status topk_run(const pi_call *call, pi_error *err)
{
    int axis;
    const pi_tensor *in = call->in[0];
    PI_TRY(topk_axis(call->node, in, &axis, err));
    topk_job job = {.in = in, .n = in->dim[axis], .inner = pi_dims_product(in, axis + 1, in->rank), .heap = call->scratch};
    job.k = topk_k((const pi_tensor *const *)call->out, call->node->n_out, axis);
    job.smallest = call->node->op->since >= 11 && pi_attr_int(call->node, "largest") == 0;
    if (call->out[0]) job.values = call->out[0]->data;
    if (pi_move_wants(call, 1)) job.indices = call->out[1]->data;
    int64_t lanes = pi_dims_product(in, 0, axis) * job.inner;
    if (job.k == 0 || lanes == 0) return PI_E_OK;
    if (job.k > job.n) return pi_fail(err, PI_E_INTERNAL, "planned for another K");
    pi_parallel(call->run->threads, lanes, pi_max_i64(1, 16384 / job.n), topk_task, &job);
    return PI_E_OK;
}

static const pi_impl impls[] = {{.name = "ref", .prepare = topk_prepare, .run = topk_run}, {0}};

static const pi_attr_def attrs_v1[] = {
    {.name = "axis", .kind = PI_ATTR_INT, .i = -1}, {.name = "k", .kind = PI_ATTR_INT, .required = true}, {0}};
static const pi_attr_def attrs_v10[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = -1}, {0}};
static const pi_attr_def attrs_v11[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = -1},
                                        {.name = "largest", .kind = PI_ATTR_INT, .i = 1},
                                        {.name = "sorted", .kind = PI_ATTR_INT, .i = 1},
                                        {0}};

static const pi_op rows[] = {
    {.name = "TopK", .since = 1, .signature = "X:T -> Values:T Indices:i64", .T = PI_NUMBERS, .attrs = attrs_v1,
     .infer = topk_infer, .impls = impls},
    {.name = "TopK", .since = 10, .signature = "X:T K:i64 -> Values:T Indices:i64", .T = PI_NUMBERS, .attrs = attrs_v10,
     .infer = topk_infer, .impls = impls},
    {.name = "TopK", .since = 11, .signature = "X:T K:i64 -> Values:T Indices:i64", .T = PI_NUMBERS, .attrs = attrs_v11,
     .infer = topk_infer, .impls = impls},
};
const pi_op_family pi_ops_topk = {rows, PI_COUNT(rows)};
