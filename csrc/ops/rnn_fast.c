/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM, GRU, RNN on f32. Weights are packed in panels, each of all gates of a block of units. A member of a team owns
 * some blocks: it multiplies the inputs of all steps with its panels of W, if ops/fip_product.h has not done so; then,
 * step by step, the state with its panels of R, and does the gates of its units. Members wait for each other once a
 * step. Directions, and parts of a large batch, know nothing of each other: each has a team of its own. How an element
 * is computed depends on shapes only. */
#include <math.h>
#include <string.h>
#include "base/size.h"
#include "base/threads.h"
#include "kernels/recurrent/recurrent.h"
#include "ops/fip_product.h"
#include "ops/move.h"
#include "ops/rnn.h"

/* A member's share of a step is worth its wait from SHARE products on; sequences of a part: their numbers stay in L1; LEAST: inputs for
 * fewer multiplications. */
enum { ALIGN = 64, LANES = PI_RECURRENT_LANES, PART = 12, SHARE = 16384, LEAST = 64 };

/* Places in the scratch. A group is a direction and a part of the batch. */
enum {
    GX,     /* [rows of X, directions, a row]: the input's part of the gates, block by block */
    G,      /* [threads, part, a block]: the state's part */
    H,      /* [2, directions, batch, padded]: before and after a step, by turns */
    C,      /* [directions, batch, padded] */
    SCALED, /* the same: reset * h of a GRU with two products */
    BIAS,   /* [groups, a row] */
    LATE,   /* [groups, padded]: of GRU's third gate, added to the state's part before the reset */
    PEEP,   /* [groups, 3 * padded], block by block */
    MEET,   /* [groups] of meeting */
    XB,     /* of a quantised LSTM: [rows of X, 2 * pairs] of 16 bits, all steps of the same scale */
    HB,     /* [threads, part, 2 * pairs] of 16 bits: states before a step */
    SCALE,  /* [1 + threads * part]: that of X, those of the states */
    PLACES
};

typedef struct {
    pi_rnn s;
    const float *w, *r, *candidate; /* packed: of all gates; of those of the first product; of the second, NULL: none */
    pi_rnn_bytes w_bytes, r_bytes;  /* in their place, if s.quantized */
    int64_t units, blocks;          /* of a block; of a direction */
    int64_t padded, row;            /* units with those of the last block that are not there; their gates */
    int64_t part, parts;            /* sequences of a part at most; parts of the batch */
    bool fip;                       /* the inputs' product is `inputs` */
    pi_fip_plan inputs;
    int threads;
    size_t at[PLACES];
} fast_state;

/* Where the members of a group meet before each step, and what the first of them says there. */
typedef struct {
    pi_barrier barrier;
    bool stop[2]; /* of steps by turns: the run was cancelled */
} meeting;

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
    pi_rnn s;
    (void)out;
    if (in[PI_RNN_X]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_rnn_init(&s, node, in, NULL) != PI_E_OK) return "attributes";
    if (!usual(&s)) return "the activations";
    if (!isinf(s.clip)) return "clip";
    if (!s.steps || !s.batch || !s.input || !s.hidden) return "no elements";
    return NULL;
}

/* From s. */
static void blocks_init(fast_state *f)
{
    const pi_rnn *s = &f->s;
    f->units = s->kind == 'R' ? LANES * PI_RECURRENT_WIDEST : LANES;
    f->blocks = (s->hidden + f->units - 1) / f->units;
    f->padded = f->blocks * f->units;
    f->row = s->gates * f->padded;
    f->parts = (s->batch + PART - 1) / PART;
    f->part = (s->batch + f->parts - 1) / f->parts;
}

const char *pi_rnn_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    fast_state f;
    const char *why = pi_rnn_fast_refuse(node, in, out);
    if (why) return why;
    if (pi_rnn_init(&f.s, node, in, NULL) != PI_E_OK || f.s.quantized) return "only f32 weights";
    blocks_init(&f);
    if (f.s.input >= PI_FIP_TERMS && f.s.input < LEAST) return PI_SLOWER "few inputs: the time is that of writing the results";
    return pi_fip_refuse(f.s.steps * f.s.batch, f.s.directions * f.row, f.s.input, false);
}

