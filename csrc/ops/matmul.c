/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul, Gemm, and pyinfer.MatMul with transposes, bias, residual and activation. */
#include "ops/matmul.h"
#include <stdio.h>
#include <string.h>
#include "base/threads.h"
#include "ops/block.h"
#include "ops/conv.h"
#include "ops/live.h"
#include "ops/ops.h"
#include "ops/widen.h"

/* ---- the problem ---- */

const pi_tensor *pi_matmul_bias(const pi_node *node, const pi_tensor *const *in) { return node->n_explicit > 2 ? in[2] : NULL; }
const pi_tensor *pi_matmul_residual(const pi_node *node, const pi_tensor *const *in) { return node->n_explicit > 3 ? in[3] : NULL; }
const pi_tensor *pi_matmul_live(const pi_node *node, const pi_tensor *const *in) { return node->n_explicit > 4 ? in[4] : NULL; }

/* An operand as its matrix product sees it: dims and strides after a permutation. */
typedef struct {
    int rank;
    int64_t dim[PI_MAX_RANK], stride[PI_MAX_RANK];
} view;

/* The dense strides of t, both then permuted by the attribute of that name, if the node has it. */
static pi_status view_of(const pi_node *node, const char *attr, const pi_tensor *t, view *v, pi_error *err)
{
    uint32_t n = 0;
    const int64_t *perm = node->op->domain ? pi_attr_ints(node, attr, &n) : NULL;
    uint64_t stride = 1;
    view plain = {.rank = t->rank};
    unsigned seen = 0;
    for (int i = t->rank - 1; i >= 0; i--) {
        plain.dim[i] = t->dim[i];
        plain.stride[i] = (int64_t)stride;
        stride *= (uint64_t)t->dim[i];
    }
    *v = plain;
    if (!perm) return PI_E_OK;
    if ((int)n != t->rank) return pi_fail(err, PI_E_MODEL, "attribute '%s' has %u entries for rank %d", attr, n, t->rank);
    for (int i = 0; i < t->rank; i++) {
        if (perm[i] < 0 || perm[i] >= t->rank || seen >> perm[i] & 1)
            return pi_fail(err, PI_E_MODEL, "attribute '%s' is no permutation", attr);
        seen |= 1u << perm[i];
        v->dim[i] = plain.dim[perm[i]];
        v->stride[i] = plain.stride[perm[i]];
    }
    return PI_E_OK;
}

/* Rows, columns and strides of the last two dimensions; a vector becomes a row (A) or a column (B). */
static void read_operand(const view *t, bool transposed, bool is_a, int64_t *rows, int64_t *cols,
                         struct pi_matmul_operand *o)
{
    bool vector = t->rank == 1;
    int64_t last = t->dim[t->rank - 1], before = vector ? 1 : t->dim[t->rank - 2];
    int64_t last_stride = t->stride[t->rank - 1], before_stride = vector ? last : t->stride[t->rank - 2];
    bool swap = transposed || (vector && !is_a);
    *rows = swap ? last : before;
    *cols = swap ? before : last;
    o->row = swap ? last_stride : before_stride;
    o->col = swap ? before_stride : last_stride;
}

/* Strides along the batch dims of Y; false if they do not broadcast. */
static bool batch_strides(const view *t, int batch_rank, const int64_t *batch, struct pi_matmul_operand *o)
{
    int own = t->rank > 2 ? t->rank - 2 : 0;
    for (int i = batch_rank - 1; i >= 0; i--) {
        int j = i - (batch_rank - own);
        int64_t d = j < 0 ? 1 : t->dim[j];
        if (d != 1 && d != batch[i]) return false;
        o->batch[i] = d == 1 ? 0 : t->stride[j];
    }
    return true;
}

/* Where the product's elements lie in Y, whose shape comes out permuted. */
static pi_status place_output(pi_matmul *p, const pi_node *node, const pi_tensor *const *in, pi_tensor *y, pi_error *err)
{
    uint32_t n = 0;
    view v;
    const int64_t *perm = node->op->domain ? pi_attr_ints(node, "perm_y", &n) : NULL;
    int64_t stride[PI_MAX_RANK] = {0};
    PI_TRY(view_of(node, "perm_y", y, &v, err));
    memcpy(y->dim, v.dim, sizeof y->dim);
    uint64_t s = 1;
    for (int i = y->rank - 1; i >= 0; i--) {
        stride[perm ? perm[i] : i] = (int64_t)s;
        s *= (uint64_t)y->dim[i];
    }
    int axis = p->batch_rank;
    memcpy(p->y.batch, stride, sizeof p->y.batch);
    p->y.row = in[0]->rank > 1 ? stride[axis++] : p->n;
    p->y.col = in[1]->rank > 1 ? stride[axis] : 1;
    p->y_permuted = perm != NULL;
    if (perm && pi_matmul_residual(node, in)) return pi_fail(err, PI_E_MODEL, "a residual and perm_y do not go together");
    return PI_E_OK;
}

