/* SPDX-License-Identifier: Apache-2.0 */
/* MatMulInteger and QLinearMatMul through oneDNN, whose sums are exact: u8 (or i8) less its zero point by i8. An
 * unsigned B becomes i8 less 128. What B's zero points z take off is left to us, as the scales are: sum (a - za) (b -
 * z) = sum (a - za) b - z * sum (a - za). */
#include <string.h>

#include "base/threads.h"
#include "kernels/quant/quant_linear.h"
#include "onednn/onednn.h"
#include "ops/block.h"
#include "ops/quant_product.h"

enum { COLUMNS = 256 }; /* whose scales are made at once */

typedef struct {
    pi_quant_product shape;
    pi_dnnl *object;
    const void *b;                       /* packed; NULL: B as it is, or flipped in each run */
    size_t sums_at, rows_at, flipped_at; /* in the scratch: i32 of Y, i32 of each row of A, B as i8 */
    bool flip;                           /* B is u8 */
} sums_state;

typedef struct {
    const sums_state *s;
    const pi_quant_operands *o;
    pi_tensor *y;
    int32_t *sums, *rows; /* rows NULL: B has no zero point */
} work;

const char *pi_quant_sums_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    const char *why;
    const pi_dtypes bytes = PI_BIT(U8) | PI_BIT(I8);
    pi_quant_operands o = pi_quant_operands_of(node, in);
    if (!pi_dnnl_available(&why)) return why;
    if (pi_quant_panels_first()) return PI_QUANT_PANELS_FIRST;
    if (!pi_dtype_in(o.a->dtype, bytes) || !pi_dtype_in(o.b->dtype, bytes)) return "only u8 and i8";
    if (o.y_scale && !pi_dtype_in(out[0]->dtype, bytes)) return "only u8 and i8";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(o.a) == 0) return "no elements";
    if (o.a_zero && pi_tensor_n(o.a_zero) != 1) return "more than one zero point on the left";
    return NULL;
}

static pi_status make_object(pi_prep *prep, sums_state *s, const pi_quant_operands *o, bool b_const, pi_error *err)
{
    const pi_matmul *p = &s->shape.p;
    if (p->batch_rank > PI_DNNL_MAX_RANK) return pi_fail(err, PI_E_UNSUPPORTED, "oneDNN: the rank");
    pi_dnnl_matmul d = {.batch_rank = p->batch_rank,
                        .m = p->m,
                        .n = p->n,
                        .k = p->k,
                        .a_type = o->a->dtype,
                        .b_type = PI_DTYPE_I8,
                        .c_type = PI_DTYPE_I32,
                        .b_const = b_const,
                        .alpha = 1,
                        .quant = {.src_zero = o->a_zero != NULL}};
    for (int i = 0; i < p->batch_rank; i++) {
        d.batch[i] = p->batch[i];
        d.a.batch[i] = p->a.batch[i];
        d.b.batch[i] = p->b.batch[i];
        d.c.batch[i] = p->y.batch[i];
    }
    d.a.row = p->a.row, d.a.col = p->a.col, d.b.row = p->b.row, d.b.col = p->b.col, d.c.row = p->y.row,
    d.c.col = p->y.col;
    double flops = 2.0 * (double)s->shape.y_mats * (double)p->m * (double)p->n * (double)p->k;
    PI_TRY(pi_dnnl_matmul_new(&s->object, &d, pi_prep_threads(prep, flops / 4), err));
    prep->flops = flops;
    prep->isa = pi_dnnl_impl_name(s->object);
    return pi_prep_own(prep, pi_dnnl_free, s->object, err);
}

static bool place(size_t *total, size_t bytes, size_t *at)
{
    *at = *total;
    return bytes <= SIZE_MAX / 2 && pi_add(*total, (bytes + 63) / 64 * 64, total);
}

pi_status pi_quant_sums_prepare(pi_prep *prep, pi_error *err)
{
    pi_quant_operands o = pi_quant_operands_of(prep->node, prep->in);
    uint32_t b = o.y_scale ? 3 : 1;
    bool b_const = pi_prep_is_const(prep, b);
    sums_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_quant_product_open(prep->node, prep->in, &s->shape, NULL, err));
    s->flip = o.b->dtype == PI_DTYPE_U8;
    PI_TRY(make_object(prep, s, &o, b_const, err));
    if (b_const) PI_TRY(pi_quant_pack(prep, b, s->object, s->flip, &s->b, err));
    size_t total = 0, own, sums, rows, flipped;
    bool zeros = s->flip || !pi_quant_known_zero(o.b_zero);
    bool fits = pi_mul((size_t)pi_tensor_n(prep->out[0]), sizeof(int32_t), &sums) &&
                pi_mul((size_t)(s->shape.a_mats * s->shape.p.m), sizeof(int32_t), &rows);
    flipped = s->flip && !s->b ? (size_t)pi_tensor_n(o.b) : 0;
    fits = fits && place(&total, pi_dnnl_scratch(s->object), &own) &&
           place(&total, o.y_scale ? sums : 0, &s->sums_at) && place(&total, zeros ? rows : 0, &s->rows_at) &&
           place(&total, flipped, &s->flipped_at);
    prep->scratch = total;
    return fits ? PI_E_OK : pi_fail(err, PI_E_LIMIT, "the operands are too large");
}

