/* SPDX-License-Identifier: Apache-2.0 */
/* Products of f64 and of integers with our own kernels (kernels/igemm/typed.h). B is packed in panels of nr columns:
 * once if it is constant, in each run if many rows meet it, else only its last, partial panel. alpha goes into a packed
 * f64 B. */
#include <string.h>
#include "base/threads.h"
#include "kernels/igemm/typed.h"
#include "ops/block.h"
#include "ops/matmul.h"
#include "ops/ops.h"

enum {
    BLOCK = 8,    /* tiles that share a pass over a panel */
    DEPTH = 256,  /* of k in a pass: a panel of it stays in the first cache */
    FEW_ROWS = 8, /* that are not worth packing B */
    MOST_ROWS = 16,
};

typedef struct {
    pi_matmul p;
    const pi_typed_gemm *gemm;
    const void *b; /* packed; NULL: packed in each run */
    int64_t elem, panels, whole, batches,
        packed;     /* whole: panels that are read as they are; packed: elements of one packed B */
    size_t a_at;    /* A in rows, behind B in the scratch; only if its columns are not dense */
    bool one_b;     /* B is the same for all batches */
    pi_bcast bias;  /* over Y */
    pi_dtype dtype; /* f64, or the unsigned type of the same size */
} typed_state;

typedef struct {
    int64_t k, n, nr, row, col;
    double alpha;
    int elem, is_float;
} pack_shape;

const char *pi_matmul_typed_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_matmul p;
    bool floats = in[0]->dtype == PI_DTYPE_F64;
    if (!floats && !pi_dtype_in(in[0]->dtype, PI_BIT(I32) | PI_BIT(I64) | PI_BIT(U32) | PI_BIT(U64)))
        return "only f64 and integers";
    if (pi_matmul_init(&p, node, in, NULL, NULL) != PI_E_OK) return "attributes";
    if (p.y.col != 1) return "only rows of Y that are dense";
    if (p.k == 0 || pi_tensor_n(out[0]) == 0) return "no elements";
    if (pi_matmul_residual(node, in) || p.act.kind != PI_ACT_NONE || pi_matmul_live(node, in))
        return "an activation, a residual, or rows to skip";
    if (!floats && (p.alpha != 1 || (p.bias.rank >= 0 && p.beta != 1))) return "integers and factors";
    return NULL;
}

static pack_shape shape_of(const typed_state *s)
{
    pack_shape shape;
    memset(&shape, 0, sizeof shape); /* it is part of a key */
    shape.k = s->p.k, shape.n = s->p.n, shape.nr = (int64_t)s->gemm->nr, shape.row = s->p.b.row, shape.col = s->p.b.col;
    shape.alpha = (double)s->p.alpha, shape.elem = (int)s->elem, shape.is_float = s->dtype == PI_DTYPE_F64;
    return shape;
}

/* Elements of one size, gathered. */
#define PACK(type)                                                        \
    for (int64_t l = 0; l < s->k; l++) {                                  \
        const type *from = (const type *)b + l * s->row + first * s->col; \
        type *out = (type *)to + l * s->nr;                               \
        for (int64_t j = 0; j < n; j++) out[j] = from[j * s->col];        \
        for (int64_t j = n; j < s->nr; j++) out[j] = 0;                   \
    }

static void pack_panel(const pack_shape *s, const void *b, int64_t panel, void *to)
{
    int64_t first = panel * s->nr, n = pi_min_i64(s->nr, s->n - first);
    if (s->elem == 8) {
        PACK(uint64_t)
    } else {
        PACK(uint32_t)
    }
    if (s->is_float && s->alpha != 1)
        for (int64_t i = 0; i < s->k * s->nr; i++) ((double *)to)[i] *= s->alpha;
}

static pi_status pack_constant(void *arg, const pi_tensor *source, void *packed, pi_error *err)
{
    (void)err;
    const pack_shape *s = arg;
    for (int64_t panel = 0; panel * s->nr < s->n; panel++)
        pack_panel(s, source->data, panel, (char *)packed + panel * s->k * s->nr * s->elem);
    return PI_E_OK;
}

