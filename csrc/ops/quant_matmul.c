/* SPDX-License-Identifier: Apache-2.0 */
/* MatMulInteger and QLinearMatMul. Both operands become 16-bit numbers less their zero points: A in rows, B in panels
 * of 16 columns (packed once for all runs if B and its zero point are constant); then each panel meets all rows. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "kernels/quant/quant_linear.h"
#include "kernels/quant/quant_panel.h"
#include "ops/block.h"
#include "ops/quant_product.h"

enum {
    TILE = 48,  /* rows of a result that wait for their scale */
    BLOCK = 96, /* rows that all panels meet before the next ones: they stay in the second-level cache */
};

typedef pi_quant_operands operands;
typedef pi_quant_product product;

typedef struct {
    const product *p;
    const operands *o;
    pi_quant_panel_fn panel;
    int16_t *rows, *panels_out;
    const int16_t *panels;
    pi_tensor *y;
} work;

operands pi_quant_operands_of(const pi_node *node, const pi_tensor *const *in)
{
    operands o = {.a = in[0]};
    if (node->op->name[0] == 'M') {
        o.b = in[1];
        o.a_zero = pi_move_in(node, in, 2);
        o.b_zero = pi_move_in(node, in, 3);
    } else {
        o.a_scale = in[1], o.a_zero = in[2], o.b = in[3], o.b_scale = in[4];
        o.b_zero = in[5], o.y_scale = in[6], o.y_zero = in[7];
    }
    return o;
}

/* A scale or zero point: one value, one for each row (column), or one for each of every matrix. */
static pi_status check_each(const pi_tensor *t, const char *name, int64_t each, int64_t mats, pi_error *err)
{
    char text[160];
    if (!t) return PI_E_OK;
    int64_t n = pi_tensor_n(t);
    if (n == 1 || n == each || n == each * mats) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "%s is %s, expected 1 or %lld elements", name, pi_tensor_text(t, text, sizeof text),
                   (long long)each);
}

int64_t pi_quant_place(const pi_tensor *t, int64_t mat, int64_t i, int64_t each)
{
    int64_t n = pi_tensor_n(t);
    return n == 1 ? 0 : n == each ? i : mat * each + i;
}

int32_t pi_quant_zero(const pi_tensor *t, int64_t mat, int64_t i, int64_t each)
{
    return t ? (int32_t)pi_tensor_int(t, pi_quant_place(t, mat, i, each)) : 0;
}

float pi_quant_scale(const pi_tensor *t, int64_t mat, int64_t i, int64_t each)
{
    float v;
    pi_read_f32(t->dtype, pi_at(t->data, t->dtype, pi_quant_place(t, mat, i, each)), 0, 1, &v);
    return v;
}

pi_status pi_quant_product_open(const pi_node *node, const pi_tensor *const *in, product *p, pi_tensor *y,
                                pi_error *err)
{
    operands o = pi_quant_operands_of(node, in);
    const pi_tensor *pair[4] = {o.a, o.b, NULL, NULL};
    memset(p, 0, sizeof *p);
    PI_TRY(pi_matmul_init(&p->p, node, pair, y, err));
    p->pairs = p->p.k / 2 + p->p.k % 2;
    p->panels = (p->p.n + PI_QUANT_COLUMNS - 1) / PI_QUANT_COLUMNS;
    p->a_mats = o.a->rank > 2 ? pi_dims_product(o.a, 0, o.a->rank - 2) : 1;
    p->b_mats = o.b->rank > 2 ? pi_dims_product(o.b, 0, o.b->rank - 2) : 1;
    p->y_mats = 1;
    for (int i = 0; i < p->p.batch_rank; i++) p->y_mats *= p->p.batch[i];
    PI_TRY(check_each(o.a_zero, "the zero point of A", p->p.m, p->a_mats, err));
    PI_TRY(check_each(o.b_zero, "the zero point of B", p->p.n, p->b_mats, err));
    PI_TRY(check_each(o.a_scale, "the scale of A", p->p.m, p->a_mats, err));
    PI_TRY(check_each(o.b_scale, "the scale of B", p->p.n, p->b_mats, err));
    PI_TRY(check_each(o.y_scale, "the scale of Y", 1, 1, err));
    PI_TRY(check_each(o.y_zero, "the zero point of Y", 1, 1, err));
    size_t a, b;
    if (!pi_mul((size_t)(p->a_mats * p->p.m), (size_t)p->pairs * 4, &a) ||
        !pi_mul((size_t)(p->b_mats * p->panels), (size_t)p->pairs * 4 * PI_QUANT_COLUMNS, &b) || a > INT64_MAX / 4 ||
        b > INT64_MAX / 4)
        return pi_fail(err, PI_E_LIMIT, "the operands are too large");
    p->a_bytes = (a + 63) / 64 * 64;
    p->b_bytes = (b + 63) / 64 * 64;
    return PI_E_OK;
}

