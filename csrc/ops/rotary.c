/* SPDX-License-Identifier: Apache-2.0 */
/* RotaryEmbedding: pairs of each head's first values are turned by the angle of their position. A pair is the places j and
 * j + half, or 2j and 2j + 1 where interleaved. */
#include <string.h>

#include "base/threads.h"
#include "ops/element.h"
#include "ops/index.h"
#include "ops/move.h"
#include "ops/ops.h"
#include "ops/widen.h"

typedef struct {
    int64_t batch, heads, steps, size, half; /* half: pairs of a head */
    bool flat; /* [batch, steps, heads * size] instead of [batch, heads, steps, size] */
    int64_t turns; /* rows of caches without position_ids: batch * steps, or steps when all of the batch share them */
} rotary;

static pi_status rotary_init(rotary *r, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[0], *c = in[1], *s = in[2], *p = pi_move_in(node, in, 3);
    int64_t heads = pi_attr_int(node, "num_heads"), part = pi_attr_int(node, "rotary_embedding_dim");
    char tx[160], tc[160], ts[160];
    r->flat = x->rank == 3;
    if (x->rank != 4 && (x->rank != 3 || heads < 1 || x->dim[2] % heads != 0))
        return pi_fail(err, PI_E_MODEL, "X is %s, expected 4 dimensions, or 3 with the last a multiple of num_heads %lld",
                       pi_tensor_text(x, tx, sizeof tx), (long long)heads);
    r->batch = x->dim[0];
    r->heads = r->flat ? heads : x->dim[1];
    r->steps = x->dim[r->flat ? 1 : 2];
    r->size = r->flat ? x->dim[2] / heads : x->dim[3];
    if (part < 0 || part > r->size)
        return pi_fail(err, PI_E_MODEL, "rotary_embedding_dim %lld is not in 0 to %lld", (long long)part, (long long)r->size);
    r->half = (part ? part : r->size) / 2;
    bool fits = c->rank == (p ? 2 : 3) && pi_tensor_same_shape(c, s) && c->dim[c->rank - 1] == r->half;
    if (p) fits = fits && p->rank == 2 && p->dim[0] == r->batch && p->dim[1] == r->steps;
    if (!p) fits = fits && (c->dim[0] == r->batch || c->dim[0] == 1) && c->dim[1] == r->steps;
    r->turns = p ? 0 : c->dim[0] * r->steps; /* PyTorch writes caches of batch 1, which the standard's evaluator repeats */
    if (!fits)
        return pi_fail(err, PI_E_MODEL, "cos_cache %s and sin_cache %s, or position_ids, do not fit X",
                       pi_tensor_text(c, tc, sizeof tc), pi_tensor_text(s, ts, sizeof ts));
    return PI_E_OK;
}

static pi_status rotary_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    rotary r;
    PI_TRY(rotary_init(&r, node, in, err));
    return pi_infer_same(node, in, out, err);
}

/* Position u of all: its row in the caches, checked. */
static pi_status rotary_angle(const rotary *r, const pi_tensor *cache, const pi_tensor *p, int64_t u, int64_t *angle, pi_error *err)
{
    *angle = p ? pi_tensor_int(p, u) : u % r->turns;
    if (!p || (*angle >= 0 && *angle < cache->dim[0])) return PI_E_OK;
    return pi_fail(err, PI_E_INPUT, "position %lld is out of range for %lld", (long long)*angle, (long long)cache->dim[0]);
}

static pi_status rotary_run(const pi_call *call, pi_error *err)
{
    rotary r;
    PI_TRY(rotary_init(&r, call->node, call->in, err));
    const pi_tensor *x = call->in[0], *cosine = call->in[1], *sine = call->in[2], *p = pi_move_in(call->node, call->in, 3);
    bool pairs = pi_attr_int(call->node, "interleaved") != 0;
    void *y = call->out[0]->data;
    for (int64_t u = 0; u < r.batch * r.steps; u++) {
        int64_t b = u / r.steps, t = u % r.steps, angle;
        PI_TRY(rotary_angle(&r, cosine, p, u, &angle, err));
        for (int64_t h = 0; h < r.heads; h++) {
            int64_t at = (r.flat ? u * r.heads + h : (b * r.heads + h) * r.steps + t) * r.size;
            for (int64_t j = 0; j < r.half; j++) {
                int64_t first = at + (pairs ? 2 * j : j), second = at + (pairs ? 2 * j + 1 : j + r.half);
                double c = pi_element_get(x->dtype, cosine->data, angle * r.half + j);
                double s = pi_element_get(x->dtype, sine->data, angle * r.half + j);
                double u0 = pi_element_get(x->dtype, x->data, first), u1 = pi_element_get(x->dtype, x->data, second);
                pi_element_put(x->dtype, y, first, c * u0 - s * u1);
                pi_element_put(x->dtype, y, second, s * u0 + c * u1);
            }
            for (int64_t j = 2 * r.half; j < r.size; j++)
                pi_element_put(x->dtype, y, at + j, pi_element_get(x->dtype, x->data, at + j));
        }
    }
    return PI_E_OK;
}

