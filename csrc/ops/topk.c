/* SPDX-License-Identifier: Apache-2.0 */
/* TopK: a heap of the k best so far, its root the worst of them. Of f32 whole blocks fail by their largest element; lanes
 * that are not contiguous come through a buffer, some at a time. Where k is a large part of a lane, the lane is sorted. Equal
 * elements come in the order of their indices. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "kernels/reduce/reduce.h"
#include "ops/element.h"
#include "ops/move.h"
#include "ops/order.h"

enum { LANES = 16, STEP = 64, FEW = 32, TOPS = 64 }; /* lanes and elements of a buffer; elements of a block, blocks at once */

typedef struct {
    const pi_tensor *in;
    char *values;
    int64_t *indices;
    pi_order_item *items; /* topk_items for each thread */
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

static bool topk_sorts(int64_t n, int64_t k) { return n >= 64 && k > n / 4; }

/* Lanes that are worked on at once: neighbours in memory, whose elements are far apart. */
static int64_t topk_lanes(pi_dtype dtype, int64_t n, int64_t inner, int64_t k)
{
    return dtype == PI_DTYPE_F32 && !topk_sorts(n, k) ? pi_min_i64(inner, LANES) : 1;
}

static int64_t topk_items(pi_dtype dtype, int64_t n, int64_t inner, int64_t k)
{
    return topk_sorts(n, k) ? 2 * n : k * topk_lanes(dtype, n, inner, k);
}

/* Better ones have greater keys. */
static inline pi_order_item topk_item(const topk_job *job, const void *data, int64_t at, int64_t index)
{
    uint64_t key = pi_order_key(job->in->dtype, data, at);
    return (pi_order_item){job->smallest ? ~key : key, index};
}

/* a is a worse choice than b */
static inline bool worse(const pi_order_item *a, const pi_order_item *b)
{
    return a->key < b->key || (a->key == b->key && a->index > b->index);
}

static void topk_sink(pi_order_item *heap, int64_t at, int64_t n)
{
    pi_order_item v = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n) child += worse(&heap[child + 1], &heap[child]);
        if (!worse(&heap[child], &v)) break;
        heap[at] = heap[child];
    }
    heap[at] = v;
}

/* Item i of a lane; they come in order. */
static inline void topk_push(const topk_job *job, pi_order_item *heap, pi_order_item item)
{
    int64_t k = job->k;
    if (item.index < k) {
        heap[item.index] = item;
        if (item.index == k - 1)
            for (int64_t p = k / 2 - 1; p >= 0; p--) topk_sink(heap, p, k);
    } else if (item.key > heap[0].key) { /* an equal one that comes later is worse */
        heap[0] = item;
        topk_sink(heap, 0, k);
    }
}

/* Elements x[0 .. n) are from[0 .. n) of their lane; the heap is full. A NaN does not fail here. */
static void topk_feed_block(const topk_job *job, pi_order_item *heap, const float *lane, const float *x, int64_t from, int64_t n,
                            float *bar)
{
    for (int64_t i = 0; i < n; i++) {
        if (job->smallest ? x[i] >= *bar : x[i] <= *bar) continue;
        pi_order_item item = topk_item(job, x, i, from + i);
        if (item.key <= heap[0].key) continue;
        heap[0] = item;
        topk_sink(heap, 0, job->k);
        *bar = lane[heap[0].index * job->inner];
    }
}

/* `lane` is where the whole lane begins, its elements job->inner apart; x the n elements from `from` on, side by side. */
static void topk_feed(const topk_job *job, pi_order_item *heap, const float *lane, const float *x, int64_t from, int64_t n)
{
    int64_t i = 0;
    float top[TOPS];
    for (; i < n && from + i < job->k; i++) topk_push(job, heap, topk_item(job, x, i, from + i));
    if (i == n) return;
    float bar = lane[heap[0].index * job->inner];
    while (n - i >= FEW) {
        int64_t blocks = pi_min_i64(TOPS, (n - i) / FEW);
        pi_reduce()->rows_f32(job->smallest ? PI_REDUCE_MIN : PI_REDUCE_MAX, (size_t)blocks, FEW, FEW, x + i, top);
        for (int64_t b = 0; b < blocks; b++, i += FEW)
            if (!(job->smallest ? top[b] >= bar : top[b] <= bar)) topk_feed_block(job, heap, lane, x + i, from + i, FEW, &bar);
    }
    topk_feed_block(job, heap, lane, x + i, from + i, n - i, &bar);
}

static int64_t lane_start(const topk_job *job, int64_t lane, int64_t n)
{
    return lane / job->inner * n * job->inner + lane % job->inner;
}

static void topk_put(const topk_job *job, int64_t lane, int64_t place, int64_t index)
{
    size_t elem = pi_dtype_size(job->in->dtype);
    int64_t o = lane_start(job, lane, job->k) + place * job->inner, i = lane_start(job, lane, job->n) + index * job->inner;
    if (job->values) memcpy(job->values + (size_t)o * elem, (const char *)job->in->data + (size_t)i * elem, elem);
    if (job->indices) job->indices[o] = index;
}

