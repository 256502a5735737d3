/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum of two f32 tensors as batched matrix products: labels of both inputs and the output are the batch, those that are
 * summed are k, the others are rows and columns. Operands whose axes lie in another order are copied first. */
#include <string.h>

#include "base/threads.h"
#include "kernels/igemm/igemm.h"
#include "ops/einsum.h"

enum { ROWS = 32 }; /* of a tile, at most */

typedef struct {
    int n;
    int label[PI_EINSUM_LABELS];
    int64_t size;
} group;

typedef struct {
    pi_einsum s;
    int64_t stride[2 * PI_EINSUM_LABELS];
    group batch, m, n, k;
    int64_t out_stride[PI_EINSUM_LABELS];
    bool copy_a, copy_b, copy_c; /* C is computed in the order batch, m, n */
    size_t a_floats, b_floats, c_floats, panel_floats;
    int64_t panels;
} product;

typedef struct {
    const product *p;
    const pi_igemm_kernels *kernels;
    const float *a, *b;
    float *c, *panel;
} work;

static void group_add(const pi_einsum *s, group *g, int label)
{
    g->label[g->n++] = label;
    g->size *= s->dim[label];
}

/* Dims and strides of the groups in this order; whether that is the dense order already. */
static bool group_axes(const product *p, const group *const *groups, int count, const int64_t *stride, int *rank, int64_t *dim,
                       int64_t *step)
{
    int64_t dense = 1;
    bool same = true;
    *rank = 0;
    for (int g = 0; g < count; g++)
        for (int i = 0; i < groups[g]->n; i++) {
            dim[*rank] = p->s.dim[groups[g]->label[i]];
            step[(*rank)++] = stride[groups[g]->label[i]];
        }
    for (int i = *rank - 1; i >= 0; i--) {
        if (dim[i] != 1 && step[i] != dense) same = false;
        dense *= dim[i];
    }
    return same;
}

static const char *classify(const pi_node *node, const pi_tensor *const *in, product *p, pi_error *err)
{
    memset(p, 0, sizeof *p);
    if (pi_einsum_open(node, in, &p->s, p->stride, err) != PI_E_OK) return "the equation is wrong";
    p->batch.size = p->m.size = p->n.size = p->k.size = 1;
    int64_t dense = 1;
    for (int i = p->s.n_out - 1; i >= 0; i--) {
        p->out_stride[p->s.out[i]] = dense;
        dense *= p->s.dim[p->s.out[i]];
    }
    const int64_t *a = p->stride, *b = p->stride + PI_EINSUM_LABELS;
    for (int i = 0; i < p->s.n_out; i++) {
        int l = p->s.out[i];
        group_add(&p->s, a[l] && b[l] ? &p->batch : b[l] ? &p->n : &p->m, l);
    }
    for (int i = 0; i < p->s.n_sum; i++) {
        int l = p->s.sum[i];
        if (p->s.dim[l] != 1 && (!a[l] || !b[l])) return "a label is summed in one input alone";
        group_add(&p->s, &p->k, l);
    }
    if (p->batch.n + p->m.n + p->n.n + p->k.n > PI_COPY_RANK) return "there are too many labels";
    return NULL;
}

const char *pi_einsum_product_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    product p;
    if (node->n_in != 2) return "there are not two inputs";
    if (in[0]->dtype != PI_DTYPE_F32) return "the dtype is not f32";
    if (!out[0] || pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0 || pi_tensor_n(in[1]) == 0) return "a tensor is empty";
    return classify(node, in, &p, NULL);
}

static bool floats_of(int64_t a, int64_t b, int64_t c, size_t *out)
{
    size_t n;
    if (!pi_mul((size_t)a, (size_t)b, &n) || !pi_mul(n, (size_t)c, &n) || n > SIZE_MAX / 64) return false;
    *out = (n + 15) / 16 * 16;
    return true;
}

pi_status pi_einsum_product_prepare(pi_prep *prep, pi_error *err)
{
    product *p = prep->state = pi_prep_alloc(prep, sizeof *p, err);
    int rank;
    int64_t dim[PI_COPY_RANK], step[PI_COPY_RANK];
    if (!p) return pi_alloc_status(err);
    const char *why = classify(prep->node, prep->in, p, err);
    if (why) return pi_fail(err, PI_E_INTERNAL, "%s", why);
    p->copy_a = !group_axes(p, (const group *[]){&p->batch, &p->m, &p->k}, 3, p->stride, &rank, dim, step);
    p->copy_b = !group_axes(p, (const group *[]){&p->batch, &p->k, &p->n}, 3, p->stride + PI_EINSUM_LABELS, &rank, dim, step);
    p->copy_c = !group_axes(p, (const group *[]){&p->batch, &p->m, &p->n}, 3, p->out_stride, &rank, dim, step);
    int64_t nr = (int64_t)pi_igemm()->nr;
    p->panels = (p->n.size + nr - 1) / nr;
    size_t sum = 0;
    if (!floats_of(p->batch.size, p->m.size, p->k.size, &p->a_floats) ||
        !floats_of(p->batch.size, p->k.size, p->n.size, &p->b_floats) ||
        !floats_of(p->batch.size, p->m.size, p->n.size, &p->c_floats) ||
        !floats_of(p->batch.size * p->panels, p->k.size, nr, &p->panel_floats))
        return pi_fail(err, PI_E_LIMIT, "the operands are too large");
    sum = p->panel_floats + (p->copy_a ? p->a_floats : 0) + (p->copy_b ? p->b_floats : 0) + (p->copy_c ? p->c_floats : 0);
    prep->scratch = sum * sizeof(float);
    prep->flops = 2.0 * (double)p->batch.size * (double)p->m.size * (double)p->n.size * (double)p->k.size;
    return PI_E_OK;
}