/* ---- f32 ---- */

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)node;
    (void)out;
    return in[0]->dtype == PI_DTYPE_F32 ? NULL : "only f32";
}

typedef struct {
    rotary r;
    const float *x, *cosine, *sine;
    float *y;
    const pi_tensor *p;
    int64_t limit;
    bool pairs;
} fast_job;

static void turn_halves(int64_t n, const float *restrict x, const float *restrict c, const float *restrict s, float *restrict y)
{
    for (int64_t j = 0; j < n; j++) {
        float a = x[j], b = x[n + j];
        y[j] = c[j] * a - s[j] * b;
        y[n + j] = s[j] * a + c[j] * b;
    }
}

static void turn_pairs(int64_t n, const float *restrict x, const float *restrict c, const float *restrict s, float *restrict y)
{
    for (int64_t j = 0; j < n; j++) {
        float a = x[2 * j], b = x[2 * j + 1];
        y[2 * j] = c[j] * a - s[j] * b;
        y[2 * j + 1] = s[j] * a + c[j] * b;
    }
}

/* Units: heads in the order of memory. */
static void fast_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const fast_job *job = arg;
    const rotary *r = &job->r;
    for (int64_t i = begin; i < end; i++) {
        int64_t u = r->flat ? i / r->heads : i / r->steps / r->heads * r->steps + i % r->steps, rest = r->size - 2 * r->half;
        int64_t angle = job->p ? pi_index_at(job->p, u, job->limit) : u % r->turns;
        const float *x = job->x + i * r->size, *c = job->cosine + angle * r->half, *s = job->sine + angle * r->half;
        float *y = job->y + i * r->size;
        (job->pairs ? turn_pairs : turn_halves)(r->half, x, c, s, y);
        if (rest > 0) memcpy(y + 2 * r->half, x + 2 * r->half, (size_t)rest * sizeof *y);
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *cosine = call->in[1];
    fast_job job = {.x = call->in[0]->data, .cosine = cosine->data, .sine = call->in[2]->data, .y = call->out[0]->data,
                    .p = pi_move_in(call->node, call->in, 3), .limit = cosine->dim[0]};
    PI_TRY(rotary_init(&job.r, call->node, call->in, err));
    const rotary *r = &job.r;
    job.pairs = pi_attr_int(call->node, "interleaved") != 0;
    for (int64_t u = 0, angle; job.p && u < r->batch * r->steps; u++) PI_TRY(rotary_angle(r, cosine, job.p, u, &angle, err));
    pi_parallel(call->run->threads, r->batch * r->steps * r->heads, 1 + 16384 / (r->size + 1), fast_task, &job);
    return PI_E_OK;
}

static const pi_impl impls[] = {
    {.name = "simd", .refuse = fast_refuse, .run = fast_run},
    {.name = "f32", .refuse = pi_widen_refuse, .prepare = pi_widen_prepare, .run = pi_widen_run},
    {.name = "ref", .run = rotary_run},
    {0},
};
static const pi_attr_def attrs[] = {{.name = "interleaved", .kind = PI_ATTR_INT},
                                    {.name = "num_heads", .kind = PI_ATTR_INT},
                                    {.name = "rotary_embedding_dim", .kind = PI_ATTR_INT},
                                    {0}};
static const pi_op rows[] = {
    {.name = "RotaryEmbedding", .since = 23, .signature = "X:T cos_cache:T sin_cache:T position_ids?:i64 -> Y:T",
     .T = PI_BIT(F32) | PI_BIT(F16) | PI_BIT(BF16), .attrs = attrs, .infer = rotary_infer, .impls = impls},
};
const pi_op_family pi_ops_rotary = {rows, PI_COUNT(rows)};