static pi_status check_bias(pi_matmul *p, const pi_node *node, const pi_tensor *const *in, const pi_tensor *y, pi_error *err)
{
    char tb[200], ty[200];
    pi_tensor both = {.rank = -1};
    const pi_tensor *bias = pi_matmul_bias(node, in), *residual = pi_matmul_residual(node, in);
    p->bias.rank = -1;
    if (bias) {
        PI_TRY(pi_bcast_legacy(node, y, bias, &p->bias, err));
        if (pi_broadcast(y, &p->bias, &both, NULL) != PI_E_OK || !pi_tensor_same_shape(&both, y))
            return pi_fail(err, PI_E_MODEL, "input 2 is %s, which does not broadcast to %s",
                           pi_tensor_text(bias, tb, sizeof tb), pi_tensor_text(y, ty, sizeof ty));
    }
    if (residual && (pi_broadcast(y, residual, &both, NULL) != PI_E_OK || !pi_tensor_same_shape(&both, y)))
        return pi_fail(err, PI_E_MODEL, "input 3 is %s, which does not broadcast to %s",
                       pi_tensor_text(residual, tb, sizeof tb), pi_tensor_text(y, ty, sizeof ty));
    return PI_E_OK;
}

void pi_matmul_offsets(const pi_matmul *p, int64_t batch, int64_t *a, int64_t *b, int64_t *y)
{
    *a = *b = *y = 0;
    for (int i = p->batch_rank - 1; i >= 0; i--) {
        *a += batch % p->batch[i] * p->a.batch[i];
        *b += batch % p->batch[i] * p->b.batch[i];
        *y += batch % p->batch[i] * p->y.batch[i];
        batch /= p->batch[i];
    }
}

void pi_matmul_merge_batch(pi_matmul *p)
{
    int rank = 0;
    for (int i = 0; i < p->batch_rank; i++) {
        if (p->batch[i] == 1) continue;
        if (rank > 0 && p->a.batch[rank - 1] == p->a.batch[i] * p->batch[i] &&
            p->b.batch[rank - 1] == p->b.batch[i] * p->batch[i] && p->y.batch[rank - 1] == p->y.batch[i] * p->batch[i]) {
            p->batch[rank - 1] *= p->batch[i];
        } else {
            p->batch[rank++] = p->batch[i];
        }
        p->a.batch[rank - 1] = p->a.batch[i];
        p->b.batch[rank - 1] = p->b.batch[i];
        p->y.batch[rank - 1] = p->y.batch[i];
    }
    p->batch_rank = rank;
    if (rank == 1 && p->b.batch[0] == 0 && p->a.batch[0] == p->m * p->a.row &&
        p->y.batch[0] == p->m * p->y.row) {
        p->m *= p->batch[0];
        p->batch_rank = 0;
    }
}

static pi_status misfit(const pi_tensor *a, const pi_tensor *b, const char *why, pi_error *err)
{
    char ta[200], tb[200];
    return pi_fail(err, PI_E_MODEL, "A is %s and B is %s%s", pi_tensor_text(a, ta, sizeof ta), pi_tensor_text(b, tb, sizeof tb), why);
}