static pi_status product_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    product p;
    return pi_quant_product_open(node, in, &p, out, err);
}

/* n columns of two rows of B, which lie densely, less their zero points. */
static inline __attribute__((always_inline)) void pair_rows(const uint8_t *restrict even, const uint8_t *restrict odd,
                                                            int16_t flip, const int16_t *restrict zero, int64_t n,
                                                            int16_t *restrict to)
{
    for (int64_t j = 0; j < n; j++) {
        to[2 * j] = (int16_t)((int16_t)(even[j] ^ flip) - zero[j]);
        to[2 * j + 1] = (int16_t)((int16_t)(odd[j] ^ flip) - zero[j]);
    }
}

/* Panel `unit` of B, counted through all its matrices. */
static void pack_panel(const product *p, const operands *o, int64_t unit, const void *b_data, int16_t *out)
{
    int64_t mat = unit / p->panels, first = unit % p->panels * PI_QUANT_COLUMNS;
    int64_t n = pi_min_i64(PI_QUANT_COLUMNS, p->p.n - first), k = p->p.k, row = p->p.b.row;
    int16_t *to = out + unit * p->pairs * 2 * PI_QUANT_COLUMNS, zeros[PI_QUANT_COLUMNS];
    const uint8_t *b = (const uint8_t *)b_data + mat * k * p->p.n + first * p->p.b.col;
    int16_t flip = o->b->dtype == PI_DTYPE_I8 ? 128 : 0;
    for (int64_t j = 0; j < n; j++) zeros[j] = (int16_t)(pi_quant_zero(o->b_zero, mat, first + j, p->p.n) + flip);
    if (n < PI_QUANT_COLUMNS || p->p.b.col != 1) memset(to, 0, (size_t)p->pairs * 4 * PI_QUANT_COLUMNS);
    for (int64_t l = 0; p->p.b.col == 1 && l < k; l += 2, b += 2 * row, to += 2 * PI_QUANT_COLUMNS)
        if (l + 1 == k) /* alone */
            for (int64_t j = 0; j < n; j++) to[2 * j] = (int16_t)((b[j] ^ flip) - zeros[j]), to[2 * j + 1] = 0;
        else if (n == PI_QUANT_COLUMNS)
            pair_rows(b, b + row, flip, zeros, PI_QUANT_COLUMNS, to);
        else
            pair_rows(b, b + row, flip, zeros, n, to);
    for (int64_t j = 0; p->p.b.col != 1 && j < n; j++)
        for (int64_t odd = 0; odd < 2 && odd < k; odd++)
            pi_quant_widen(b + j * p->p.b.col + odd * row, flip != 0, 2 * row, zeros[j] - flip, to + 2 * j + odd,
                           2 * PI_QUANT_COLUMNS, (k - odd + 1) / 2);
}

typedef struct {
    const product *p;
    const operands *o;
} pack_arg;