/* The form of packed weights, and its name. */
typedef struct {
    char name[8];
    int64_t directions, hidden, gates, units, blocks, first, n; /* gates [first, first + n) are packed */
} form;

/* [directions, gates * hidden, k] becomes [directions, blocks, k, n gates of units]; units that are not there are 0. */
static pi_status pack(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const form *f = arg;
    int64_t k = source->dim[2], columns = f->n * f->units;
    (void)err;
    memset(out, 0, (size_t)(f->directions * f->blocks * k * columns) * sizeof(float));
    for (int64_t d = 0; d < f->directions; d++)
        for (int64_t g = 0; g < f->n; g++)
            for (int64_t u = 0; u < f->hidden; u++) {
                const float *row = (const float *)source->data + ((d * f->gates + f->first + g) * f->hidden + u) * k;
                float *to = (float *)out + (d * f->blocks + u / f->units) * k * columns + g * f->units + u % f->units;
                for (int64_t l = 0; l < k; l++) to[l * columns] = row[l];
            }
    return PI_E_OK;
}

static pi_status packed(pi_prep *prep, const fast_state *f, uint32_t i, int64_t first, int64_t n, const float **out,
                        pi_error *err)
{
    form key = {.name = "rnn",
                .directions = f->s.directions,
                .hidden = f->s.hidden,
                .gates = f->s.gates,
                .units = f->units,
                .blocks = f->blocks,
                .first = first,
                .n = n};
    size_t bytes;
    if (!pi_mul((size_t)prep->in[i]->dim[2], sizeof(float), &bytes) ||
        !pi_mul(bytes, (size_t)(n * f->padded), &bytes) || !pi_mul(bytes, (size_t)f->s.directions, &bytes))
        return pi_fail(err, PI_E_LIMIT, "the weights are too large");
    return pi_prep_pack(prep, i, &key, sizeof key, bytes, pack, &key, (const void **)out, err);
}

/* Of pack_inputs. */
typedef struct {
    char name[8];
    int64_t k, hidden, gates, units, row, n, nr;
} inputs_form;

/* [directions, gates * hidden, k] becomes panels of columns as those of GX, and what ops/fip_product.h needs. */
static pi_status pack_inputs(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const inputs_form *f = arg;
    int64_t panels = (f->n + f->nr - 1) / f->nr, block = f->gates * f->units;
    (void)err;
    memset(out, 0, (size_t)(panels * f->nr * f->k) * sizeof(float));
    for (int64_t c = 0; c < f->n; c++) {
        int64_t d = c / f->row, u = c % f->row / block * f->units + c % f->units, g = c % f->row % block / f->units;
        if (u >= f->hidden) continue;
        const float *row = (const float *)source->data + ((d * f->gates + g) * f->hidden + u) * f->k;
        float *to = (float *)out + c / f->nr * f->k * f->nr + c % f->nr;
        for (int64_t l = 0; l < f->k; l++) to[l * f->nr] = row[l];
    }
    for (int64_t panel = 0; panel < panels; panel++) pi_fip_fill(1, panels, f->k, f->nr, 0, panel, out);
    return PI_E_OK;
}

static pi_status inputs_init(pi_prep *prep, fast_state *f, pi_error *err)
{
    const pi_rnn *s = &f->s;
    pi_fip_plan *p = &f->inputs;
    *p = (pi_fip_plan){.m = s->steps * s->batch, .n = s->directions * f->row, .k = s->input, .low = -INFINITY, .high = INFINITY};
    PI_TRY(pi_fip_prepare(prep, p, err));
    inputs_form key = {"rnn_fip", p->k, s->hidden, s->gates, f->units, f->row, p->n, (int64_t)p->fip->nr};
    size_t bytes;
    if (!pi_mul((size_t)(p->panels * key.nr), (size_t)p->k, &bytes) ||
        !pi_add(bytes, pi_fip_tail(1, p->panels, p->k, key.nr), &bytes) || !pi_mul(bytes, sizeof(float), &bytes))
        return pi_fail(err, PI_E_LIMIT, "the weights are too large");
    PI_TRY(pi_prep_pack(prep, PI_RNN_W, &key, sizeof key, bytes, pack_inputs, &key, (const void **)&p->b, err));
    p->minus = pi_fip_minus(1, p->panels, p->k, key.nr, 0, p->b);
    return PI_E_OK;
}

