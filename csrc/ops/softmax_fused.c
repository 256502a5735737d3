/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.Softmax: softmax(X + mask) along the last axis, as attention has it. The mask broadcasts over all but the last
 * axis. nan_to_zero: NaN results become 0, which turns rows with nothing but -inf, or with a NaN or +inf, into zeros. Rows of
 * queries that `live` (ops/live.h) leaves out are zeros. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/softmax/softmax.h"
#include "ops/block.h"
#include "ops/live.h"
#include "ops/ops.h"

typedef struct {
    int64_t rows, n;              /* rows of n elements */
    int64_t group;                /* rows whose masks are `mask_row` rows apart (0: the same one) */
    int64_t mask_row;
    int outer;                    /* axes before the group, and how many rows of the mask each steps over */
    int64_t dim[PI_MAX_RANK], step[PI_MAX_RANK];
    bool nan_to_zero;
    bool keys;            /* see ops/live.h */
    int64_t per_sequence; /* rows for which the places of `live` serve that a group has */
} fused;

static const pi_tensor *live_of(const pi_node *node, const pi_tensor *const *in) { return node->n_explicit > 2 ? in[2] : NULL; }

/* The places of `live` for the group of row r; NULL: all are live. */
static const bool *live_at(const fused *s, const pi_call *call, int64_t r)
{
    const pi_tensor *live = live_of(call->node, call->in);
    return live ? (const bool *)live->data + r / s->per_sequence * s->group : NULL;
}

static pi_status fused_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_tensor *x = in[0], *mask = in[1];
    if (x->rank < 1) return pi_fail(err, PI_E_MODEL, "rank %d, expected 1 or more", x->rank);
    if (mask) {
        int skip = x->rank - mask->rank;
        bool fits = skip >= 0 && mask->rank >= 1 && mask->dim[mask->rank - 1] == x->dim[x->rank - 1];
        for (int i = 0; fits && i < mask->rank; i++) fits = mask->dim[i] == 1 || mask->dim[i] == x->dim[skip + i];
        if (!fits) return pi_fail(err, PI_E_MODEL, "the mask does not broadcast over the rows of the input");
    }
    const pi_tensor *live = live_of(node, in);
    if (live) {
        int64_t n = pi_tensor_n(live), rows = pi_dims_product(x, 0, x->rank - 1), group = x->rank > 1 ? x->dim[x->rank - 2] : 1;
        if (n < 1 || group < 1 || n % group != 0 || rows % n != 0)
            return pi_fail(err, PI_E_MODEL, "live has %lld places for %lld rows", (long long)n, (long long)rows);
        if (pi_attr_int(node, "keys") && group != x->dim[x->rank - 1]) return pi_fail(err, PI_E_MODEL, "the keys are not those of live");
    }
    return pi_infer_same(node, in, out, err);
}

static pi_status fused_prepare(pi_prep *prep, pi_error *err)
{
    const pi_tensor *x = prep->in[0], *mask = prep->in[1];
    fused *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    int last = x->rank - 1;
    s->n = x->dim[last];
    s->rows = pi_dims_product(x, 0, last);
    s->group = last ? x->dim[last - 1] : 1;
    s->outer = last ? last - 1 : 0;
    s->nan_to_zero = pi_attr_int(prep->node, "nan_to_zero") != 0;
    const pi_tensor *live = live_of(prep->node, prep->in);
    if (live) s->per_sequence = s->rows / (pi_tensor_n(live) / s->group);
    s->keys = live && pi_attr_int(prep->node, "keys");
    int64_t step = 1;
    for (int i = last - 1; mask && i >= 0; i--) {
        int of_mask = i - (x->rank - mask->rank);
        int64_t dim = of_mask >= 0 ? mask->dim[of_mask] : 1, here = dim == 1 ? 0 : step;
        if (i == last - 1) {
            s->mask_row = here;
        } else {
            s->dim[i] = x->dim[i];
            s->step[i] = here;
        }
        step *= dim;
    }
    return PI_E_OK;
}

/* The columns of all rows in the group of row r that count at all: the others come out as 0. */
static pi_live_range columns(const fused *s, const pi_call *call, int64_t r)
{
    return s->keys ? pi_live_span(live_at(s, call, r), s->n) : (pi_live_range){0, s->n};
}

/* Row r is one of those that come out as 0. */
static bool skipped(const fused *s, const pi_call *call, int64_t r)
{
    const bool *live = live_at(s, call, r);
    return live && !live[r % s->group];
}

static void clear_others(const fused *s, pi_tensor *y, int64_t r, pi_live_range columns)
{
    size_t size = pi_dtype_size(y->dtype);
    memset(pi_at_mut(y->data, y->dtype, r * s->n), 0, (size_t)columns.first * size);
    memset(pi_at_mut(y->data, y->dtype, r * s->n + columns.end), 0, (size_t)(s->n - columns.end) * size);
}

/* The row of the mask for row r of X. */
static int64_t mask_at(const fused *s, int64_t r)
{
    int64_t at = r % s->group * s->mask_row;
    r /= s->group;
    for (int i = s->outer; i-- > 0; r /= s->dim[i]) at += r % s->dim[i] * s->step[i];
    return at;
}

/* ---- reference: three walks over a row ---- */