static pi_status pack_all(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    (void)err;
    const pack_arg *a = arg;
    for (int64_t u = 0; u < a->p->b_mats * a->p->panels; u++) pack_panel(a->p, a->o, u, source->data, out);
    return PI_E_OK;
}

static pi_status product_prepare(pi_prep *prep, pi_error *err)
{
    operands o = pi_quant_operands_of(prep->node, prep->in);
    product *p = prep->state = pi_prep_alloc(prep, sizeof *p, err);
    if (!p) return pi_alloc_status(err);
    PI_TRY(pi_quant_product_open(prep->node, prep->in, p, NULL, err));
    uint32_t b = prep->node->op->name[0] == 'M' ? 1 : 3;
    bool constant = pi_prep_is_const(prep, b) && (!o.b_zero || o.b_zero->data) && p->b_bytes > 0;
    if (constant) {
        struct {
            char name[16];
            uint64_t zeros; /* the packed form depends on them */
        } key = {.name = "quant_b16", .zeros = pi_quant_zeros_hash(o.b_zero)};
        pack_arg arg = {p, &o};
        const void *packed;
        PI_TRY(pi_prep_pack(prep, b, &key, sizeof key, p->b_bytes, pack_all, &arg, &packed, err));
        p->packed = packed;
        pi_prep_drop(prep, b);
    }
    prep->flops = 2.0 * (double)p->y_mats * (double)p->p.m * (double)p->p.n * (double)p->p.k;
    if (!pi_add(p->a_bytes, constant ? 0 : p->b_bytes, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the operands are too large");
    return PI_E_OK;
}

static void rows_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const product *p = w->p;
    for (int64_t r = begin; r < end; r++) {
        int64_t mat = r / p->p.m, i = r % p->p.m;
        int16_t *to = w->rows + r * 2 * p->pairs;
        pi_quant_widen((const char *)w->o->a->data + mat * p->p.m * p->p.k + i * p->p.a.row,
                       w->o->a->dtype == PI_DTYPE_I8, p->p.a.col, pi_quant_zero(w->o->a_zero, mat, i, p->p.m), to, 1,
                       p->p.k);
        if (p->p.k % 2) to[p->p.k] = 0;
    }
}

static void panels_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    for (int64_t u = begin; u < end; u++) pack_panel(w->p, w->o, u, w->o->b->data, w->panels_out);
}

/* Matrices of A and B that make matrix `mat` of Y. */
void pi_quant_product_mats(const product *p, int64_t mat, int64_t *a, int64_t *b)
{
    int64_t ea = 0, eb = 0;
    for (int i = p->p.batch_rank - 1; i >= 0; i--) {
        int64_t k = mat % p->p.batch[i];
        mat /= p->p.batch[i];
        ea += k * p->p.a.batch[i];
        eb += k * p->p.b.batch[i];
    }
    *a = ea / pi_max_i64(1, p->p.m * p->p.k);
    *b = eb / pi_max_i64(1, p->p.n * p->p.k);
}

/* Sums c of rows [i, i + rows) of matrix mat (of A and B: a and b), columns from `first` on, become elements of Y. */
static void store_rows(const work *w, int64_t mat, int64_t a, int64_t b, int64_t i, int64_t rows, int64_t first,
                       int64_t columns, const int32_t *c)
{
    const operands *o = w->o;
    int64_t m = w->p->p.m, n = w->p->p.n, at = (mat * m + i) * n + first, step;
    if (!o->y_scale) {
        for (int64_t r = 0; r < rows; r++)
            memcpy((int32_t *)w->y->data + at + r * n, c + r * PI_QUANT_COLUMNS, (size_t)columns * sizeof(int32_t));
        return;
    }
    float scale[PI_QUANT_COLUMNS], of_y = pi_quant_scale(o->y_scale, 0, 0, 1);
    for (int64_t r = 0; r < rows; r += step) {
        float of_a = pi_quant_scale(o->a_scale, a, i + r, m);
        step = pi_tensor_n(o->a_scale) == 1 ? rows : 1;
        for (int64_t j = 0; j < columns; j++) scale[j] = of_a * pi_quant_scale(o->b_scale, b, first + j, n) / of_y;
        pi_quant_linear_select()->requantize((char *)w->y->data + at + r * n, n, c + r * PI_QUANT_COLUMNS,
                                             PI_QUANT_COLUMNS, step, columns, NULL, scale,
                                             (float)pi_quant_zero(o->y_zero, 0, 0, 1), w->y->dtype == PI_DTYPE_I8);
    }
}

