/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM, GRU, RNN on f32: the input's part of all steps is one product through oneDNN, then each step has one product of
 * the whole batch's state with R (GRU without linear_before_reset: two), and its gates in vectors. Both directions go
 * side by side where a step is too little work for all threads. */
#include <math.h>
#include <string.h>
#include "base/size.h"
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "onednn/onednn.h"
#include "ops/move.h"
#include "ops/ops.h"
#include "ops/rnn.h"

enum { ALIGN = 64, GATES_EACH = 4096, MUCH_WORK = 4000000 };

/* Places in the scratch of a direction. */
enum {
    GX,   /* [steps * batch, gates * hidden]: the input's part */
    GR,   /* [batch, gates * hidden]: the state's part */
    H,    /* [batch, hidden] */
    C,    /* [batch, hidden] */
    TEMP, /* [batch, hidden]: GRU reset * h, LSTM tanh(c) */
    BIAS, /* [gates * hidden]: what is added to GX */
    LATE, /* [hidden]: of GRU's third gate, added to the state's part before the reset */
    WORK, /* oneDNN's */
    PLACES
};

typedef struct {
    pi_dnnl *object;
    const void *packed[2]; /* of each direction; NULL: plain */
} product;

typedef struct {
    pi_rnn s;
    product input, state, candidate; /* the last for GRU without linear_before_reset */
    bool has_bias, side_by_side;
    size_t at[PLACES], each, input_work;
} fast_state;

/* ---- refuse and prepare ---- */

static bool usual(const pi_rnn *s)
{
    for (int i = 0; i < s->n_functions * s->directions; i++) {
        pi_rnn_function kind = s->f[i].kind;
        if (s->kind == 'R' && kind == PI_RNN_RELU) continue;
        if (kind != (s->kind != 'R' && i % s->n_functions == 0 ? PI_RNN_SIGMOID : PI_RNN_TANH)) return false;
    }
    return true;
}

const char *pi_rnn_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    const char *why;
    pi_rnn s;
    (void)out;
    if (!pi_dnnl_available(&why)) return why;
    if (in[PI_RNN_X]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_rnn_init(&s, node, in, NULL) != PI_E_OK) return "attributes";
    if (!usual(&s)) return "the activations";
    if (!isinf(s.clip)) return "clip";
    if (!s.steps || !s.batch || !s.input || !s.hidden) return "no elements";
    return NULL;
}

typedef struct {
    const pi_dnnl *object;
    int64_t at; /* first element of the matrix in the source */
} pack_arg;

static pi_status pack(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const pack_arg *a = arg;
    return pi_dnnl_pack(a->object, (const float *)source->data + a->at, out, err);
}

/* [m, k] x the transpose of rows [first, first + n) of each direction of in[i]. */
static pi_status product_new(pi_prep *prep, const pi_rnn *s, product *p, uint32_t i, int64_t m, int64_t first,
                             int64_t n, bool bias, int64_t c_row, int threads, pi_error *err)
{
    int64_t k = prep->in[i]->dim[2], rows = s->gates * s->hidden;
    pi_dnnl_matmul d = {.m = m,
                        .n = n,
                        .k = k,
                        .a_type = PI_DTYPE_F32,
                        .b_type = PI_DTYPE_F32,
                        .c_type = PI_DTYPE_F32,
                        .a = {.row = k, .col = 1},
                        .b = {.row = 1, .col = k},
                        .c = {.row = c_row, .col = 1},
                        .b_const = true,
                        .bias = bias,
                        .alpha = 1};
    PI_TRY(pi_dnnl_matmul_new(&p->object, &d, threads, err));
    PI_TRY(pi_prep_own(prep, pi_dnnl_free, p->object, err));
    pi_dnnl_weights_info info;
    pi_dnnl_weights(p->object, &info);
    if (info.as_is) return PI_E_OK;
    size_t key_size;
    struct {
        char name[8];
        int64_t at;
    } head = {.name = "rnn"};
    if (!pi_add(sizeof head, info.key_bytes, &key_size)) return pi_fail(err, PI_E_LIMIT, "the weights are too large");
    unsigned char *key = pi_prep_alloc(prep, key_size, err);
    if (!key) return pi_alloc_status(err);
    for (int dir = 0; dir < s->directions; dir++) {
        head.at = (dir * rows + first) * k;
        memcpy(key, &head, sizeof head);
        memcpy(key + sizeof head, info.key, info.key_bytes);
        pack_arg arg = {p->object, head.at};
        PI_TRY(pi_prep_pack(prep, i, key, key_size, info.bytes, pack, &arg, &p->packed[dir], err));
    }
    return PI_E_OK;
}