static pi_status prepare_b(pi_prep *prep, typed_state *s, size_t bytes, pi_error *err)
{
    struct {
        char name[8];
        pack_shape shape;
    } key;
    if (s->one_b && pi_prep_is_const(prep, 1)) {
        const void *packed;
        memset(&key, 0, sizeof key);
        memcpy(key.name, "typed_b", 7);
        key.shape = shape_of(s);
        PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, bytes, pack_constant, &key.shape, &packed, err));
        s->b = packed;
        pi_prep_drop(prep, 1);
        return PI_E_OK;
    }
    int64_t rows = s->one_b ? s->p.m * s->batches : s->p.m;
    if (rows <= FEW_ROWS && s->p.b.col == 1 && s->p.alpha == 1) s->whole = s->p.n / (int64_t)s->gemm->nr;
    return pi_mul(bytes, s->one_b ? 1 : (size_t)s->batches, &s->a_at) && s->a_at < SIZE_MAX - 64
               ? PI_E_OK
               : pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
}

pi_status pi_matmul_typed_prepare(pi_prep *prep, pi_error *err)
{
    typed_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_matmul_init(&s->p, prep->node, prep->in, NULL, err));
    const pi_tensor *bias = &s->p.bias;
    if (bias->rank >= 0) pi_bcast_init(&s->bias, prep->out[0], &bias, 1);
    s->elem = (int64_t)pi_dtype_size(prep->in[0]->dtype);
    s->dtype = prep->in[0]->dtype == PI_DTYPE_F64 ? PI_DTYPE_F64 : s->elem == 8 ? PI_DTYPE_U64 : PI_DTYPE_U32;
    s->gemm = s->dtype == PI_DTYPE_F64 ? &pi_typed()->f64 : s->elem == 8 ? &pi_typed()->i64 : &pi_typed()->i32;
    s->one_b = true;
    s->batches = 1;
    for (int i = 0; i < s->p.batch_rank; i++) {
        s->one_b &= s->p.b.batch[i] == 0;
        s->batches *= s->p.batch[i];
    }
    int64_t nr = (int64_t)s->gemm->nr;
    size_t bytes;
    s->panels = (s->p.n + nr - 1) / nr;
    if (!pi_mul_i64(s->panels * nr, s->p.k, &s->packed) || !pi_mul((size_t)s->packed, (size_t)s->elem, &bytes))
        return pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->p.k;
    PI_TRY(prepare_b(prep, s, bytes, err));
    s->a_at = (s->a_at + 63) / 64 * 64;
    size_t a = 0;
    bool fits = s->p.a.col == 1 ||
                (pi_mul((size_t)s->p.m, (size_t)s->p.k, &a) && pi_mul(a, (size_t)(s->batches * s->elem), &a));
    return fits && pi_add(s->a_at, a, &prep->scratch)
               ? PI_E_OK
               : pi_fail(err, PI_E_LIMIT, "A has more bytes than can be addressed");
}

/* A chunk is a range of (batch, panel of B that is packed). */
static void pack_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const typed_state *s = call->state;
    pack_shape shape = shape_of(s);
    int64_t each = s->panels - s->whole;
    for (int64_t u = begin; u < end; u++) {
        int64_t a, b, y, batch = u / each, panel = s->whole + u % each;
        pi_matmul_offsets(&s->p, batch, &a, &b, &y);
        pack_panel(&shape, (const char *)call->in[1]->data + b * s->elem, panel,
                   (char *)call->scratch + (batch * s->packed + panel * shape.k * shape.nr) * s->elem);
    }
}

/* A chunk is a range of (batch, row) of A, whose columns become dense. */
static void rows_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const typed_state *s = call->state;
    const pi_matmul *p = &s->p;
    for (int64_t u = begin; u < end; u++) {
        int64_t a, b, y;
        pi_matmul_offsets(&s->p, u / p->m, &a, &b, &y);
        const char *from = (const char *)call->in[0]->data + (a + u % p->m * p->a.row) * s->elem;
        char *to = (char *)call->scratch + s->a_at + (size_t)(u * p->k * s->elem);
        if (s->elem == 8)
            for (int64_t l = 0; l < p->k; l++)
                ((uint64_t *)(void *)to)[l] = ((const uint64_t *)(const void *)from)[l * p->a.col];
        else
            for (int64_t l = 0; l < p->k; l++)
                ((uint32_t *)(void *)to)[l] = ((const uint32_t *)(const void *)from)[l * p->a.col];
    }
}

