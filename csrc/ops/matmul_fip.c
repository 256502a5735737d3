/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul and Gemm by the fast inner product. A constant matrix B is packed once, others in each run. */
#include "base/threads.h"
#include "kernels/layout/layout.h"
#include "ops/conv.h"
#include "ops/fip_product.h"
#include "ops/matmul.h"

enum { LIVE = 4, LINE = 64 };

typedef struct {
    pi_matmul p;
    pi_fip_plan product;
    int64_t groups;   /* matrices B that each run packs */
    size_t packed_at; /* bytes of scratch before them */
} fip_state;

/* Packing takes the time of some 12 rows of a large product, 30 of a small one. */
const char *pi_matmul_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_matmul p;
    bool one_b;
    const char *why = pi_matmul_own_refuse(node, in, out);
    if (why) return why;
    if (pi_matmul_init(&p, node, in, NULL, NULL) != PI_E_OK) return "attributes";
    pi_matmul_merge_batch(&p);
    const pi_tensor *live = pi_matmul_live(node, in);
    const int64_t batches = pi_matmul_batches(&p, &one_b);
    if (live && (batches > 1 || pi_tensor_n(live) != p.m)) return "rows that share a place of 'live'";
    const bool gathered = p.a.col != 1, once = one_b && node->in[1] && node->in[1]->constant;
    if ((why = pi_fip_refuse(p.m, p.n, p.k, gathered)) || once) return why;
    double packing = (one_b ? 12 : 30) / (double)(one_b ? p.m * batches : p.m);
    return pi_fip_share(p.m, p.n, p.k, gathered) + packing < 0.97 ? NULL : PI_SLOWER "B is packed for few rows";
}

static void place(const void *arg, int64_t batch, int64_t *a, int64_t *y)
{
    int64_t b;
    pi_matmul_offsets(arg, batch, a, &b, y);
}

/* Rows of an A that is transposed, or sparse. */
static void gather(const pi_call *call, const void *arg, int64_t first, int64_t m, float *to)
{
    const pi_matmul *p = arg;
    int64_t a, y, step = (int64_t)sizeof(float);
    place(p, first / p->m, &a, &y);
    const float *from = (const float *)call->in[0]->data + a + first % p->m * p->a.row;
    if (p->a.row == 1)
        pi_transpose_select(sizeof(float))((const char *)from, p->a.col * step, (char *)to, p->k * step, p->k, m);
    for (int64_t i = 0; p->a.row != 1 && i < m; i++, from += p->a.row)
        for (int64_t l = 0; l < p->k; l++) *to++ = from[l * p->a.col];
}

/* Room in the scratch for what each run packs. */
static pi_status prepare_b(pi_prep *prep, fip_state *s, pi_error *err)
{
    const pi_fip_plan *f = &s->product;
    const int64_t nr = (int64_t)f->fip->nr;
    size_t bytes;
    s->groups = f->each_b ? f->batches : 1;
    if (!pi_add(prep->scratch, LINE - 1, &s->packed_at) || !pi_mul((size_t)(f->panels * nr * s->groups), (size_t)f->k, &bytes) ||
        !pi_add(bytes, pi_fip_tail(s->groups, f->panels, f->k, nr), &bytes) || !pi_mul(bytes, sizeof(float), &bytes) ||
        !pi_add(s->packed_at &= ~(size_t)(LINE - 1), bytes, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
    return PI_E_OK;
}

pi_status pi_matmul_fip_prepare(pi_prep *prep, pi_error *err)
{
    fip_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    bool one_b;
    if (!s) return pi_alloc_status(err);
    pi_fip_plan *f = &s->product;
    PI_TRY(pi_matmul_init(&s->p, prep->node, prep->in, NULL, err));
    pi_matmul_merge_batch(&s->p);
    *f = (pi_fip_plan){.m = s->p.m, .n = s->p.n, .k = s->p.k, .batches = pi_matmul_batches(&s->p, &one_b), .place = place};
    f->each_b = !one_b;
    f->gather = s->p.a.col != 1 ? gather : NULL;
    if (pi_matmul_live(prep->node, prep->in)) f->live = LIVE;
    f->late = pi_act_bounds(s->p.act, &f->low, &f->high);
    PI_TRY(pi_fip_prepare(prep, f, err));
    if (!one_b || !pi_prep_is_const(prep, 1)) return prepare_b(prep, s, err);
    PI_TRY(pi_matmul_pack(prep, &s->p, &f->b, err));
    f->minus = pi_fip_minus(1, f->panels, f->k, (int64_t)f->fip->nr, 0, f->b);
    return PI_E_OK;
}

static float *packed_of(const fip_state *s, const pi_call *call) { return (float *)(void *)((char *)call->scratch + s->packed_at); }

/* A chunk is a range of (matrix B, panel). */
static void pack_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const fip_state *s = call->state;
    const pi_fip_plan *f = &s->product;
    const int64_t nr = (int64_t)f->fip->nr;
    float *packed = packed_of(s, call);
    for (int64_t u = begin; u < end; u++) {
        int64_t a, b, y;
        pi_matmul_offsets(&s->p, u / f->panels, &a, &b, &y);
        pi_matmul_pack_panel(&s->p, (const float *)call->in[1]->data + b, u % f->panels, packed + u * f->k * nr);
        pi_fip_fill(s->groups, f->panels, f->k, nr, u / f->panels, u % f->panels, packed);
    }
}

pi_status pi_matmul_fip_run(const pi_call *call, pi_error *err)
{
    const fip_state *s = call->state;
    const pi_tensor *bias = pi_matmul_bias(call->node, call->in), *z = pi_matmul_residual(call->node, call->in);
    const pi_fip_data data = {&s->p, call->in[0]->data, bias ? bias->data : NULL, z ? z->data : NULL, call->out[0]->data,
                              s->p.a.row, s->p.y.row};
    pi_fip_plan f = s->product;
    pi_call copy = *call;
    if (s->groups) {
        const int64_t nr = (int64_t)f.fip->nr;
        pi_parallel(call->run->threads, s->groups * f.panels, 65536 / (f.k * nr) + 1, pack_chunk, &copy);
        f.b = packed_of(s, call);
        f.minus = pi_fip_minus(s->groups, f.panels, f.k, nr, 0, f.b);
    }
    return pi_fip_run(&f, call, &data, err);
}
