/* SPDX-License-Identifier: Apache-2.0 */
/* See move.h. */
#include "ops/move.h"

#include <string.h>

#include "base/threads.h"

enum { MOVE_GRAIN = 64 << 10 }; /* bytes below which a second thread costs more than it gains */

pi_status pi_move_list(const pi_tensor *t, const char *name, pi_list *out, pi_error *err)
{
    int64_t n;
    if (t->rank > 1) return pi_fail(err, PI_E_MODEL, "%s has rank %d, expected 1", name, t->rank);
    PI_TRY(pi_tensor_count(t, &n, err));
    if (n > PI_MAX_RANK)
        return pi_fail(err, PI_E_LIMIT, "%s has %lld entries, the limit of a rank is %d", name, (long long)n, PI_MAX_RANK);
    out->n = (int)n;
    for (int i = 0; i < out->n; i++) out->v[i] = pi_tensor_int(t, i);
    return PI_E_OK;
}

pi_status pi_move_attr(const pi_node *node, const char *name, pi_list *out, pi_error *err)
{
    out->n = -1;
    if (!pi_attr_find(node, name)) return PI_E_OK;
    uint32_t n;
    const int64_t *v = pi_attr_ints(node, name, &n);
    if (n > PI_MAX_RANK)
        return pi_fail(err, PI_E_LIMIT, "%s has %u entries, the limit of a rank is %d", name, n, PI_MAX_RANK);
    out->n = (int)n;
    for (uint32_t i = 0; i < n; i++) out->v[i] = v[i];
    return PI_E_OK;
}

pi_status pi_move_axes(pi_list *axes, int rank, pi_error *err)
{
    unsigned seen = 0;
    for (int i = 0; i < axes->n; i++) {
        int axis;
        PI_TRY(pi_axis(axes->v[i], rank, &axis, err));
        if (seen >> axis & 1) return pi_fail(err, PI_E_MODEL, "axes name axis %d twice", axis);
        seen |= 1u << axis;
        axes->v[i] = axis;
    }
    return PI_E_OK;
}

pi_status pi_move_scalar(const pi_tensor *t, const char *name, int64_t *out, pi_error *err)
{
    int64_t n;
    PI_TRY(pi_tensor_count(t, &n, err));
    if (n != 1) return pi_fail(err, PI_E_MODEL, "%s has %lld elements, expected 1", name, (long long)n);
    *out = pi_tensor_int(t, 0);
    return PI_E_OK;
}

pi_status pi_move_shape(pi_tensor *out, int rank, const int64_t *dim, pi_error *err)
{
    if (rank > PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "rank %d is above the limit of %d", rank, PI_MAX_RANK);
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0) return pi_fail(err, PI_E_MODEL, "dimension %d of the output is %lld", i, (long long)dim[i]);
    pi_tensor t = {.dtype = out->dtype, .rank = rank};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    int64_t n;
    size_t bytes;
    PI_TRY(pi_tensor_count(&t, &n, err));
    if (t.dtype != PI_DTYPE_NONE) PI_TRY(pi_tensor_bytes(&t, &bytes, err));
    pi_tensor_set_shape(out, rank, dim);
    return PI_E_OK;
}

void pi_move_strides(int rank, const int64_t *dim, int64_t *stride)
{
    int64_t n = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= dim[i];
    }
}

pi_status pi_move_outputs(const pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    int missing = 0;
    for (uint32_t i = 0; i < node->n_out; i++)
        if (call->out[i] && (!call->out[i]->data || call->out[i]->rank < 0)) missing = 1;
    if (!missing) return PI_E_OK;
    enum { SOME = 16 }; /* the operators with more outputs than this are sized by the plan or by the step loop */
    if (node->n_out > SOME) return pi_fail(err, PI_E_UNSUPPORTED, "%u outputs of a shape that depends on data", node->n_out);
    pi_tensor out[SOME];
    for (uint32_t i = 0; i < node->n_out; i++)
        out[i] = (pi_tensor){.dtype = call->out[i] ? call->out[i]->dtype : PI_DTYPE_NONE, .rank = -1};
    PI_TRY(node->op->infer(node, call->in, out, err));
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (!call->out[i] || call->out[i]->data) continue;
        if (out[i].rank < 0) return pi_fail(err, PI_E_INTERNAL, "the shape of output %u is not known", i);
        PI_TRY(pi_call_output(call, i, out[i].rank, out[i].dim, err));
    }
    return PI_E_OK;
}

typedef struct {
    const pi_copy *copy;
    const char *src;
    char *dst;
    const void *value;
    size_t elem;
} move_arg;

static void move_copy(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const move_arg *a = arg;
    pi_copy_units(a->copy, a->src, a->dst, begin, end);
}

void pi_move(const pi_call *call, const pi_copy *copy, const void *src, void *dst)
{
    if (copy->units <= 0) return;
    move_arg a = {.copy = copy, .src = src, .dst = dst};
    int64_t grain = copy->unit_bytes >= MOVE_GRAIN ? 1 : MOVE_GRAIN / copy->unit_bytes;
    pi_parallel(call->run->threads, copy->units, grain, move_copy, &a);
}

static void move_bytes(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const move_arg *a = arg;
    memcpy(a->dst + begin, a->src + begin, (size_t)(end - begin));
}

void pi_move_bytes(const pi_call *call, const void *src, void *dst, size_t bytes)
{
    if (src == dst || bytes == 0) return;
    move_arg a = {.src = src, .dst = dst};
    pi_parallel(call->run->threads, (int64_t)bytes, 2 * MOVE_GRAIN, move_bytes, &a);
}

static void move_fill(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const move_arg *a = arg;
    pi_fill(a->dst + (size_t)begin * a->elem, a->value, a->elem, end - begin);
}

void pi_move_fill(const pi_call *call, void *dst, const void *value, size_t elem, int64_t n)
{
    move_arg a = {.dst = dst, .value = value, .elem = elem};
    pi_parallel(call->run->threads, n, 2 * MOVE_GRAIN / (int64_t)elem, move_fill, &a);
}

pi_status pi_move_view_run(const pi_call *call, pi_error *err)
{
    size_t bytes;
    PI_TRY(pi_move_outputs(call, err));
    PI_TRY(pi_tensor_bytes(call->in[0], &bytes, err));
    pi_move_bytes(call, call->in[0]->data, call->out[0]->data, bytes);
    return PI_E_OK;
}