static void read_sum(const pi_call *call, int64_t at, int64_t mask, int64_t n, double *v)
{
    double more[PI_BLOCK];
    pi_dtype dtype = call->in[0]->dtype;
    pi_read_f64(dtype, pi_at(call->in[0]->data, dtype, at), 1, n, v);
    if (!call->in[1]) return;
    pi_read_f64(dtype, pi_at(call->in[1]->data, dtype, mask), 1, n, more);
    for (int64_t i = 0; i < n; i++) v[i] += more[i];
}

static void ref_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const fused *s = call->state;
    pi_dtype dtype = call->in[0]->dtype;
    double v[PI_BLOCK];
    for (int64_t r = begin; r < end; r++) {
        const pi_live_range part = skipped(s, call, r) ? (pi_live_range){0, 0} : columns(s, call, r);
        clear_others(s, call->out[0], r, part);
        int64_t mask = call->in[1] ? mask_at(s, r) * s->n : 0;
        double largest = -INFINITY, sum = 0;
        for (int pass = 0; pass < 3; pass++)
            for (int64_t at = part.first; at < part.end; at += PI_BLOCK) {
                int64_t n = pi_min_i64(PI_BLOCK, part.end - at);
                read_sum(call, r * s->n + at, mask + at, n, v);
                for (int64_t i = 0; i < n; i++) {
                    if (pass == 0)
                        largest = v[i] > largest || v[i] != v[i] ? v[i] : largest;
                    else if (pass == 1)
                        sum += exp(v[i] - largest);
                    else
                        v[i] = exp(v[i] - largest) / sum;
                    if (pass == 2 && s->nan_to_zero && v[i] != v[i]) v[i] = 0;
                }
                if (pass == 2) pi_write_f64(dtype, pi_at_mut(call->out[0]->data, dtype, r * s->n + at), 1, n, v);
            }
    }
}

static pi_status ref_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const fused *s = call->state;
    pi_call copy = *call;
    if (s->n) pi_parallel(call->run->threads, s->rows, 1 + 1000 / s->n, ref_rows, &copy);
    return PI_E_OK;
}

/* ---- f32 kernels ---- */

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)node, (void)out;
    return in[0]->dtype == PI_DTYPE_F32 ? NULL : "only f32";
}

/* Some columns of rows [r, end) of one group, the others become 0. */
static void fast_part(const fused *s, const pi_call *call, int64_t r, int64_t end, pi_live_range part)
{
    size_t n = (size_t)(part.end - part.first), row = (size_t)s->n, rows = (size_t)(end - r);
    const float *x = (const float *)call->in[0]->data + r * s->n + part.first;
    float *y = (float *)call->out[0]->data + r * s->n + part.first;
    if (call->in[1])
        pi_softmax()->softmax_mask_f32(rows, n, row, 1, x, (const float *)call->in[1]->data + mask_at(s, r) * s->n + part.first,
                                       (size_t)(s->mask_row * s->n), y);
    else
        for (size_t i = 0, each = n == row ? rows : 1; i < rows; i += each)
            pi_softmax()->softmax_f32(each, n, x + i * row, y + i * row);
    for (; r < end; r++, y += s->n) {
        if (n < row) clear_others(s, call->out[0], r, part);
        if (s->nan_to_zero && y[0] != y[0]) memset(y, 0, n * sizeof *y); /* the kernel makes a row NaN as a whole */
    }
}

/* Rows [r, end) of one group, as long as they are skipped or not like the first; where they end. */
static int64_t stretch(const fused *s, const pi_call *call, int64_t r, int64_t end)
{
    bool skip = skipped(s, call, r);
    while (++r < end && skipped(s, call, r) == skip) {}
    return r;
}

/* A group at a time, as far as it lies in [begin, end). */
static void fast_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const fused *s = call->state;
    float *y = call->out[0]->data;
    for (int64_t r = begin, group, next; r < end; r = group) {
        const pi_live_range part = columns(s, call, r);
        for (group = pi_min_i64(end, (r / s->group + 1) * s->group); r < group; r = next) {
            next = live_at(s, call, r) ? stretch(s, call, r, group) : group;
            if (skipped(s, call, r) || part.end == 0)
                memset(y + r * s->n, 0, (size_t)((next - r) * s->n) * sizeof *y);
            else
                fast_part(s, call, r, next, part);
        }
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const fused *s = call->state;
    pi_call copy = *call;
    if (s->n) pi_parallel(call->run->threads, s->rows, 1 + 8192 / s->n, fast_rows, &copy);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl fused_impls[] = {{"simd", fast_refuse, fused_prepare, fast_run, 1},
                                      {"ref", NULL, fused_prepare, ref_run, 1},
                                      {0}};
static const pi_attr_def fused_attrs[] = {{"nan_to_zero", PI_ATTR_INT, false, 0, 0, NULL}, {"keys", PI_ATTR_INT, false, 0, 0, NULL},
                                          {0}};
static const pi_op rows[] = {
    {.domain = "pyinfer", .name = "Softmax", .since = 1, .signature = "X:T mask?:T live?:bool -> Y:T", .T = PI_FLOATS,
     .attrs = fused_attrs, .infer = fused_infer, .impls = fused_impls},
};
const pi_op_family pi_ops_softmax_fused = {rows, PI_COUNT(rows)};