/* Copies an operand into the dense order of the groups, or C out of it. */
static void reorder(const pi_call *call, const product *p, const group *const *groups, const int64_t *stride, const float *src,
                    float *dst, bool out_of)
{
    int rank;
    int64_t dim[PI_COPY_RANK], step[PI_COPY_RANK], dense[PI_COPY_RANK];
    pi_copy copy;
    (void)group_axes(p, groups, 3, stride, &rank, dim, step);
    pi_move_strides(rank, dim, dense);
    if (!out_of) {
        pi_copy_plan(&copy, sizeof(float), rank, dim, step, dense);
    } else { /* in the order of the output, which pi_copy wants */
        int64_t order_dim[PI_COPY_RANK], from[PI_COPY_RANK], to[PI_COPY_RANK];
        for (int i = 0; i < rank; i++) { /* labels of the output, by falling stride: its own order */
            int at = 0;
            for (int k = 0; k < rank; k++) at += step[k] > step[i] || (step[k] == step[i] && k < i);
            order_dim[at] = dim[i];
            from[at] = dense[i];
            to[at] = step[i];
        }
        pi_copy_plan(&copy, sizeof(float), rank, order_dim, from, to);
    }
    pi_move(call, &copy, src, dst);
}

/* Panels of B: [batch][panel][k][nr], the last one filled with zeros. */
static void panel_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const product *p = w->p;
    int64_t nr = (int64_t)w->kernels->nr, k = p->k.size, n = p->n.size;
    for (int64_t u = begin; u < end; u++) {
        int64_t b = u / p->panels, first = u % p->panels * nr, columns = pi_min_i64(nr, n - first);
        float *to = w->panel + u * k * nr;
        for (int64_t l = 0; l < k; l++, to += nr) {
            memcpy(to, w->b + (b * k + l) * n + first, (size_t)columns * sizeof *to);
            memset(to + columns, 0, (size_t)(nr - columns) * sizeof *to);
        }
    }
}

static void product_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const product *p = w->p;
    int64_t mr = pi_min_i64((int64_t)w->kernels->mr, ROWS), nr = (int64_t)w->kernels->nr;
    int64_t m = p->m.size, n = p->n.size, k = p->k.size, blocks = (m + mr - 1) / mr;
    for (int64_t u = begin; u < end; u++) { /* (batch, rows) */
        int64_t b = u / blocks, i0 = u % blocks * mr, rows = pi_min_i64(mr, m - i0);
        const float *row[ROWS];
        for (int64_t i = 0; i < rows; i++) row[i] = w->a + (b * m + i0 + i) * k;
        for (int64_t panel = 0; panel < p->panels; panel++)
            w->kernels->tile((size_t)rows, (size_t)pi_min_i64(nr, n - panel * nr), 1, (size_t)k, row,
                             w->panel + (b * p->panels + panel) * k * nr, NULL, w->c + (b * m + i0) * n + panel * nr, (size_t)n);
    }
}

pi_status pi_einsum_product_run(const pi_call *call, pi_error *err)
{
    const product *p = call->state;
    PI_TRY(pi_move_outputs(call, err));
    float *scratch = call->scratch;
    work w = {.p = p, .kernels = pi_igemm(), .a = call->in[0]->data, .b = call->in[1]->data, .c = call->out[0]->data};
    w.panel = scratch;
    scratch += p->panel_floats;
    if (p->copy_a) {
        reorder(call, p, (const group *[]){&p->batch, &p->m, &p->k}, p->stride, w.a, scratch, false);
        w.a = scratch;
        scratch += p->a_floats;
    }
    if (p->copy_b) {
        reorder(call, p, (const group *[]){&p->batch, &p->k, &p->n}, p->stride + PI_EINSUM_LABELS, w.b, scratch, false);
        w.b = scratch;
        scratch += p->b_floats;
    }
    if (p->copy_c) w.c = scratch;
    int threads = call->run->threads;
    int64_t mr = pi_min_i64((int64_t)w.kernels->mr, ROWS), cost = p->n.size * p->k.size + 1;
    int64_t panel = p->k.size * (int64_t)w.kernels->nr + 1;
    pi_parallel(threads, p->batch.size * p->panels, pi_max_i64(1, 16384 / panel), panel_task, &w);
    pi_parallel(threads, p->batch.size * ((p->m.size + mr - 1) / mr), pi_max_i64(1, 65536 / (cost * mr)), product_task, &w);
    if (p->copy_c)
        reorder(call, p, (const group *[]){&p->batch, &p->m, &p->n}, p->out_stride, w.c, call->out[0]->data, true);
    return PI_E_OK;
}
