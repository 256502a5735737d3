/* SPDX-License-Identifier: Apache-2.0 */
/* f32 products with our own kernel (kernels/igemm): a constant B is packed once, any other in each run. alpha goes into B. */
#include <string.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/igemm/igemm.h"
#include "kernels/layout/layout.h"
#include "ops/conv.h"
#include "ops/matmul.h"
#include "ops/ops.h"

/* Tiles that share a pass over a panel. B comes from memory or the last cache once for each block of rows, so these are many: 128
 * rows of 768 by 768 x 3072 on Zen 3, B not in a cache: 60 GFLOP/s with 8 tiles a block, 72 with all 22. */
enum { BLOCK = 32 };

typedef struct {
    pi_matmul p;
    const pi_igemm_kernels *gemm;
    const float *b; /* packed; NULL: packed in each run */
    int64_t panels, batches, packed; /* packed: floats of one packed matrix B */
    bool one_b; /* B is the same for all batches */
} own_state;

typedef struct {
    int64_t k, n, nr, row, col;
    double alpha;
} pack_shape;

const char *pi_matmul_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_matmul p;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_matmul_init(&p, node, in, NULL, NULL) != PI_E_OK) return "attributes";
    if (p.a.col != 1 || p.y.col != 1 || in[0]->rank < 2 || in[1]->rank < 2) return "only rows of A and Y that are dense";
    if (p.k == 0 || pi_tensor_n(out[0]) == 0) return "no elements";
    const pi_tensor *residual = pi_matmul_residual(node, in);
    if (residual && !pi_tensor_same_shape(residual, out[0])) return "the shape of the residual";
    if (p.bias.rank >= 0 && (p.beta != 1 || pi_tensor_n(&p.bias) != p.n || p.bias.dim[p.bias.rank - 1] != p.n))
        return "the shape of the bias, or beta";
    return NULL;
}

static void pack_panel(const pack_shape *s, const float *b, int64_t panel, float *to)
{
    int64_t first = panel * s->nr, n = pi_min_i64(s->nr, s->n - first);
    b += first * s->col;
    if (s->row == 1 || s->col == 1) { /* what is left of a panel is 0 */
        if (n < s->nr) memset(to, 0, (size_t)(s->k * s->nr) * sizeof *to);
        if (s->col == 1)
            for (int64_t l = 0; l < s->k; l++) memcpy(to + l * s->nr, b + l * s->row, (size_t)n * sizeof *to);
        else
            pi_transpose_select(sizeof *to)((const char *)b, s->col * (ptrdiff_t)sizeof *to, (char *)to,
                                            s->nr * (ptrdiff_t)sizeof *to, n, s->k);
        for (int64_t i = 0; s->alpha != 1 && i < s->k * s->nr; i++) to[i] *= (float)s->alpha;
        return;
    }
    for (int64_t l = 0; l < s->k; l++, to += s->nr) {
        const float *row = b + l * s->row;
        for (int64_t j = 0; j < n; j++) to[j] = (float)s->alpha * row[j * s->col];
        for (int64_t j = n; j < s->nr; j++) to[j] = 0.0f;
    }
}

static pi_status pack_constant(void *arg, const pi_tensor *source, void *packed, pi_error *err)
{
    (void)err;
    const pack_shape *s = arg;
    for (int64_t panel = 0; panel * s->nr < s->n; panel++)
        pack_panel(s, source->data, panel, (float *)packed + panel * s->k * s->nr);
    return PI_E_OK;
}

static pack_shape shape_of(const own_state *s)
{
    return (pack_shape){s->p.k, s->p.n, (int64_t)s->gemm->nr, s->p.b.row, s->p.b.col, (double)s->p.alpha};
}

pi_status pi_matmul_own_prepare(pi_prep *prep, pi_error *err)
{
    own_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_matmul_init(&s->p, prep->node, prep->in, NULL, err));
    s->gemm = pi_igemm();
    s->one_b = true;
    s->batches = 1;
    for (int i = 0; i < s->p.batch_rank; i++) {
        s->one_b &= s->p.b.batch[i] == 0;
        s->batches *= s->p.batch[i];
    }
    int64_t nr = (int64_t)s->gemm->nr;
    size_t bytes;
    s->panels = (s->p.n + nr - 1) / nr;
    if (!pi_mul_i64(s->panels * nr, s->p.k, &s->packed) || !pi_mul((size_t)s->packed, sizeof(float), &bytes))
        return pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->p.k;
    if (!s->one_b || !pi_prep_is_const(prep, 1)) {
        return pi_mul(bytes, s->one_b ? 1 : (size_t)s->batches, &prep->scratch)
                   ? PI_E_OK
                   : pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
    }
    struct {
        char name[8];
        pack_shape shape;
    } key;
    memset(&key, 0, sizeof key);
    memcpy(key.name, "igemm_b", 7);
    key.shape = shape_of(s);
    const void *packed;
    PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, bytes, pack_constant, &key.shape, &packed, err));
    s->b = packed;
    pi_prep_drop(prep, 1);
    return PI_E_OK;
}