/* Units: (matrix, block of rows, panel). */
static void product_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const product *p = w->p;
    int64_t m = p->p.m, none = 0, blocks = (m + BLOCK - 1) / BLOCK;
    pi_quant_taps taps = {1, p->pairs, &none};
    for (int64_t u = begin; u < end; u++) {
        int64_t mat = u / p->panels / blocks, panel = u % p->panels, a, b, first = panel * PI_QUANT_COLUMNS;
        int64_t columns = pi_min_i64(PI_QUANT_COLUMNS, p->p.n - first), i0 = u / p->panels % blocks * BLOCK;
        pi_quant_product_mats(p, mat, &a, &b);
        const int16_t *right = w->panels + (b * p->panels + panel) * p->pairs * 2 * PI_QUANT_COLUMNS, *left[TILE];
        for (int64_t stop = pi_min_i64(m, i0 + BLOCK), rows; i0 < stop; i0 += rows) {
            int32_t c[TILE * PI_QUANT_COLUMNS];
            rows = pi_min_i64(TILE, stop - i0);
            for (int64_t i = 0; i < rows; i++) left[i] = w->rows + (a * m + i0 + i) * 2 * p->pairs;
            w->panel(left, rows, &taps, right, c, PI_QUANT_COLUMNS);
            store_rows(w, mat, a, b, i0, rows, first, columns, c);
        }
    }
}

static pi_status product_run(const pi_call *call, pi_error *err)
{
    const product *p = call->state;
    operands o = pi_quant_operands_of(call->node, call->in);
    PI_TRY(pi_move_outputs(call, err));
    work w = {.p = p, .o = &o, .panel = pi_quant_panel_select(), .y = call->out[0]};
    if (pi_tensor_n(w.y) == 0) return PI_E_OK;
    int threads = call->run->threads;
    int64_t grain = pi_max_i64(1, 16384 / (p->p.k + 1));
    w.rows = call->scratch;
    w.panels = p->packed;
    pi_parallel(threads, p->a_mats * p->p.m, grain, rows_task, &w);
    if (!w.panels) {
        w.panels = w.panels_out = (int16_t *)(void *)((char *)call->scratch + p->a_bytes);
        pi_parallel(threads, p->b_mats * p->panels, pi_max_i64(1, grain / PI_QUANT_COLUMNS), panels_task, &w);
    }
    int64_t rows = pi_min_i64(BLOCK, p->p.m), blocks = (p->p.m + BLOCK - 1) / BLOCK;
    pi_parallel(threads, p->y_mats * blocks * p->panels, 16384 / (rows * p->pairs + 1) + 1, product_task, &w);
    return PI_E_OK;
}

static const char *product_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    operands o = pi_quant_operands_of(node, in);
    const pi_dtypes bytes = PI_BIT(U8) | PI_BIT(I8);
    if (!pi_dtype_in(o.a->dtype, bytes) || !pi_dtype_in(o.b->dtype, bytes)) return "only u8 and i8";
    return o.y_scale && !pi_dtype_in(out[0]->dtype, bytes) ? "only u8 and i8" : NULL;
}

/* ---- reference: any mixture of integers and 8-bit floats, in double ---- */

static pi_status ref_prepare(pi_prep *prep, pi_error *err)
{
    product *p = prep->state = pi_prep_alloc(prep, sizeof *p, err);
    return p ? pi_quant_product_open(prep->node, prep->in, p, NULL, err) : pi_alloc_status(err);
}