static bool place(size_t number, size_t bytes, size_t *used, size_t *at)
{
    size_t n;
    *at = *used;
    return pi_mul(number, bytes, &n) && pi_add(n, ALIGN - 1, &n) && pi_add(*used, n / ALIGN * ALIGN, used);
}

static pi_status scratch_init(pi_prep *prep, fast_state *f, pi_error *err)
{
    const pi_rnn *s = &f->s;
    size_t d = (size_t)s->directions, padded = (size_t)f->padded * sizeof(float), row = padded * (size_t)s->gates;
    size_t groups, rows, states, *at = f->at, g = (size_t)(f->part * s->gates * f->units) * sizeof(float);
    size_t used = f->fip ? prep->scratch : 0;
    if (!pi_mul((size_t)s->steps, (size_t)s->batch, &rows) || !pi_mul(rows, d, &rows) ||
        !pi_mul((size_t)s->batch, d, &states) || !pi_mul((size_t)f->parts, d, &groups) ||
        !place(rows, row, &used, &at[GX]) || !place((size_t)prep->threads, g, &used, &at[G]) ||
        !place(2 * states, padded, &used, &at[H]) || !place(states, padded, &used, &at[C]) ||
        !place(f->candidate ? states : 0, padded, &used, &at[SCALED]) || !place(groups, row, &used, &at[BIAS]) ||
        !place(groups, padded, &used, &at[LATE]) || !place(groups, 3 * padded, &used, &at[PEEP]) ||
        !place(groups, sizeof(meeting), &used, &at[MEET]) ||
        !place(s->quantized ? rows / d : 0, (size_t)f->w_bytes.pairs * 4, &used, &at[XB]) ||
        !place(s->quantized ? (size_t)prep->threads : 0, (size_t)(f->part * f->r_bytes.pairs) * 4, &used, &at[HB]) ||
        !place(s->quantized ? (size_t)prep->threads + 1 : 0, (size_t)f->part * sizeof(float), &used, &at[SCALE]))
        return pi_fail(err, PI_E_LIMIT, "the state is too large");
    prep->scratch = used;
    return PI_E_OK;
}

static pi_status prepare(pi_prep *prep, bool fip, pi_error *err)
{
    fast_state *f = prep->state = pi_prep_alloc(prep, sizeof *f, err);
    if (!f) return pi_alloc_status(err);
    pi_rnn *s = &f->s;
    PI_TRY(pi_rnn_init(s, prep->node, prep->in, err));
    if (!s->quantized && (!pi_prep_is_const(prep, PI_RNN_W) || !pi_prep_is_const(prep, PI_RNN_R)))
        return pi_fail(err, PI_E_UNSUPPORTED, "W or R is not constant");
    bool twice = s->kind == 'G' && !s->linear_before_reset;
    blocks_init(f);
    f->fip = fip;
    if (s->quantized) {
        PI_TRY(pi_rnn_bytes_init(prep, s, PI_RNN_W, f->blocks, &f->w_bytes, err));
        PI_TRY(pi_rnn_bytes_init(prep, s, PI_RNN_R, f->blocks, &f->r_bytes, err));
    } else {
        PI_TRY(fip ? inputs_init(prep, f, err) : packed(prep, f, PI_RNN_W, 0, s->gates, &f->w, err));
        PI_TRY(packed(prep, f, PI_RNN_R, 0, twice ? 2 : s->gates, &f->r, err));
        if (twice) PI_TRY(packed(prep, f, PI_RNN_R, 2, 1, &f->candidate, err));
        pi_prep_drop(prep, PI_RNN_W);
        pi_prep_drop(prep, PI_RNN_R);
    }
    f->threads = pi_prep_threads(prep, 2.0 * (double)s->steps * (double)s->batch * (double)s->directions *
                                           (double)(s->gates * s->hidden) * (double)(s->input + s->hidden));
    return scratch_init(prep, f, err);
}