/* A chunk is a range of (batch, panel) of B. */
static void pack_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const own_state *s = call->state;
    pack_shape shape = shape_of(s);
    for (int64_t u = begin; u < end; u++) {
        int64_t a, b, y;
        pi_matmul_offsets(&s->p, u / s->panels, &a, &b, &y);
        pack_panel(&shape, (const float *)call->in[1]->data + b, u % s->panels,
                   (float *)call->scratch + u * shape.k * shape.nr);
    }
}

/* Rows [first, first + rows) of one batch against panels [begin, end). */
static void block(const own_state *s, const pi_call *call, int64_t batch, int64_t first, int64_t rows, int64_t begin,
                  int64_t end)
{
    enum { MOST = 16 };
    const pi_matmul *p = &s->p;
    int64_t mr = (int64_t)s->gemm->mr, nr = (int64_t)s->gemm->nr, oa, ob, oy;
    const pi_tensor *bt = pi_matmul_bias(call->node, call->in), *zt = pi_matmul_residual(call->node, call->in);
    const float *bias = bt ? bt->data : NULL, *z = zt ? zt->data : NULL, *a_row[MOST];
    pi_matmul_offsets(&s->p, batch, &oa, &ob, &oy);
    const float *a = (const float *)call->in[0]->data + oa;
    const float *b = s->b ? s->b : (const float *)call->scratch + (s->one_b ? 0 : batch * s->packed);
    float low, high, *y = call->out[0]->data;
    pi_act late = pi_act_bounds(p->act, &low, &high);
    int64_t group = pi_igemm_group(s->gemm, (size_t)p->k), size = nr * p->k;
    size_t tiles = (size_t)((rows + mr - 1) / mr);
    for (int64_t from = begin, to; from < end; from = to) {
        to = pi_min_i64(end, from + group);
        for (int64_t r = first; r < first + rows; r += mr) {
            int64_t m = pi_min_i64(mr, first + rows - r);
            for (int64_t i = 0; i < m; i++) a_row[i] = a + (r + i) * p->a.row;
            for (int64_t panel = from; panel < to; panel++) {
                int64_t at = oy + r * p->y.row + panel * nr, n = pi_min_i64(nr, p->n - panel * nr);
                pi_igemm_end ends = {bias ? bias + panel * nr : NULL, z ? z + at : NULL, low, high};
                const float *mine = b + panel * size, *next = panel + group < s->panels ? mine + group * size : NULL;
                pi_igemm_ahead ahead = pi_igemm_share(s->gemm, next, (size_t)size, (size_t)((r - first) / mr), tiles);
                s->gemm->tile_ahead((size_t)m, (size_t)n, 1, (size_t)p->k, a_row, mine, &ends, y + at, (size_t)p->y.row, ahead.at,
                                    ahead.lines);
            }
        }
    }
    if (late.kind == PI_ACT_NONE) return;
    int64_t n = pi_min_i64(end * nr, p->n) - begin * nr;
    float *row = y + oy + first * p->y.row + begin * nr;
    for (int64_t r = 0; r < rows; r++, row += p->y.row) pi_eltwise()->act_f32(late, (size_t)n, row, row);
}

/* A chunk is a range of (batch, block of rows, panel). */
static void gemm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const own_state *s = call->state;
    int64_t size = BLOCK * (int64_t)s->gemm->mr, blocks = (s->p.m + size - 1) / size;
    for (int64_t u = begin, n; u < end && !pi_cancelled(call); u += n) {
        int64_t panel = u % s->panels, first = u / s->panels % blocks * size, batch = u / s->panels / blocks;
        n = pi_min_i64(end - u, s->panels - panel);
        block(s, call, batch, first, pi_min_i64(size, s->p.m - first), panel, panel + n);
    }
}

pi_status pi_matmul_own_run(const pi_call *call, pi_error *err)
{
    const own_state *s = call->state;
    pi_call copy = *call;
    int64_t size = BLOCK * (int64_t)s->gemm->mr, blocks = (s->p.m + size - 1) / size, nr = (int64_t)s->gemm->nr;
    if (!s->b) pi_parallel(call->run->threads, (s->one_b ? 1 : s->batches) * s->panels, 65536 / (s->p.k * nr) + 1, pack_chunk, &copy);
    int64_t work = pi_min_i64(size, s->p.m) * s->p.k * nr;
    pi_parallel(call->run->threads, s->batches * blocks * s->panels, 262144 / work + 1, gemm_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