pi_status pi_matmul_init(pi_matmul *p, const pi_node *node, const pi_tensor *const *in, pi_tensor *y, pi_error *err)
{
    const pi_tensor *a = in[0], *b = in[1];
    bool gemm = node->op->name[0] == 'G', internal = node->op->domain != NULL;
    bool ta = gemm ? pi_attr_int(node, "transA") != 0 : internal && pi_attr_int(node, "trans_a") != 0;
    bool tb = gemm ? pi_attr_int(node, "transB") != 0 : internal && pi_attr_int(node, "trans_b") != 0;
    *p = (pi_matmul){.alpha = 1, .beta = 1};
    if (gemm || internal) p->alpha = pi_attr_float(node, "alpha");
    if (gemm) p->beta = pi_attr_float(node, "beta");
    PI_TRY(pi_node_check_act(node, err));
    p->act = pi_node_act(node);
    if (gemm && (a->rank != 2 || b->rank != 2)) return misfit(a, b, ", expected matrices", err);
    if (a->rank < 1 || b->rank < 1 || (ta && a->rank < 2) || (tb && b->rank < 2))
        return misfit(a, b, ", expected a rank of at least 1", err);
    int64_t kb;
    view va, vb;
    PI_TRY(view_of(node, "perm_a", a, &va, err));
    PI_TRY(view_of(node, "perm_b", b, &vb, err));
    read_operand(&va, ta, true, &p->m, &p->k, &p->a);
    read_operand(&vb, tb, false, &kb, &p->n, &p->b);
    if (p->k != kb) {
        char why[100];
        (void)snprintf(why, sizeof why, ": %lld columns against %lld rows%s", (long long)p->k, (long long)kb,
                       ta || tb ? " after transposing" : "");
        return misfit(a, b, why, err);
    }
    pi_tensor batch_a = *a, batch_b = *b, out = {.dtype = a->dtype};
    memcpy(batch_a.dim, va.dim, sizeof va.dim);
    memcpy(batch_b.dim, vb.dim, sizeof vb.dim);
    batch_a.rank = a->rank > 2 ? a->rank - 2 : 0;
    batch_b.rank = b->rank > 2 ? b->rank - 2 : 0;
    if (pi_broadcast(&batch_a, &batch_b, &out, NULL) != PI_E_OK)
        return misfit(a, b, ", whose first dimensions do not broadcast", err);
    p->batch_rank = out.rank;
    memcpy(p->batch, out.dim, sizeof p->batch);
    if (!batch_strides(&va, p->batch_rank, p->batch, &p->a) || !batch_strides(&vb, p->batch_rank, p->batch, &p->b))
        return pi_fail(err, PI_E_INTERNAL, "batch dimensions");
    if (a->rank > 1) out.dim[out.rank++] = p->m;
    if (b->rank > 1) out.dim[out.rank++] = p->n;
    int64_t count;
    PI_TRY(pi_tensor_count(&out, &count, err));
    PI_TRY(check_bias(p, node, in, &out, err));
    PI_TRY(place_output(p, node, in, &out, err));
    if (y) pi_tensor_set_shape(y, out.rank, out.dim);
    return PI_E_OK;
}

static pi_status matmul_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_matmul p;
    const pi_tensor *live = pi_matmul_live(node, in);
    PI_TRY(pi_matmul_init(&p, node, in, &out[0], err));
    if (!live) return PI_E_OK;
    int64_t batches = 1, n = pi_tensor_n(live);
    for (int i = 0; i < p.batch_rank; i++) batches *= p.batch[i];
    if (n < 1 || p.m < 1 || n % p.m != 0 || batches % (n / p.m) != 0)
        return pi_fail(err, PI_E_MODEL, "live has %lld places for %lld batches of %lld rows", (long long)n, (long long)batches,
                       (long long)p.m);
    int64_t keys = pi_attr_int(node, "keys");
    if (keys && p.m != (keys == PI_LIVE_COLUMNS ? p.n : p.k)) return pi_fail(err, PI_E_MODEL, "the keys are not those of live");
    return PI_E_OK;
}

/* ---- reference: blocks of a row of Y ---- */

typedef struct {
    pi_matmul p;
    pi_bcast bias, residual; /* over Y */
} ref_state;

static pi_status ref_prepare(pi_prep *prep, pi_error *err)
{
    ref_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_matmul_init(&s->p, prep->node, prep->in, NULL, err));
    const pi_tensor *residual = pi_matmul_residual(prep->node, prep->in), *bias = &s->p.bias;
    if (bias->rank >= 0) pi_bcast_init(&s->bias, prep->out[0], &bias, 1);
    if (residual) pi_bcast_init(&s->residual, prep->out[0], &residual, 1);
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->p.k;
    return PI_E_OK;
}

/* acc[j] += scale * t[at + j], t broadcast to Y. */
static void add_f64(const pi_tensor *t, const pi_bcast *b, int64_t at, int64_t n, double scale, double *acc)
{
    double v[PI_BLOCK];
    for (int64_t j = 0, m; j < n; j += m) {
        int64_t offset[PI_BCAST_INPUTS];
        m = pi_min_i64(n - j, pi_bcast_at(b, at + j, offset));
        pi_read_f64(t->dtype, pi_at(t->data, t->dtype, offset[0]), pi_bcast_step(b, 0), m, v);
        for (int64_t i = 0; i < m; i++) acc[j + i] += scale * v[i];
    }
}