pi_status pi_rnn_fast_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, false, err); }

pi_status pi_rnn_fip_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, true, err); }

/* ---- run ---- */

/* The share of a member: blocks [first, last) of sequences [b, b + n) in one direction. */
typedef struct {
    const fast_state *f;
    const pi_call *call;
    const float *peepholes; /* of the direction; NULL: none */
    int64_t group, dir, b, n, first, last, step;
    float *g, *scale; /* SCALE */
    int16_t *h;       /* HB */
} share;

static float *at(const share *p, int what) { return (float *)((char *)p->call->scratch + p->f->at[what]); }

/* Of the group: of BIAS, LATE or PEEP, with `each` numbers. */
static float *ours(const share *p, int what, int64_t each) { return at(p, what) + p->group * each; }

static float *state(const share *p, int what, int64_t b)
{
    return at(p, what) + (p->dir * p->f->s.batch + b) * p->f->padded;
}

/* h after `step` steps */
static float *hidden(const share *p, int64_t step, int64_t b)
{
    return state(p, H, b) + (step & 1) * p->f->s.directions * p->f->s.batch * p->f->padded;
}

/* Units of a block that are there. */
static size_t there(const share *p, int64_t block)
{
    return (size_t)pi_min_i64(p->f->units, p->f->s.hidden - block * p->f->units);
}

static void copy(float *to, const float *from, size_t n)
{
    if (from)
        memcpy(to, from, n * sizeof(float));
    else
        memset(to, 0, n * sizeof(float));
}

/* Where the state of sequence b stands in initial_h, Y_h and the like. */
static int64_t outside(const share *p, int64_t b)
{
    const pi_rnn *s = &p->f->s;
    return (s->batch_first ? b * s->directions + p->dir : p->dir * s->batch + b) * s->hidden;
}

static const float *data_of(const share *p, uint32_t i)
{
    const pi_tensor *t = pi_move_in(p->call->node, p->call->in, i);
    return t ? t->data : NULL;
}

/* The biases of W and R go together, but for that of R which GRU's reset scales. */
static void bias_init(const share *p, int64_t block)
{
    const pi_rnn *s = &p->f->s;
    int64_t gates = s->gates, n = p->f->units, u0 = block * n;
    float *bias = ours(p, BIAS, p->f->row) + block * gates * n, *late = ours(p, LATE, p->f->padded) + u0;
    const float *b = data_of(p, PI_RNN_B);
    memset(bias, 0, (size_t)(gates * n) * sizeof(float));
    memset(late, 0, (size_t)n * sizeof(float));
    if (!b) return;
    b += 2 * gates * s->hidden * p->dir + u0;
    for (int64_t g = 0; g < gates; g++)
        for (int64_t u = 0; u < (int64_t)there(p, block); u++) {
            float of_w = b[g * s->hidden + u], of_r = b[(gates + g) * s->hidden + u];
            bool apart = g == 2 && s->linear_before_reset;
            bias[g * n + u] = apart ? of_w : of_w + of_r;
            if (apart) late[u] = of_r;
        }
}

static void block_init(const share *p, int64_t block)
{
    const pi_rnn *s = &p->f->s;
    const float *h = data_of(p, PI_RNN_INITIAL_H), *c = data_of(p, PI_RNN_INITIAL_C);
    int64_t u0 = block * p->f->units;
    size_t whole = (size_t)p->f->units, n = there(p, block);
    bias_init(p, block);
    for (int64_t b = p->b; b < p->b + p->n; b++) {
        copy(hidden(p, 0, b) + u0, NULL, whole);
        copy(hidden(p, 0, b) + u0, h ? h + outside(p, b) + u0 : NULL, n);
        copy(state(p, C, b) + u0, NULL, whole);
        copy(state(p, C, b) + u0, c ? c + outside(p, b) + u0 : NULL, n);
    }
    for (int64_t g = 0; p->peepholes && g < 3; g++) {
        float *peep = ours(p, PEEP, 3 * p->f->padded) + 3 * u0 + g * p->f->units;
        copy(peep, NULL, whole);
        copy(peep, p->peepholes + g * s->hidden + u0, n);
    }
}