/* y[j] += beta * bias, from element `at` of Y in the product's order on. */
static void add_bias(const typed_state *s, const pi_tensor *bias, int64_t at, int64_t n, void *y)
{
    for (int64_t j = 0, m; j < n; j += m) {
        int64_t offset[PI_BCAST_INPUTS], step = pi_bcast_step(&s->bias, 0);
        m = pi_min_i64(n - j, pi_bcast_at(&s->bias, at + j, offset));
        const char *x = (const char *)bias->data + offset[0] * s->elem;
        if (s->dtype == PI_DTYPE_F64)
            for (int64_t i = 0; i < m; i++)
                ((double *)y)[j + i] += (double)s->p.beta * ((const double *)(const void *)x)[i * step];
        else if (s->elem == 8)
            for (int64_t i = 0; i < m; i++) ((uint64_t *)y)[j + i] += ((const uint64_t *)(const void *)x)[i * step];
        else
            for (int64_t i = 0; i < m; i++) ((uint32_t *)y)[j + i] += ((const uint32_t *)(const void *)x)[i * step];
    }
}

/* Rows [first, first + rows) of one batch against panels [begin, end). */
static void block(const typed_state *s, const pi_call *call, int64_t batch, int64_t first, int64_t rows, int64_t begin,
                  int64_t end)
{
    const pi_matmul *p = &s->p;
    int64_t mr = (int64_t)s->gemm->mr, nr = (int64_t)s->gemm->nr, oa, ob, oy, a_row = p->a.row;
    const pi_tensor *bias = pi_matmul_bias(call->node, call->in);
    const void *row[MOST_ROWS];
    pi_matmul_offsets(&s->p, batch, &oa, &ob, &oy);
    const char *a = (const char *)call->in[0]->data + oa * s->elem,
               *plain = (const char *)call->in[1]->data + ob * s->elem;
    const char *packed = s->b ? s->b : (const char *)call->scratch + (s->one_b ? 0 : batch * s->packed * s->elem);
    char *y = (char *)call->out[0]->data + oy * s->elem;
    if (p->a.col != 1) {
        a_row = p->k;
        a = (const char *)call->scratch + s->a_at + (size_t)(batch * p->m * p->k * s->elem);
    }
    for (int64_t l = 0; l < p->k; l += DEPTH) {
        int64_t depth = pi_min_i64(DEPTH, p->k - l);
        for (int64_t panel = begin; panel < end; panel++) {
            bool direct = panel < s->whole;
            int64_t n = pi_min_i64(nr, p->n - panel * nr), b_row = direct ? p->b.row : nr;
            const char *b =
                direct ? plain + (l * b_row + panel * nr) * s->elem : packed + (panel * p->k + l) * nr * s->elem;
            for (int64_t r = first; r < first + rows; r += mr) {
                int64_t m = pi_min_i64(mr, first + rows - r);
                for (int64_t i = 0; i < m; i++) row[i] = a + ((r + i) * a_row + l) * s->elem;
                s->gemm->tile((size_t)m, (size_t)n, (size_t)depth, row, b, (size_t)b_row,
                              y + (r * p->y.row + panel * nr) * s->elem, (size_t)p->y.row, l > 0);
            }
        }
    }
    int64_t n = pi_min_i64(end * nr, p->n) - begin * nr;
    for (int64_t r = first; bias && r < first + rows; r++)
        add_bias(s, bias, (batch * p->m + r) * p->n + begin * nr, n, y + (r * p->y.row + begin * nr) * s->elem);
}

/* A chunk is a range of (batch, block of rows, panel). */
static void gemm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const typed_state *s = call->state;
    int64_t size = BLOCK * (int64_t)s->gemm->mr, blocks = (s->p.m + size - 1) / size;
    for (int64_t u = begin, n; u < end && !pi_cancelled(call); u += n) {
        int64_t panel = u % s->panels, first = u / s->panels % blocks * size, batch = u / s->panels / blocks;
        n = pi_min_i64(end - u, s->panels - panel);
        block(s, call, batch, first, pi_min_i64(size, s->p.m - first), panel, panel + n);
    }
}

pi_status pi_matmul_typed_run(const pi_call *call, pi_error *err)
{
    const typed_state *s = call->state;
    const pi_matmul *p = &s->p;
    pi_call copy = *call;
    int threads = call->run->threads;
    int64_t size = BLOCK * (int64_t)s->gemm->mr, blocks = (p->m + size - 1) / size, nr = (int64_t)s->gemm->nr;
    if (!s->b)
        pi_parallel(threads, (s->one_b ? 1 : s->batches) * (s->panels - s->whole), 65536 / (p->k * nr) + 1, pack_chunk,
                    &copy);
    if (p->a.col != 1) pi_parallel(threads, s->batches * p->m, 65536 / p->k + 1, rows_chunk, &copy);
    int64_t work = pi_min_i64(size, p->m) * pi_min_i64(p->k, 65536) * nr;
    pi_parallel(threads, s->batches * blocks * s->panels, 131072 / work + 1, gemm_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