static void block_f64(const ref_state *s, const pi_call *call, int64_t a0, int64_t b0, int64_t y0, int64_t at, int64_t n)
{
    const pi_matmul *p = &s->p;
    const pi_tensor *a = call->in[0], *b = call->in[1];
    const pi_tensor *bias = pi_matmul_bias(call->node, call->in), *residual = pi_matmul_residual(call->node, call->in);
    pi_tensor *y = call->out[0];
    double acc[PI_BLOCK] = {0}, left[PI_BLOCK], row[PI_BLOCK];
    for (int64_t l0 = 0; l0 < p->k; l0 += PI_BLOCK) {
        int64_t kn = pi_min_i64(PI_BLOCK, p->k - l0);
        pi_read_f64(a->dtype, pi_at(a->data, a->dtype, a0 + l0 * p->a.col), p->a.col, kn, left);
        for (int64_t l = 0; l < kn; l++) {
            pi_read_f64(b->dtype, pi_at(b->data, b->dtype, b0 + (l0 + l) * p->b.row), p->b.col, n, row);
            for (int64_t j = 0; j < n; j++) acc[j] += left[l] * row[j];
        }
    }
    for (int64_t j = 0; j < n; j++) acc[j] *= (double)p->alpha;
    if (bias) add_f64(bias, &s->bias, at, n, (double)p->beta, acc);
    if (residual) add_f64(residual, &s->residual, at, n, 1, acc);
    if (p->act.kind != PI_ACT_NONE)
        for (int64_t j = 0; j < n; j++) acc[j] = (double)pi_act_apply(p->act, (float)acc[j]);
    pi_write_f64(y->dtype, pi_at_mut(y->data, y->dtype, y0), p->y.col, n, acc);
}

/* Integers wrap. Gemm's factors are floats, so what they scale goes through double and back. */
static void block_i64(const ref_state *s, const pi_call *call, int64_t a0, int64_t b0, int64_t y0, int64_t at, int64_t n)
{
    const pi_matmul *p = &s->p;
    const pi_tensor *a = call->in[0], *b = call->in[1], *bias = pi_matmul_bias(call->node, call->in);
    pi_tensor *y = call->out[0];
    int64_t acc[PI_BLOCK] = {0}, row[PI_BLOCK], left;
    for (int64_t l = 0; l < p->k; l++) {
        pi_read_i64(a->dtype, pi_at(a->data, a->dtype, a0 + l * p->a.col), 1, 1, &left);
        pi_read_i64(b->dtype, pi_at(b->data, b->dtype, b0 + l * p->b.row), p->b.col, n, row);
        for (int64_t j = 0; j < n; j++) acc[j] = (int64_t)((uint64_t)acc[j] + (uint64_t)left * (uint64_t)row[j]);
    }
    for (int64_t j = 0, m; bias && j < n; j += m) {
        int64_t offset[PI_BCAST_INPUTS];
        m = pi_min_i64(n - j, pi_bcast_at(&s->bias, at + j, offset));
        pi_read_i64(bias->dtype, pi_at(bias->data, bias->dtype, offset[0]), pi_bcast_step(&s->bias, 0), m, row);
        if (p->alpha == 1 && p->beta == 1)
            for (int64_t i = 0; i < m; i++) acc[j + i] = (int64_t)((uint64_t)acc[j + i] + (uint64_t)row[i]);
        else
            for (int64_t i = 0; i < m; i++) {
                double v = (double)p->alpha * (double)acc[j + i] + (double)p->beta * (double)row[i];
                pi_write_f64(PI_DTYPE_I64, &acc[j + i], 1, 1, &v);
            }
    }
    for (int64_t j = 0; !bias && p->alpha != 1 && j < n; j++) {
        double v = (double)p->alpha * (double)acc[j];
        pi_write_f64(PI_DTYPE_I64, &acc[j], 1, 1, &v);
    }
    pi_write_i64(y->dtype, pi_at_mut(y->data, y->dtype, y0), p->y.col, n, acc);
}

/* Row r of the product, counted through all batches, is wanted. */
static bool is_live(const pi_matmul *p, const pi_call *call, int64_t r)
{
    const pi_tensor *live = pi_matmul_live(call->node, call->in);
    if (!live) return true;
    int64_t each = pi_tensor_n(call->out[0]) / p->n / pi_tensor_n(live); /* batches that share their rows */
    return ((const bool *)live->data)[r / p->m / each * p->m + r % p->m];
}