/* The row of X of sequence b at time t. */
static int64_t row_of(const pi_rnn *s, int64_t b, int64_t t)
{
    return s->batch_first ? b * s->steps + t : t * s->batch + b;
}

static float *gx(const share *p, int64_t row, int64_t block)
{
    const fast_state *f = p->f;
    return at(p, GX) + (row * f->s.directions + p->dir) * f->row + block * f->s.gates * f->units;
}

static void input_block(const share *p, int64_t block)
{
    const fast_state *f = p->f;
    const pi_rnn *s = &f->s;
    const float *panel = f->w + (p->dir * f->blocks + block) * s->input * s->gates * f->units;
    int64_t to_row = s->directions * f->row;
    bool at_once = s->batch_first || f->parts == 1; /* the rows of all steps follow each other */
    for (int64_t t = 0; t < (at_once ? 1 : s->steps); t++) {
        int64_t row = row_of(s, p->b, t), rows = at_once ? p->n * s->steps : p->n;
        if (s->quantized) {
            pi_rnn_bytes_product(&f->w_bytes, p->dir * f->blocks + block,
                                 (const int16_t *)at(p, XB) + row * 2 * f->w_bytes.pairs, rows, at(p, SCALE), 0,
                                 ours(p, BIAS, f->row) + block * s->gates * f->units, gx(p, row, block), to_row);
            continue;
        }
        pi_recurrent()->product_f32((size_t)rows, (size_t)s->input,
                                    (size_t)(s->gates * f->units / LANES), data_of(p, PI_RNN_X) + row * s->input,
                                    (size_t)s->input, panel, ours(p, BIAS, f->row) + block * s->gates * f->units,
                                    gx(p, row, block), (size_t)to_row);
    }
}

static int64_t length_of(const share *p, int64_t b)
{
    const pi_tensor *lengths = pi_move_in(p->call->node, p->call->in, PI_RNN_LENGTHS);
    int64_t steps = p->f->s.steps;
    return lengths ? pi_max_i64(0, pi_min_i64(pi_tensor_int(lengths, b), steps)) : steps;
}

static int64_t time_of(const share *p, int64_t length)
{
    return p->step < length && (p->f->s.backward || p->dir) ? length - 1 - p->step : p->step;
}

/* The states of the share's sequences as bytes, before its blocks meet them. */
static void round_states(const share *p)
{
    const pi_rnn *s = &p->f->s;
    for (int64_t i = 0; i < p->n; i++) {
        const float *h = hidden(p, p->step, p->b + i);
        float zero;
        pi_rnn_bytes_range(h, s->hidden, &p->scale[i], &zero);
        pi_rnn_bytes_row(h, s->hidden, p->scale[i], zero, p->h + i * 2 * p->f->r_bytes.pairs);
    }
}

/* g = x times the block's panel of R, of `gates` gates. */
static void multiply(const share *p, int64_t block, const float *r, int64_t gates, const float *x)
{
    int64_t columns = gates * p->f->units;
    pi_recurrent()->product_f32((size_t)p->n, (size_t)p->f->s.hidden, (size_t)(columns / LANES), x,
                                (size_t)p->f->padded, r + (p->dir * p->f->blocks + block) * p->f->s.hidden * columns,
                                NULL, p->g, (size_t)columns);
}