/* Units: rows of A. */
static void rows_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const pi_matmul *p = &w->s->shape.p;
    int64_t zero = w->o->a_zero ? pi_tensor_int(w->o->a_zero, 0) : 0;
    for (int64_t r = begin; r < end; r++)
        w->rows[r] = (int32_t)(pi_quant_linear_select()->sum((const char *)w->o->a->data + r * p->k, p->k,
                                                             w->o->a->dtype == PI_DTYPE_I8) -
                               zero * p->k);
}

/* Zero points of B as the product has seen it. */
static void zeros_of(const work *w, int64_t mat, int64_t first, int64_t n, int32_t *zero)
{
    for (int64_t j = 0; j < n; j++)
        zero[j] = pi_quant_zero(w->o->b_zero, mat, first + j, w->s->shape.p.n) - (w->s->flip ? 128 : 0);
}

static void scales_of(const work *w, int64_t a, int64_t b, int64_t i, int64_t first, int64_t n, float *scale)
{
    const pi_matmul *p = &w->s->shape.p;
    float of_a = pi_quant_scale(w->o->a_scale, a, i, p->m), of_y = pi_quant_scale(w->o->y_scale, 0, 0, 1);
    if (pi_tensor_n(w->o->b_scale) == 1) {
        float one = of_a * pi_quant_scale(w->o->b_scale, 0, 0, 1) / of_y;
        for (int64_t j = 0; j < n; j++) scale[j] = one;
    } else
        for (int64_t j = 0; j < n; j++) scale[j] = of_a * pi_quant_scale(w->o->b_scale, b, first + j, p->n) / of_y;
}

/* Rows [i, i + rows) of one matrix: zero points of B, then scales. */
static void finish_rows(const work *w, int64_t mat, int64_t i, int64_t rows)
{
    const pi_quant_product *s = &w->s->shape;
    int64_t a, b, m = s->p.m, n = s->p.n, y_zero = w->o->y_scale ? pi_tensor_int(w->o->y_zero, 0) : 0;
    pi_quant_product_mats(s, mat, &a, &b);
    bool one_scale = !w->o->y_scale || pi_tensor_n(w->o->a_scale) == 1;
    for (int64_t first = 0, columns; first < n; first += columns) {
        columns = pi_min_i64(COLUMNS, n - first);
        int32_t zero[COLUMNS];
        float scale[COLUMNS];
        int32_t *sums = w->sums + (mat * m + i) * n + first;
        if (w->rows) {
            zeros_of(w, b, first, columns, zero);
            for (int64_t r = 0; r < rows; r++) {
                uint32_t row = (uint32_t)w->rows[a * m + i + r];
                int32_t *c = sums + r * n;
                for (int64_t j = 0; j < columns; j++) c[j] = (int32_t)((uint32_t)c[j] - row * (uint32_t)zero[j]);
            }
        }
        for (int64_t r = 0, step; w->o->y_scale && r < rows; r += step) {
            step = one_scale ? rows : 1;
            scales_of(w, a, b, i + r, first, columns, scale);
            pi_quant_linear_select()->requantize((char *)w->y->data + (mat * m + i + r) * n + first, n, sums + r * n, n,
                                                 step, columns, NULL, scale, (float)y_zero, w->y->dtype == PI_DTYPE_I8);
        }
    }
}

/* Units: rows of Y. */
static void finish_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    int64_t m = w->s->shape.p.m;
    for (int64_t r = begin, rows; r < end; r += rows) {
        rows = pi_min_i64(end - r, m - r % m);
        finish_rows(w, r / m, r % m, rows);
    }
}

pi_status pi_quant_sums_run(const pi_call *call, pi_error *err)
{
    const sums_state *s = call->state;
    const pi_matmul *p = &s->shape.p;
    pi_quant_operands o = pi_quant_operands_of(call->node, call->in);
    PI_TRY(pi_move_outputs(call, err));
    char *scratch = call->scratch;
    work w = {.s = s, .o = &o, .y = call->out[0], .sums = call->out[0]->data};
    if (o.y_scale) w.sums = (int32_t *)(void *)(scratch + s->sums_at);
    if (s->flip || !pi_quant_known_zero(o.b_zero)) w.rows = (int32_t *)(void *)(scratch + s->rows_at);
    int32_t zero = o.a_zero ? (int32_t)pi_tensor_int(o.a_zero, 0) : 0;
    pi_dnnl_args args = {
        .src = o.a->data, .weights = s->b ? s->b : o.b->data, .src_zero = &zero, .dst = w.sums, .scratch = scratch};
    if (s->flip && !s->b) {
        pi_quant_flip(o.b->data, scratch + s->flipped_at, pi_tensor_n(o.b));
        args.weights = scratch + s->flipped_at;
    }
    PI_TRY(pi_dnnl_run(s->object, &args, err));
    int threads = call->run->threads;
    if (w.rows) pi_parallel(threads, s->shape.a_mats * p->m, 65536 / p->k + 1, rows_task, &w);
    if (w.rows || o.y_scale) pi_parallel(threads, s->shape.y_mats * p->m, 16384 / p->n + 1, finish_task, &w);
    return PI_E_OK;
}