static bool place(size_t rows, size_t bytes, size_t *used, size_t *at)
{
    size_t n;
    *at = *used;
    return pi_mul(rows, bytes, &n) && pi_add(n, ALIGN - 1, &n) && pi_add(*used, n / ALIGN * ALIGN, used);
}

static pi_status scratch_init(pi_prep *prep, fast_state *f, pi_error *err)
{
    const pi_rnn *s = &f->s;
    size_t batch = (size_t)s->batch, state, gates, rows, all, work = pi_dnnl_scratch(f->state.object);
    if (f->candidate.object && work < pi_dnnl_scratch(f->candidate.object)) work = pi_dnnl_scratch(f->candidate.object);
    f->input_work = 0;
    if (!pi_mul((size_t)s->hidden, sizeof(float), &state) || !pi_mul(state, (size_t)s->gates, &gates) ||
        !pi_mul(batch, (size_t)s->steps, &rows) || !place(rows, gates, &f->each, &f->at[GX]) ||
        !place(batch, gates, &f->each, &f->at[GR]) || !place(batch, state, &f->each, &f->at[H]) ||
        !place(batch, state, &f->each, &f->at[C]) || !place(batch, state, &f->each, &f->at[TEMP]) ||
        !place(1, gates, &f->each, &f->at[BIAS]) || !place(1, state, &f->each, &f->at[LATE]) ||
        !place(1, work, &f->each, &f->at[WORK]) || !pi_mul(f->each, (size_t)s->directions, &all) ||
        !pi_add(all, pi_dnnl_scratch(f->input.object), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the state is too large");
    f->input_work = all;
    return PI_E_OK;
}

pi_status pi_rnn_fast_prepare(pi_prep *prep, pi_error *err)
{
    fast_state *f = prep->state = pi_prep_alloc(prep, sizeof *f, err);
    if (!f) return pi_alloc_status(err);
    pi_rnn *s = &f->s;
    PI_TRY(pi_rnn_init(s, prep->node, prep->in, err));
    if (!pi_prep_is_const(prep, PI_RNN_W) || !pi_prep_is_const(prep, PI_RNN_R))
        return pi_fail(err, PI_E_UNSUPPORTED, "W or R is not constant");
    int64_t rows = s->gates * s->hidden, all;
    if (!pi_mul_i64(s->steps, s->batch, &all)) return pi_fail(err, PI_E_LIMIT, "the input is too large");
    bool twice = s->kind == 'G' && !s->linear_before_reset;
    double weights = 2.0 * (double)rows, step = weights * (double)s->hidden * (double)s->batch;
    double input = weights * (double)s->input * (double)all;
    f->has_bias = pi_move_in(prep->node, prep->in, PI_RNN_B) != NULL;
    f->side_by_side = s->directions == 2 && (step < MUCH_WORK || prep->threads <= 2);
    int threads = f->side_by_side || step < MUCH_WORK ? 1 : prep->threads;
    PI_TRY(
        product_new(prep, s, &f->input, PI_RNN_W, all, 0, rows, f->has_bias, rows, pi_prep_threads(prep, input), err));
    PI_TRY(product_new(prep, s, &f->state, PI_RNN_R, s->batch, 0, twice ? 2 * s->hidden : rows, false, rows, threads,
                       err));
    if (twice)
        PI_TRY(product_new(prep, s, &f->candidate, PI_RNN_R, s->batch, 2 * s->hidden, s->hidden, false, rows, threads,
                           err));
    if (f->input.packed[0]) pi_prep_drop(prep, PI_RNN_W);
    if (f->state.packed[0] && (!twice || f->candidate.packed[0])) pi_prep_drop(prep, PI_RNN_R);
    prep->flops = input * s->directions + step * (double)s->steps * s->directions;
    return scratch_init(prep, f, err);
}

/* ---- run ---- */

/* One direction of a call at one step. */
typedef struct {
    const fast_state *f;
    const pi_call *call;
    int dir;
    int64_t step;
    bool reset; /* GRU: the pass before the second product */
} pass;

static float *at(const pass *p, int what)
{
    return (float *)((char *)p->call->scratch + (size_t)p->dir * p->f->each + p->f->at[what]);
}

static pi_status multiply(const pass *p, const product *q, uint32_t i, int64_t first, const float *src, float *dst,
                          void *work, pi_error *err)
{
    const pi_tensor *w = p->call->in[i];
    const pi_rnn *s = &p->f->s;
    pi_dnnl_args args = {.src = src, .weights = q->packed[p->dir], .dst = dst, .scratch = work};
    if (!args.weights) args.weights = (const float *)w->data + (p->dir * s->gates * s->hidden + first) * w->dim[2];
    if (i == PI_RNN_W && p->f->has_bias) args.bias = at(p, BIAS);
    return pi_dnnl_run(q->object, &args, err);
}

/* The biases of W and R go together, but for that of R which GRU's reset scales. */
static void bias_init(const pass *p)
{
    const pi_rnn *s = &p->f->s;
    int64_t rows = s->gates * s->hidden, both = s->linear_before_reset ? 2 * s->hidden : rows;
    float *bias = at(p, BIAS), *late = at(p, LATE);
    if (!p->f->has_bias) {
        memset(late, 0, (size_t)s->hidden * sizeof(float));
        return;
    }
    const float *b = (const float *)p->call->in[PI_RNN_B]->data + 2 * rows * p->dir;
    for (int64_t k = 0; k < rows; k++) bias[k] = b[k] + (k < both ? b[rows + k] : 0);
    for (int64_t k = both; k < rows; k++) late[k - both] = b[rows + k];
}

static int64_t state_at(const pi_rnn *s, int dir, int64_t b)
{
    return (s->batch_first ? b * s->directions + dir : dir * s->batch + b) * s->hidden;
}

static void state_init(const pass *p, int what, uint32_t i)
{
    const pi_rnn *s = &p->f->s;
    const pi_tensor *t = pi_move_in(p->call->node, p->call->in, i);
    size_t bytes = (size_t)s->hidden * sizeof(float);
    for (int64_t b = 0; b < s->batch; b++) {
        if (t)
            memcpy(at(p, what) + b * s->hidden, (const float *)t->data + state_at(s, p->dir, b), bytes);
        else
            memset(at(p, what) + b * s->hidden, 0, bytes);
    }
}

static void state_store(const pass *p, int what, uint32_t i)
{
    const pi_rnn *s = &p->f->s;
    if (!pi_move_wants(p->call, i)) return;
    for (int64_t b = 0; b < s->batch; b++)
        memcpy((float *)p->call->out[i]->data + state_at(s, p->dir, b), at(p, what) + b * s->hidden,
               (size_t)s->hidden * sizeof(float));
}

static void act(pi_act_kind kind, int64_t n, const float *x, float *y)
{
    pi_eltwise()->act_f32((pi_act){kind, 0, 0}, (size_t)n, x, y);
}

/* g: i o f c, without what the peepholes add. */
static void lstm_gates(const pass *p, float *g, float *h, float *c, float *temp)
{
    const pi_tensor *peepholes = pi_move_in(p->call->node, p->call->in, PI_RNN_PEEPHOLES);
    int64_t n = p->f->s.hidden;
    float *in = g, *out = g + n, *keep = g + 2 * n, *cell = g + 3 * n;
    const float *peep = peepholes ? (const float *)peepholes->data + 3 * n * p->dir : NULL;
    if (peep)
        for (int64_t k = 0; k < n; k++) {
            in[k] += peep[k] * c[k];
            keep[k] += peep[2 * n + k] * c[k];
        }
    act(PI_ACT_SIGMOID, n, in, in);
    act(PI_ACT_SIGMOID, n, keep, keep);
    act(PI_ACT_TANH, n, cell, cell);
    if (p->f->s.input_forget)
        for (int64_t k = 0; k < n; k++) keep[k] = 1 - in[k];
    for (int64_t k = 0; k < n; k++) c[k] = keep[k] * c[k] + in[k] * cell[k];
    if (peep)
        for (int64_t k = 0; k < n; k++) out[k] += peep[n + k] * c[k];
    act(PI_ACT_SIGMOID, n, out, out);
    act(PI_ACT_TANH, n, c, temp);
    for (int64_t k = 0; k < n; k++) h[k] = out[k] * temp[k];
}

/* x: the input's part of z r h, becomes the gates; g: the state's. */
static void gru_gates(const pass *p, float *x, const float *g, float *h, float *temp)
{
    int64_t n = p->f->s.hidden;
    const float *late = at(p, LATE);
    if (p->reset || p->f->s.linear_before_reset) {
        for (int64_t k = 0; k < 2 * n; k++) x[k] += g[k];
        act(PI_ACT_SIGMOID, 2 * n, x, x);
    }
    if (p->reset) {
        for (int64_t k = 0; k < n; k++) temp[k] = x[n + k] * h[k];
        return;
    }
    if (p->f->s.linear_before_reset)
        for (int64_t k = 0; k < n; k++) x[2 * n + k] += x[n + k] * (g[2 * n + k] + late[k]);
    else
        for (int64_t k = 0; k < n; k++) x[2 * n + k] += g[2 * n + k];
    act(PI_ACT_TANH, n, x + 2 * n, x + 2 * n);
    for (int64_t k = 0; k < n; k++) h[k] = (1 - x[k]) * x[2 * n + k] + x[k] * h[k];
}

static void rnn_gates(const pass *p, const float *g, float *h)
{
    const pi_rnn *s = &p->f->s;
    if (s->f[p->dir].kind == PI_RNN_TANH)
        act(PI_ACT_TANH, s->hidden, g, h);
    else
        for (int64_t k = 0; k < s->hidden; k++) h[k] = g[k] < 0 ? 0 : g[k];
}

/* Sequences [begin, end) of the batch. */
static void gates_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pass *p = arg;
    const pi_call *call = p->call;
    const pi_rnn *s = &p->f->s;
    const pi_tensor *lengths = pi_move_in(call->node, call->in, PI_RNN_LENGTHS);
    int64_t n = s->hidden, rows = s->gates * n;
    (void)thread;
    for (int64_t b = begin; b < end; b++) {
        int64_t length = lengths ? pi_max_i64(0, pi_min_i64(pi_tensor_int(lengths, b), s->steps)) : s->steps;
        int64_t t = p->step < length && (s->backward || p->dir) ? length - 1 - p->step : p->step;
        int64_t y = (s->batch_first ? (b * s->steps + t) * s->directions + p->dir
                                    : (t * s->directions + p->dir) * s->batch + b) *
                    n;
        float *x = at(p, GX) + (s->batch_first ? b * s->steps + t : t * s->batch + b) * rows;
        float *g = at(p, GR) + b * rows, *h = at(p, H) + b * n, *temp = at(p, TEMP) + b * n;
        bool alive = p->step < length, stores = !p->reset && pi_move_wants(call, 0);
        if (alive && s->kind == 'G') {
            gru_gates(p, x, g, h, temp);
        } else if (alive) {
            for (int64_t k = 0; k < rows; k++) x[k] += g[k];
            if (s->kind == 'L')
                lstm_gates(p, x, h, at(p, C) + b * n, temp);
            else
                rnn_gates(p, x, h);
        } else if (p->reset) {
            memset(temp, 0, (size_t)n * sizeof(float)); /* the second product reads it */
        }
        if (stores && alive) memcpy((float *)call->out[0]->data + y, h, (size_t)n * sizeof(float));
        if (stores && !alive) memset((float *)call->out[0]->data + y, 0, (size_t)n * sizeof(float));
    }
}

static pi_status direction(const pi_call *call, int dir, pi_error *err)
{
    const fast_state *f = call->state;
    const pi_rnn *s = &f->s;
    int64_t grain = GATES_EACH / (s->gates * s->hidden) + 1;
    pass p = {.f = f, .call = call, .dir = dir};
    state_init(&p, H, PI_RNN_INITIAL_H);
    if (s->kind == 'L') state_init(&p, C, PI_RNN_INITIAL_C);
    for (p.step = 0; p.step < s->steps && !pi_cancelled(call); p.step++) {
        PI_TRY(multiply(&p, &f->state, PI_RNN_R, 0, at(&p, H), at(&p, GR), at(&p, WORK), err));
        if (f->candidate.object) {
            p.reset = true;
            pi_parallel(call->run->threads, s->batch, grain, gates_chunk, &p);
            p.reset = false;
            PI_TRY(multiply(&p, &f->candidate, PI_RNN_R, 2 * s->hidden, at(&p, TEMP), at(&p, GR) + 2 * s->hidden,
                            at(&p, WORK), err));
        }
        pi_parallel(call->run->threads, s->batch, grain, gates_chunk, &p);
    }
    state_store(&p, H, 1);
    state_store(&p, C, 2);
    return PI_E_OK;
}

typedef struct {
    const pi_call *call;
    pi_status status[2];
} both;

static void direction_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    both *w = arg;
    (void)thread;
    for (int64_t dir = begin; dir < end; dir++) w->status[dir] = direction(w->call, (int)dir, NULL);
}

pi_status pi_rnn_fast_run(const pi_call *call, pi_error *err)
{
    const fast_state *f = call->state;
    for (int dir = 0; dir < f->s.directions; dir++) {
        pass p = {.f = f, .call = call, .dir = dir};
        bias_init(&p);
        PI_TRY(multiply(&p, &f->input, PI_RNN_W, 0, call->in[PI_RNN_X]->data, at(&p, GX),
                        (char *)call->scratch + f->input_work, err));
    }
    if (f->side_by_side) {
        both w = {call, {PI_E_OK, PI_E_OK}};
        pi_parallel(call->run->threads, 2, 1, direction_chunk, &w);
        for (int dir = 0; dir < 2; dir++)
            if (w.status[dir] != PI_E_OK) return pi_fail(err, w.status[dir], "oneDNN failed in direction %d", dir);
    } else {
        for (int dir = 0; dir < f->s.directions; dir++) PI_TRY(direction(call, dir, err));
    }
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