/* GRU, first product of two: z, and reset * h. */
static void reset_block(const share *p, int64_t block)
{
    int64_t u0 = block * p->f->units;
    multiply(p, block, p->f->r, 2, hidden(p, p->step, p->b));
    for (int64_t b = p->b; b < p->b + p->n; b++) {
        int64_t row = row_of(&p->f->s, b, time_of(p, length_of(p, b)));
        if (p->step >= length_of(p, b))
            copy(state(p, SCALED, b) + u0, NULL, (size_t)p->f->units); /* the second product reads it */
        else
            pi_recurrent()->gru_reset_f32((size_t)p->f->units, gx(p, row, block), p->g + (b - p->b) * 2 * p->f->units,
                                          hidden(p, p->step, b) + u0, state(p, SCALED, b) + u0);
    }
}

static void gates_of(const share *p, int64_t block, int64_t b, const float *x, float *h)
{
    const fast_state *f = p->f;
    const pi_rnn *s = &f->s;
    const pi_recurrent_kernels *k = pi_recurrent();
    int64_t u0 = block * f->units, gates = f->candidate ? 1 : s->gates;
    size_t units = (size_t)f->units;
    const float *g = p->g + (b - p->b) * gates * f->units, *old = hidden(p, p->step, b) + u0;
    const float *peep = p->peepholes ? ours(p, PEEP, 3 * f->padded) + 3 * u0 : NULL;
    if (s->kind == 'L')
        k->lstm_f32(units, s->input_forget, x, g, peep, state(p, C, b) + u0, h);
    else if (s->kind == 'R')
        k->rnn_f32(units, s->f[p->dir].kind == PI_RNN_RELU, x, g, h);
    else if (f->candidate)
        k->gru_candidate_f32(units, x, g, old, h);
    else
        k->gru_f32(units, x, g, ours(p, LATE, f->padded) + u0, old, h);
}

static void step_block(const share *p, int64_t block)
{
    const fast_state *f = p->f;
    const pi_rnn *s = &f->s;
    int64_t u0 = block * f->units;
    if (f->candidate)
        multiply(p, block, f->candidate, 1, state(p, SCALED, p->b));
    else if (s->quantized)
        pi_rnn_bytes_product(&f->r_bytes, p->dir * f->blocks + block, p->h, p->n, p->scale, 1, NULL, p->g,
                             s->gates * f->units);
    else
        multiply(p, block, f->r, s->gates, hidden(p, p->step, p->b));
    for (int64_t b = p->b; b < p->b + p->n; b++) {
        int64_t length = length_of(p, b), t = time_of(p, length), d = s->directions;
        float *h = hidden(p, p->step + 1, b) + u0;
        if (p->step < length)
            gates_of(p, block, b, gx(p, row_of(s, b, t), block), h);
        else
            copy(h, hidden(p, p->step, b) + u0, (size_t)f->units);
        if (!pi_move_wants(p->call, 0)) continue;
        int64_t y = s->batch_first ? (b * s->steps + t) * d + p->dir : (t * d + p->dir) * s->batch + b;
        copy((float *)p->call->out[0]->data + y * s->hidden + u0, p->step < length ? h : NULL, there(p, block));
    }
}

static void store_last(const share *p, int64_t block)
{
    int64_t u0 = block * p->f->units;
    for (int64_t b = p->b; b < p->b + p->n; b++)
        for (uint32_t i = 1; i < 3; i++)
            if (pi_move_wants(p->call, i))
                copy((float *)p->call->out[i]->data + outside(p, b) + u0,
                     (i == 1 ? hidden(p, p->f->s.steps, b) : state(p, C, b)) + u0, there(p, block));
}