static double real_at(const pi_tensor *t, int64_t i)
{
    double v = 0;
    if (t) pi_read_f64(t->dtype, pi_at(t->data, t->dtype, i), 1, 1, &v);
    return v;
}

static double real_of(const pi_tensor *t, int64_t mat, int64_t i, int64_t each)
{
    return t ? real_at(t, pi_quant_place(t, mat, i, each)) : 0;
}

/* Units: rows of Y. */
static void ref_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const operands *o = w->o;
    const product *p = w->p;
    int64_t m = p->p.m, n = p->p.n, k = p->p.k;
    double low, high;
    bool integer = pi_quant_range(w->y->dtype, &low, &high);
    for (int64_t u = begin; u < end; u++) {
        int64_t mat = u / m, i = u % m, a, b;
        pi_quant_product_mats(p, mat, &a, &b);
        double a_zero = real_of(o->a_zero, a, i, m);
        for (int64_t j = 0; j < n; j++) {
            double b_zero = real_of(o->b_zero, b, j, n), sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += (real_at(o->a, a * m * k + i * p->p.a.row + l * p->p.a.col) - a_zero) *
                       (real_at(o->b, b * k * n + l * p->p.b.row + j * p->p.b.col) - b_zero);
            if (o->y_scale) {
                sum *= real_of(o->a_scale, a, i, m) * real_of(o->b_scale, b, j, n) / real_of(o->y_scale, 0, 0, 1);
                sum = (integer ? nearbyint(sum) : sum) + real_of(o->y_zero, 0, 0, 1);
            }
            pi_write_f64(w->y->dtype, pi_at_mut(w->y->data, w->y->dtype, u * n + j), 1, 1, &sum);
        }
    }
}

static pi_status ref_run(const pi_call *call, pi_error *err)
{
    const product *p = call->state;
    operands o = pi_quant_operands_of(call->node, call->in);
    PI_TRY(pi_move_outputs(call, err));
    work w = {.p = p, .o = &o, .y = call->out[0]};
    if (pi_tensor_n(w.y) == 0) return PI_E_OK;
    pi_parallel(call->run->threads, p->y_mats * p->p.m, 1 + 16384 / (p->p.n * (p->p.k + 1)), ref_task, &w);
    return PI_E_OK;
}

static const pi_impl impls[] = {
    {"onednn", pi_quant_sums_refuse, pi_quant_sums_prepare, pi_quant_sums_run, 0},
    {"panels", product_refuse, product_prepare, product_run, 0},
    {"ref", NULL, ref_prepare, ref_run, 0},
    {0},
};

#define BYTES (PI_BIT(U8) | PI_BIT(I8))
#define BYTES_F8 (BYTES | PI_BIT(F8E4M3FN) | PI_BIT(F8E4M3FNUZ) | PI_BIT(F8E5M2) | PI_BIT(F8E5M2FNUZ))
static const pi_op rows[] = {
    {.name = "MatMulInteger",
     .since = 10,
     .signature = "A:T B:U a_zero_point?:T b_zero_point?:U -> Y:i32",
     .T = BYTES,
     .U = BYTES,
     .infer = product_infer,
     .impls = impls},
    {.name = "QLinearMatMul",
     .since = 10,
     .signature = "a:T a_scale:f32 a_zero_point:T b:U b_scale:f32 b_zero_point:U y_scale:f32 y_zero_point:V -> y:V",
     .T = BYTES,
     .U = BYTES,
     .V = BYTES,
     .infer = product_infer,
     .impls = impls},
    {.name = "QLinearMatMul",
     .since = 21,
     .signature = "a:T a_scale:any a_zero_point:T b:U b_scale:any b_zero_point:U y_scale:any y_zero_point:V -> y:V",
     .T = BYTES_F8,
     .U = BYTES_F8,
     .V = BYTES_F8,
     .infer = product_infer,
     .impls = impls},
};
const pi_op_family pi_ops_quant_matmul = {rows, PI_COUNT(rows)};