/* A chunk is a range of rows of Y, all batches. */
static void ref_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const ref_state *s = call->state;
    const pi_matmul *p = &s->p;
    bool floats = pi_dtype_is_float(call->in[0]->dtype);
    for (int64_t r = begin; r < end && !pi_cancelled(call); r++) {
        int64_t a0 = r % p->m * p->a.row, b0 = 0, y0 = r % p->m * p->y.row, batch = r / p->m;
        for (int i = p->batch_rank - 1; i >= 0; i--) {
            a0 += batch % p->batch[i] * p->a.batch[i];
            b0 += batch % p->batch[i] * p->b.batch[i];
            y0 += batch % p->batch[i] * p->y.batch[i];
            batch /= p->batch[i];
        }
        for (int64_t j = 0; j < p->n; j += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, p->n - j);
            if (!is_live(p, call, r))
                pi_write_f64(call->out[0]->dtype, pi_at_mut(call->out[0]->data, call->out[0]->dtype, y0 + j * p->y.col), p->y.col,
                             n, (double[PI_BLOCK]){0});
            else if (floats)
                block_f64(s, call, a0, b0 + j * p->b.col, y0 + j * p->y.col, r * p->n + j, n);
            else
                block_i64(s, call, a0, b0 + j * p->b.col, y0 + j * p->y.col, r * p->n + j, n);
        }
    }
}

static pi_status ref_run(const pi_call *call, pi_error *err)
{
    const ref_state *s = call->state;
    pi_call copy = *call;
    int64_t total = pi_tensor_n(call->out[0]);
    if (total == 0) return PI_E_OK;
    pi_parallel(call->run->threads, total / s->p.n, 1, ref_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl matmul_impls[] = {{"fip", pi_matmul_fip_refuse, pi_matmul_fip_prepare, pi_matmul_fip_run, 8 | PI_INEXACT},
                                       {"strassen", pi_matmul_strassen_refuse, pi_matmul_strassen_prepare, pi_matmul_strassen_run,
                                        8 | PI_INEXACT},
                                       {"onednn", pi_matmul_dnnl_refuse, pi_matmul_dnnl_prepare, pi_matmul_dnnl_run, 8},
                                       {"own", pi_matmul_own_refuse, pi_matmul_own_prepare, pi_matmul_own_run, 0},
                                       {"typed", pi_matmul_typed_refuse, pi_matmul_typed_prepare, pi_matmul_typed_run, 0},
                                       {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
                                       {"ref", NULL, ref_prepare, ref_run, 0}, {0}};

#define INT(name) {name, PI_ATTR_INT, false, 0, 0, NULL}
#define INTS(name) {name, PI_ATTR_INTS, false, 0, 0, NULL}
#define FLOAT(name, value) {name, PI_ATTR_FLOAT, false, 0, value, NULL}
static const pi_attr_def gemm_v1[] = {FLOAT("alpha", 1), FLOAT("beta", 1), INT("broadcast"), INT("transA"), INT("transB"), {0}};
static const pi_attr_def gemm_v7[] = {FLOAT("alpha", 1), FLOAT("beta", 1), INT("transA"), INT("transB"), {0}};
static const pi_attr_def fused_attrs[] = {INT("trans_a"), INT("trans_b"), INTS("perm_a"), INTS("perm_b"),
    INTS("perm_y"), FLOAT("alpha", 1), INT("act"), FLOAT("act_a", 0), FLOAT("act_b", 0), INT("keys"), {0}};
#define PRODUCT_TYPES (PI_FLOATS | PI_BIT(I32) | PI_BIT(I64) | PI_BIT(U32) | PI_BIT(U64))
#define ROW(row_domain, op_name, version, text, attributes)                                                      \
    {.domain = row_domain, .name = op_name, .since = version, .signature = text, .T = PRODUCT_TYPES,                \
     .attrs = attributes, .infer = matmul_infer, .impls = matmul_impls}
static const pi_op rows[] = {
    ROW(NULL, "MatMul", 1, "A:T B:T -> Y:T", NULL),
    ROW(NULL, "Gemm", 1, "A:T B:T C:T -> Y:T", gemm_v1),
    ROW(NULL, "Gemm", 7, "A:T B:T C:T -> Y:T", gemm_v7),
    ROW(NULL, "Gemm", 11, "A:T B:T C?:T -> Y:T", gemm_v7),
    ROW("pyinfer", "MatMul", 1, "A:T B:T bias?:T residual?:T live?:bool -> Y:T", fused_attrs),
};
const pi_op_family pi_ops_matmul = {rows, PI_COUNT(rows)};
