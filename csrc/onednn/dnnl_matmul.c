/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product with batches. The dims are first brought to the fewest: oneDNN has its fast paths for few dims. */
#ifdef PI_ONEDNN
#include "onednn/dnnl_private.h"

enum { A, B, C };

typedef struct {
    int rank; /* of the batch */
    int64_t batch[PI_DNNL_MAX_RANK];
    int64_t rows[3], cols[3];
    pi_dnnl_strides s[3];
} problem;

/* Takes batch dim `at` out. */
static void remove_dim(problem *p, int at)
{
    p->rank--;
    for (int i = at; i < p->rank; i++) {
        p->batch[i] = p->batch[i + 1];
        for (int o = A; o <= C; o++) p->s[o].batch[i] = p->s[o].batch[i + 1];
    }
}

/* Two neighbouring dims that all operands walk as one become one. */
static void merge_batch(problem *p)
{
    for (int i = p->rank - 1; i >= 0; i--)
        if (p->batch[i] == 1) remove_dim(p, i);
    for (int i = p->rank - 2; i >= 0; i--) {
        bool one = true;
        for (int o = A; o <= C; o++)
            if (p->s[o].batch[i] != p->s[o].batch[i + 1] * p->batch[i + 1]) one = false;
        if (!one) continue;
        p->batch[i + 1] *= p->batch[i];
        remove_dim(p, i);
    }
}

/* The same B for a whole batch dim, and A and C walk it as more rows: one product with more rows. */
static void fold_rows(problem *p)
{
    while (p->rank > 0) {
        int last = p->rank - 1;
        int64_t m = p->rows[A];
        if (p->s[B].batch[last] != 0) return;
        for (int o = A; o <= C; o += C)
            if (m == 1) p->s[o].row = p->s[o].batch[last];
        if (p->s[A].batch[last] != m * p->s[A].row || p->s[C].batch[last] != m * p->s[C].row) return;
        p->rows[A] = p->rows[C] = m * p->batch[last];
        remove_dim(p, last);
    }
}

/* The stride of a dim of size 1 says nothing, but oneDNN compares it: makes it what a dense matrix has. */
static void tidy(problem *p)
{
    for (int o = A; o <= C; o++) {
        pi_dnnl_strides *s = &p->s[o];
        int64_t rows = p->rows[o], cols = p->cols[o];
        if (rows == 1) s->row = s->col == 1 || cols == 1 ? cols : 1;
        if (cols == 1) s->col = 1;
    }
}

/* All in int64 without overflow: every dim, stride and the bytes that an operand spans are bounded. */
static const char *check(const pi_dnnl_matmul *d)
{
    if (d->batch_rank < 0 || d->batch_rank > PI_DNNL_MAX_RANK) return "oneDNN has no such rank";
    const int64_t rows[3] = {d->m, d->k, d->m}, cols[3] = {d->k, d->n, d->n};
    const pi_dnnl_strides *s[3] = {&d->a, &d->b, &d->c};
    int64_t all = 1;
    for (int i = 0; i < d->batch_rank; i++)
        if (d->batch[i] < 1 || !pi_mul_i64(all, d->batch[i], &all)) return "oneDNN has no such batch";
    for (int o = A; o <= C; o++) {
        int64_t total = 8, step;
        if (rows[o] < 1 || cols[o] < 1 || rows[o] > INT32_MAX || cols[o] > INT32_MAX || s[o]->row < 0 || s[o]->col < 0)
            return "oneDNN has no such matrix";
        if (!pi_mul_i64(all, rows[o], &step) || !pi_mul_i64(step, cols[o], &step) || !pi_mul_i64(step, 8, &step) ||
            !pi_mul_i64(rows[o], s[o]->row, &step) || !pi_add_i64(total, step, &total) ||
            !pi_mul_i64(cols[o], s[o]->col, &step) || !pi_add_i64(total, step, &total))
            return "oneDNN has no such matrix";
        for (int i = 0; i < d->batch_rank; i++) {
            if (s[o]->batch[i] < 0 || !pi_mul_i64(d->batch[i], s[o]->batch[i], &step) || !pi_add_i64(total, step, &total))
                return "oneDNN has no such batch";
            if (d->batch[i] != 1 && (d->c.batch[i] == 0 || (d->a.batch[i] == 0 && d->b.batch[i] == 0)))
                return "oneDNN does not repeat a product";
        }
        if (total > INT64_MAX / 64) return "oneDNN has no such matrix";
    }
    return NULL;
}