static void topk_drain(const topk_job *job, pi_order_item *heap, int64_t lane)
{
    for (int64_t left = job->k - 1; left >= 0; left--) { /* the worst goes to the end */
        topk_put(job, lane, left, heap[0].index);
        heap[0] = heap[left];
        topk_sink(heap, 0, left);
    }
}

static void topk_sort(const topk_job *job, pi_order_item *item, int64_t lane)
{
    int64_t at = lane_start(job, lane, job->n);
    for (int64_t i = 0; i < job->n; i++) {
        item[i] = topk_item(job, job->in->data, at + i * job->inner, i);
        item[i].key = ~item[i].key; /* the best first */
    }
    pi_order_radix(item, item + job->n, job->n);
    if (job->inner > 1 || pi_dtype_size(job->in->dtype) != 4 || !job->values || !job->indices) {
        for (int64_t i = 0; i < job->k; i++) topk_put(job, lane, i, item[i].index);
        return;
    }
    const char *from = (const char *)job->in->data + 4 * at;
    char *value = job->values + 4 * lane * job->k;
    int64_t *index = job->indices + lane * job->k;
    for (int64_t i = 0; i < job->k; i++) {
        index[i] = item[i].index;
        memcpy(value + 4 * i, from + 4 * item[i].index, 4);
    }
}

/* `lanes` neighbours within the same outer index. */
static void topk_some(const topk_job *job, pi_order_item *heap, int64_t lane, int64_t lanes)
{
    const float *x = (const float *)job->in->data + lane_start(job, lane, job->n);
    float buffer[LANES * STEP];
    if (job->inner == 1) topk_feed(job, heap, x, x, 0, job->n);
    for (int64_t i = 0; job->inner > 1 && i < job->n; i += STEP) {
        int64_t n = pi_min_i64(STEP, job->n - i);
        pi_transpose_select(sizeof *x)((const char *)(x + i * job->inner), job->inner * (int64_t)sizeof *x, (char *)buffer,
                                       STEP * sizeof *x, n, lanes);
        for (int64_t j = 0; j < lanes; j++) topk_feed(job, heap + j * job->k, x + j, buffer + j * STEP, i, n);
    }
    for (int64_t j = 0; j < lanes; j++) topk_drain(job, heap + j * job->k, lane + j);
}

static void topk_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const topk_job *job = arg;
    const pi_tensor *in = job->in;
    int64_t most = topk_lanes(in->dtype, job->n, job->inner, job->k), lanes;
    pi_order_item *items = job->items + thread * topk_items(in->dtype, job->n, job->inner, job->k);
    for (int64_t lane = begin; lane < end; lane += lanes) {
        lanes = pi_min_i64(pi_min_i64(most, end - lane), job->inner - lane % job->inner);
        if (topk_sorts(job->n, job->k)) {
            topk_sort(job, items, lane);
        } else if (in->dtype == PI_DTYPE_F32) {
            topk_some(job, items, lane, lanes);
        } else {
            int64_t at = lane_start(job, lane, job->n);
            for (int64_t i = 0; i < job->n; i++) topk_push(job, items, topk_item(job, in->data, at + i * job->inner, i));
            topk_drain(job, items, lane);
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
    const pi_tensor *in = prep->in[0];
    int64_t k = topk_k(prep->out, prep->node->n_out, axis), n = in->dim[axis];
    int64_t inner = pi_dims_product(in, axis + 1, in->rank);
    if (!pi_mul((size_t)topk_items(in->dtype, n, inner, k) * sizeof(pi_order_item), (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "K is too large");
    return PI_E_OK;
}

static pi_status topk_run(const pi_call *call, pi_error *err)
{
    int axis;
    const pi_tensor *in = call->in[0];
    PI_TRY(topk_axis(call->node, in, &axis, err));
    topk_job job = {.in = in, .n = in->dim[axis], .inner = pi_dims_product(in, axis + 1, in->rank), .items = call->scratch};
    job.k = topk_k((const pi_tensor *const *)call->out, call->node->n_out, axis);
    job.smallest = call->node->op->since >= 11 && pi_attr_int(call->node, "largest") == 0;
    if (call->out[0]) job.values = call->out[0]->data;
    if (pi_move_wants(call, 1)) job.indices = call->out[1]->data;
    int64_t lanes = pi_dims_product(in, 0, axis) * job.inner;
    if (job.k == 0 || lanes == 0) return PI_E_OK;
    if (job.k > job.n) return pi_fail(err, PI_E_INTERNAL, "planned for another K");
    pi_parallel(call->run->threads, lanes, pi_max_i64(1, (topk_sorts(job.n, job.k) ? 1024 : 16384) / job.n), topk_task, &job);
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