/* What `member` does for a group. */
static void group_share(const pi_call *call, int64_t group, int member, int members, int thread)
{
    const fast_state *f = call->state;
    int64_t worth = f->s.hidden * f->s.gates * f->s.hidden * f->part / SHARE + 1;
    if (members > pi_min_i64(worth, f->blocks)) members = (int)pi_min_i64(worth, f->blocks);
    if (member >= members) return;
    meeting *m = (meeting *)((char *)call->scratch + f->at[MEET]) + group;
    share p = {.f = f, .call = call, .group = group, .dir = group / f->parts, .b = group % f->parts * f->part};
    p.n = pi_min_i64(f->part, f->s.batch - p.b);
    p.first = f->blocks * member / members, p.last = f->blocks * (member + 1) / members;
    p.g = (float *)((char *)call->scratch + f->at[G]) + thread * f->part * f->s.gates * f->units;
    p.scale = (float *)((char *)call->scratch + f->at[SCALE]) + 1 + thread * f->part;
    p.h = (int16_t *)((char *)call->scratch + f->at[HB]) + thread * f->part * 2 * f->r_bytes.pairs;
    p.peepholes = data_of(&p, PI_RNN_PEEPHOLES);
    if (p.peepholes) p.peepholes += 3 * f->s.hidden * p.dir;
    for (int64_t i = p.first; i < p.last; i++) {
        block_init(&p, i);
        if (!f->fip) input_block(&p, i);
    }
    for (; p.step < f->s.steps; p.step++) {
        if (member == 0) m->stop[p.step & 1] = pi_cancelled(call);
        pi_barrier_wait(&m->barrier, members);
        if (m->stop[p.step & 1]) return;
        if (f->s.quantized) round_states(&p);
        for (int64_t i = p.first; f->candidate && i < p.last; i++) reset_block(&p, i);
        if (f->candidate) pi_barrier_wait(&m->barrier, members);
        for (int64_t i = p.first; i < p.last; i++) /* back and forth: what was used last may still be in the cache */
            step_block(&p, p.step & 1 ? p.first + p.last - 1 - i : i);
    }
    for (int64_t i = p.first; i < p.last; i++) store_last(&p, i);
}

static void groups_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    for (int64_t i = begin; i < end; i++) group_share(arg, i, 0, 1, thread);
}

static void team_member(void *arg, int member, int members)
{
    const pi_call *call = arg;
    const fast_state *f = call->state;
    int groups = (int)(f->s.directions * f->parts),
        each = members / groups; /* fewer may have come than were asked for */
    if (each <= 1)
        for (int i = member; i < groups; i += members) group_share(call, i, 0, 1, member);
    else if (member < each * groups)
        group_share(call, member / each, member % each, each, member);
}

/* X as bytes. */
static void round_input(const pi_call *call)
{
    const fast_state *f = call->state;
    const float *x = call->in[PI_RNN_X]->data;
    float *scale = (float *)((char *)call->scratch + f->at[SCALE]), zero;
    int16_t *to = (int16_t *)((char *)call->scratch + f->at[XB]);
    int64_t rows = f->s.steps * f->s.batch, k = f->s.input;
    pi_rnn_bytes_range(x, rows * k, scale, &zero);
    for (int64_t i = 0; i < rows; i++) pi_rnn_bytes_row(x + i * k, k, *scale, zero, to + i * 2 * f->w_bytes.pairs);
}

static pi_status all_inputs(const pi_call *call, pi_error *err)
{
    const fast_state *f = call->state;
    for (int64_t d = 0; d < f->s.directions; d++) /* the biases of all directions behind each other, before groups have theirs */
        for (int64_t block = 0; block < f->blocks; block++) bias_init(&(share){.f = f, .call = call, .group = d, .dir = d}, block);
    const pi_fip_data data = {.a = call->in[PI_RNN_X]->data, .bias = (float *)((char *)call->scratch + f->at[BIAS]),
                              .y = (float *)((char *)call->scratch + f->at[GX]), .a_row = f->s.input, .y_row = f->inputs.n};
    return pi_fip_run(&f->inputs, call, &data, err);
}

pi_status pi_rnn_fast_run(const pi_call *call, pi_error *err)
{
    const fast_state *f = call->state;
    if (f->s.quantized) round_input(call);
    if (f->fip) PI_TRY(all_inputs(call, err));
    int64_t groups = f->s.directions * f->parts;
    pi_call copy = *call;
    if (groups >= f->threads) {
        pi_parallel(f->threads, groups, 1, groups_chunk, &copy);
    } else {
        memset((char *)call->scratch + f->at[MEET], 0, (size_t)groups * sizeof(meeting));
        pi_parallel_team(f->threads, team_member, &copy);
    }
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