static const char *operand(pi_dnnl_draft *draft, pi_dnnl_role role, int arg, const problem *p, int o, pi_dtype type, bool any)
{
    dnnl_dims_t dims, strides;
    int rank = p->rank;
    dims[rank] = p->rows[o];
    strides[rank] = p->s[o].row;
    dims[rank + 1] = p->cols[o];
    strides[rank + 1] = p->s[o].col;
    int64_t dense = p->rows[o] * p->cols[o];
    for (int i = rank - 1; i >= 0; i--) {
        bool same = p->s[o].batch[i] == 0;
        dims[i] = same ? 1 : p->batch[i];
        strides[i] = same ? dense : p->s[o].batch[i];
        dense *= dims[i];
    }
    return pi_dnnl_draft_tensor(draft, role, arg, rank + 2, dims, pi_dnnl_type(type), any ? NULL : strides);
}

/* alpha scales the product only: with it, the bias comes after as an addition. */
static const char *bias_and_alpha(pi_dnnl_draft *draft, const pi_dnnl_matmul *d, const problem *p)
{
    bool scaled = d->alpha != 0 && d->alpha != 1;
    if (scaled) CHECK_WHY(pi_dnnl_draft_eltwise(draft, dnnl_eltwise_linear, d->alpha, 0));
    if (!d->bias) return NULL;
    dnnl_dims_t dims, strides;
    int rank = p->rank + 2;
    for (int i = 0; i < rank; i++) {
        dims[i] = 1;
        strides[i] = d->n;
    }
    dims[rank - 1] = d->n;
    strides[rank - 1] = 1;
    CHECK_WHY(pi_dnnl_draft_tensor(draft, ROLE_BIAS, DNNL_ARG_BIAS, rank, dims, dnnl_f32, strides));
    return scaled ? pi_dnnl_draft_add(draft, ROLE_BIAS) : NULL;
}

static const char *describe(pi_dnnl_draft *draft, const void *description)
{
    const pi_dnnl_matmul *d = description;
    CHECK_WHY(check(d));
    CHECK_WHY(pi_dnnl_product_types(d->a_type, d->b_type));
    problem p = {.rank = d->batch_rank, .rows = {d->m, d->k, d->m}, .cols = {d->k, d->n, d->n}, .s = {d->a, d->b, d->c}};
    for (int i = 0; i < p.rank; i++) p.batch[i] = d->batch[i];
    merge_batch(&p);
    fold_rows(&p);
    tidy(&p);
    CHECK_WHY(operand(draft, ROLE_SRC, DNNL_ARG_SRC, &p, A, d->a_type, false));
    CHECK_WHY(operand(draft, ROLE_WEIGHTS, DNNL_ARG_WEIGHTS, &p, B, d->b_type, false));
    CHECK_WHY(operand(draft, ROLE_DST, DNNL_ARG_DST, &p, C, d->c_type, false));
    if (d->b_const) {
        draft->plain = draft->md[ROLE_WEIGHTS];
        draft->md[ROLE_WEIGHTS] = NULL;
        CHECK_WHY(operand(draft, ROLE_WEIGHTS, DNNL_ARG_WEIGHTS, &p, B, d->b_type, true));
    }
    CHECK_WHY(pi_dnnl_draft_quant(draft, &d->quant, 1 << (p.rank + 1), d->n));
    CHECK_WHY(bias_and_alpha(draft, d, &p));
    CHECK_WHY(pi_dnnl_draft_epilogue(draft, &d->end));
    CHECK_WHY(pi_dnnl_draft_attr(draft));
    bool bias_is_argument = draft->md[ROLE_BIAS] && draft->arg[ROLE_BIAS] == DNNL_ARG_BIAS;
    dnnl_status_t status = pi_dnnl_lib->matmul_primitive_desc_create(
        &draft->pd, pi_dnnl_lib->engine, draft->md[ROLE_SRC], draft->md[ROLE_WEIGHTS],
        bias_is_argument ? draft->md[ROLE_BIAS] : NULL, draft->md[ROLE_DST], draft->attr);
    return pi_dnnl_choose(draft, status, d->impl);
}

pi_status pi_dnnl_matmul_new(pi_dnnl **out, const pi_dnnl_matmul *matmul, int threads, pi_error *err)
{
    return pi_dnnl_make(out, "matmul", describe, matmul, matmul->impl, threads, err);
}

const char *pi_dnnl_matmul_refuse(const pi_dnnl_matmul *matmul, int threads)
{
    return pi_dnnl_probe(describe, matmul, matmul->impl, threads);
}

void pi_dnnl_warm(void)
{
    enum { N = 64 };
    pi_dnnl *object;
    pi_dnnl_matmul d = {.m = N, .n = N, .k = N, .a_type = PI_DTYPE_F32, .b_type = PI_DTYPE_F32, .c_type = PI_DTYPE_F32,
                        .b_const = true};
    pi_dnnl_dense(&d.a, 0, NULL, N, N);
    pi_dnnl_dense(&d.b, 0, NULL, N, N);
    pi_dnnl_dense(&d.c, 0, NULL, N, N);
    if (pi_dnnl_matmul_new(&object, &d, 1, NULL) == PI_E_OK) pi_dnnl_free(object);
}
#endif
