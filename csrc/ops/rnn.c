/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM, GRU, RNN: a piece of work is one sequence of the batch in one direction, from its first step to its last, in
 * double. Gates stand in W, R and B as ONNX orders them: i o f c; z r h; or one. DynamicQuantizeLSTM is ONNX Runtime's
 * LSTM with weights of bytes; its inputs and states are rounded to bytes before each product (rnn_bytes.c). */
#include <math.h>
#include <string.h>
#include <strings.h>
#include "base/threads.h"
#include "ops/element.h"
#include "ops/move.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "ops/rnn.h"

static const struct {
    const char *name;
    int n; /* parameters */
    double alpha, beta;
} functions[] = {
    [PI_RNN_AFFINE] = {"Affine", 2, 1, 0},
    [PI_RNN_RELU] = {"Relu", 0, 0, 0},
    [PI_RNN_LEAKY] = {"LeakyRelu", 1, 0.01, 0},
    [PI_RNN_THRESHOLD] = {"ThresholdedRelu", 1, 1, 0},
    [PI_RNN_TANH] = {"Tanh", 0, 0, 0},
    [PI_RNN_SCALED_TANH] = {"ScaledTanh", 2, 1, 1},
    [PI_RNN_SIGMOID] = {"Sigmoid", 0, 0, 0},
    [PI_RNN_HARD_SIGMOID] = {"HardSigmoid", 2, 0.2, 0.5},
    [PI_RNN_ELU] = {"Elu", 1, 1, 0},
    [PI_RNN_SOFTSIGN] = {"Softsign", 0, 0, 0},
    [PI_RNN_SOFTPLUS] = {"Softplus", 0, 0, 0},
};

static double apply(const pi_rnn_activation *a, double x)
{
    switch (a->kind) {
        case PI_RNN_AFFINE:
            return a->alpha * x + a->beta;
        case PI_RNN_RELU:
            return x < 0 ? 0 : x;
        case PI_RNN_LEAKY:
            return x < 0 ? a->alpha * x : x;
        case PI_RNN_THRESHOLD:
            return x > a->alpha ? x : 0;
        case PI_RNN_TANH:
            return tanh(x);
        case PI_RNN_SCALED_TANH:
            return a->alpha * tanh(a->beta * x);
        case PI_RNN_SIGMOID:
            return 1 / (1 + exp(-x));
        case PI_RNN_HARD_SIGMOID:
            return fmax(0, fmin(1, a->alpha * x + a->beta));
        case PI_RNN_ELU:
            return x < 0 ? a->alpha * expm1(x) : x;
        case PI_RNN_SOFTSIGN:
            return x / (1 + fabs(x));
        default:
            return x > 30 ? x : log1p(exp(x));
    }
}

/* ---- shapes and options ---- */

static pi_status functions_init(pi_rnn *s, const pi_node *node, pi_error *err)
{
    const pi_attr *names = pi_attr_find(node, "activations");
    uint32_t n_alpha, n_beta, at = 0, bt = 0, want = (uint32_t)(s->n_functions * s->directions);
    const float *alpha = pi_attr_floats(node, "activation_alpha", &n_alpha);
    const float *beta = pi_attr_floats(node, "activation_beta", &n_beta);
    if (names && names->n != want) return pi_fail(err, PI_E_MODEL, "%u activations, expected %u", names->n, want);
    for (uint32_t i = 0; i < want; i++) {
        int first = (int)i % s->n_functions == 0;
        size_t k = s->kind == 'R' || !first ? PI_RNN_TANH : PI_RNN_SIGMOID;
        if (names)
            for (k = 0; k < PI_COUNT(functions); k++)
                if (strcasecmp(functions[k].name, names->strings[i].bytes) == 0) break;
        if (k == PI_COUNT(functions))
            return pi_fail(err, PI_E_MODEL, "activation '%.40s' is not known", names->strings[i].bytes);
        s->f[i] = (pi_rnn_activation){(pi_rnn_function)k, functions[k].alpha, functions[k].beta};
        if (functions[k].n > 0 && at < n_alpha) s->f[i].alpha = (double)alpha[at++];
        if (functions[k].n > 1 && bt < n_beta) s->f[i].beta = (double)beta[bt++];
    }
    return PI_E_OK;
}

static pi_status expect(const pi_tensor *t, const char *name, int rank, const int64_t *dim, pi_error *err)
{
    char got[160], want[160];
    pi_tensor w = {.dtype = t ? t->dtype : PI_DTYPE_F32};
    pi_tensor_set_shape(&w, rank, dim);
    if (!t || pi_tensor_same_shape(t, &w)) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "%s is %s, expected %s", name, pi_tensor_text(t, got, sizeof got),
                   pi_tensor_text(&w, want, sizeof want));
}

/* Scale and zero point of W or R: one for each direction, or for each of its columns. */
static pi_status expect_grid(const pi_rnn *s, const pi_tensor *const *in, uint32_t which, pi_error *err)
{
    static const char *const names[] = {"W_scale", "W_zero_point", "R_scale", "R_zero_point"};
    uint32_t first = PI_RNN_GRID + 2 * (which - PI_RNN_W);
    int64_t want[2] = {s->directions, s->gates * s->hidden};
    for (uint32_t i = first; i < first + 2; i++)
        PI_TRY(expect(in[i], names[i - PI_RNN_GRID], in[first]->rank == 1 ? 1 : 2, want, err));
    return PI_E_OK;
}

pi_status pi_rnn_init(pi_rnn *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    char tx[160], tr[160];
    const char *direction = pi_attr_string(node, "direction");
    const pi_attr *clip = pi_attr_find(node, "clip"), *hidden = pi_attr_find(node, "hidden_size");
    memset(s, 0, sizeof *s);
    s->quantized = node->op->domain != NULL;
    s->kind = s->quantized ? 'L' : node->op->name[0];
    s->gates = s->kind == 'L' ? 4 : s->kind == 'G' ? 3 : 1;
    s->n_functions = s->kind == 'L' ? 3 : s->kind == 'G' ? 2 : 1;
    s->backward = strcmp(direction, "reverse") == 0;
    s->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    if (s->directions == 1 && !s->backward && strcmp(direction, "forward") != 0)
        return pi_fail(err, PI_E_MODEL, "direction '%.40s' is not one of forward, reverse, bidirectional", direction);
    s->batch_first = node->op->since >= 14 && pi_attr_int(node, "layout") != 0;
    s->clip = clip ? (double)clip->f : INFINITY;
    s->input_forget = s->kind == 'L' && pi_attr_int(node, "input_forget") != 0;
    s->linear_before_reset = s->kind == 'G' && node->op->since >= 3 && pi_attr_int(node, "linear_before_reset") != 0;
    int states = s->quantized ? 1 : 2; /* axis of R */
    if (in[PI_RNN_X]->rank != 3 || in[PI_RNN_R]->rank != 3 || (hidden && hidden->i != in[PI_RNN_R]->dim[states]))
        return pi_fail(err, PI_E_MODEL, "X is %s and R is %s, expected [steps, batch, input] and [directions, %s]",
                       pi_tensor_text(in[PI_RNN_X], tx, sizeof tx), pi_tensor_text(in[PI_RNN_R], tr, sizeof tr),
                       s->quantized ? "hidden_size, gates" : "gates, hidden_size");
    s->steps = in[PI_RNN_X]->dim[s->batch_first];
    s->batch = in[PI_RNN_X]->dim[!s->batch_first];
    s->input = in[PI_RNN_X]->dim[2];
    s->hidden = in[PI_RNN_R]->dim[states];
    if (s->hidden > INT32_MAX || s->input > INT32_MAX) return pi_fail(err, PI_E_LIMIT, "the state is too large");
    int64_t d = s->directions, g = s->gates * s->hidden;
    int64_t state[3] = {s->batch_first ? s->batch : d, s->batch_first ? d : s->batch, s->hidden};
    for (uint32_t i = PI_RNN_W; i <= PI_RNN_R; i++) {
        int64_t k = i == PI_RNN_W ? s->input : s->hidden;
        PI_TRY(expect(in[i], i == PI_RNN_W ? "W" : "R", 3, s->quantized ? (int64_t[]){d, k, g} : (int64_t[]){d, g, k}, err));
        if (s->quantized) PI_TRY(expect_grid(s, in, i, err));
    }
    PI_TRY(expect(pi_move_in(node, in, PI_RNN_B), "B", 2, (int64_t[]){d, 2 * g}, err));
    PI_TRY(expect(pi_move_in(node, in, PI_RNN_LENGTHS), "sequence_lens", 1, &s->batch, err));
    PI_TRY(expect(pi_move_in(node, in, PI_RNN_INITIAL_H), "initial_h", 3, state, err));
    PI_TRY(expect(pi_move_in(node, in, PI_RNN_INITIAL_C), "initial_c", 3, state, err));
    PI_TRY(expect(pi_move_in(node, in, PI_RNN_PEEPHOLES), "P", 2, (int64_t[]){d, 3 * s->hidden}, err));
    return functions_init(s, node, err);
}

static pi_status rnn_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_rnn s;
    PI_TRY(pi_rnn_init(&s, node, in, err));
    int64_t d = s.directions;
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (i == 0 && s.batch_first)
            PI_TRY(pi_move_shape(&out[i], 4, (int64_t[]){s.batch, s.steps, d, s.hidden}, err));
        else if (i == 0)
            PI_TRY(pi_move_shape(&out[i], 4, (int64_t[]){s.steps, d, s.batch, s.hidden}, err));
        else if (s.batch_first)
            PI_TRY(pi_move_shape(&out[i], 3, (int64_t[]){s.batch, d, s.hidden}, err));
        else
            PI_TRY(pi_move_shape(&out[i], 3, (int64_t[]){d, s.batch, s.hidden}, err));
    }
    return PI_E_OK;
}

static pi_status rnn_prepare(pi_prep *prep, pi_error *err)
{
    pi_rnn *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_rnn_init(s, prep->node, prep->in, err));
    if (!pi_mul((size_t)(s->input + 8 * s->hidden), (size_t)s->directions * sizeof(double), &prep->scratch) ||
        !pi_mul(prep->scratch, (size_t)s->batch, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the state is too large");
    prep->flops = 2.0 * (double)(s->steps * s->batch) * (double)(s->directions * s->gates * s->hidden) *
                  (double)(s->input + s->hidden);
    return PI_E_OK;
}

/* ---- one sequence ---- */

/* Several sums, so that they can be had in parallel. */
static double dot(const pi_tensor *w, int64_t at, const double *x, int64_t n)
{
    double sum[8] = {0}, total = 0;
    int64_t i = 0;
    if (w->dtype == PI_DTYPE_F32) {
        const float *row = (const float *)w->data + at;
        for (; i + 8 <= n; i += 8)
            for (int k = 0; k < 8; k++) sum[k] += (double)row[i + k] * x[i + k];
    }
    for (; i < n; i++) total += pi_element_get(w->dtype, w->data, at + i) * x[i];
    for (int k = 0; k < 8; k++) total += sum[k];
    return total;
}

/* Row `row` of W or R of direction d times x. */
static double weighted(const pi_rnn *s, const pi_call *call, uint32_t which, int64_t d, int64_t row, const double *x, int64_t n)
{
    const pi_tensor *w = call->in[which];
    int64_t rows = s->gates * s->hidden;
    if (!s->quantized) return dot(w, (d * rows + row) * n, x, n);
    float scale;
    int32_t zero;
    double sum = 0;
    pi_rnn_grid(s, call->in, which, d, row, &scale, &zero);
    for (int64_t l = 0; l < n; l++) sum += (pi_element_get(w->dtype, w->data, (d * n + l) * rows + row) - (double)zero) * x[l];
    return sum * (double)scale;
}

/* x in whole steps of this scale. */
static void round_to(double *x, int64_t n, float scale, float zero)
{
    for (int64_t i = 0; i < n; i++) {
        double step = nearbyint((double)((float)x[i] / scale)) + (double)zero;
        x[i] = (fmin(fmax(step, 0), 255) - (double)zero) * (double)scale;
    }
}

static double bias(const pi_rnn *s, const pi_call *call, int d, bool recurrent, int64_t g)
{
    const pi_tensor *b = pi_move_in(call->node, call->in, PI_RNN_B);
    int64_t n = s->gates * s->hidden;
    return b ? pi_element_get(b->dtype, b->data, (2 * d + recurrent) * n + g) : 0;
}

static double recurrent(const pi_rnn *s, const pi_call *call, int d, int64_t g, const double *h)
{
    return weighted(s, call, PI_RNN_R, d, g, h, s->hidden);
}

static double limit(const pi_rnn *s, double x) { return x > s->clip ? s->clip : x < -s->clip ? -s->clip : x; }

/* The state as bytes would give it. */
static void round_state(double *to, const double *h, int64_t n)
{
    float low = 0, high = 0, scale, zero;
    for (int64_t i = 0; i < n; i++) low = fminf(low, (float)h[i]), high = fmaxf(high, (float)h[i]);
    pi_quant_dynamic(low, high, &scale, &zero);
    memcpy(to, h, (size_t)n * sizeof *to);
    round_to(to, n, scale, zero);
}

/* g: the input's part of the gates with its bias. h and c are replaced. */
static void lstm_step(const pi_rnn *s, const pi_call *call, int d, double *g, double *h, double *c, double *rounded)
{
    const pi_tensor *p = pi_move_in(call->node, call->in, PI_RNN_PEEPHOLES);
    const pi_rnn_activation *f = s->f + d * s->n_functions;
    int64_t n = s->hidden;
    if (s->quantized) round_state(rounded, h, n);
    for (int64_t k = 0; k < 4 * n; k++)
        g[k] += recurrent(s, call, d, k, s->quantized ? rounded : h) + bias(s, call, d, true, k);
    for (int64_t k = 0; k < n; k++) {
        double peep[3] = {0};
        for (int j = 0; p && j < 3; j++) peep[j] = pi_element_get(p->dtype, p->data, (3 * d + j) * n + k);
        double in = apply(&f[0], limit(s, g[k] + peep[0] * c[k]));
        double keep = s->input_forget ? 1 - in : apply(&f[0], limit(s, g[2 * n + k] + peep[2] * c[k]));
        c[k] = keep * c[k] + in * apply(&f[1], limit(s, g[3 * n + k]));
        h[k] = apply(&f[0], limit(s, g[n + k] + peep[1] * c[k])) * apply(&f[2], c[k]);
    }
}

static void gru_step(const pi_rnn *s, const pi_call *call, int d, double *g, double *h, double *reset)
{
    const pi_rnn_activation *f = s->f + d * s->n_functions;
    int64_t n = s->hidden;
    for (int64_t k = 0; k < 2 * n; k++)
        g[k] = apply(&f[0], limit(s, g[k] + recurrent(s, call, d, k, h) + bias(s, call, d, true, k)));
    for (int64_t k = 0; k < n; k++) reset[k] = g[n + k] * h[k];
    for (int64_t k = 2 * n; k < 3 * n; k++) {
        double b = bias(s, call, d, true, k);
        g[k] +=
            s->linear_before_reset ? g[k - n] * (recurrent(s, call, d, k, h) + b) : recurrent(s, call, d, k, reset) + b;
        g[k] = apply(&f[1], limit(s, g[k]));
    }
    for (int64_t k = 0; k < n; k++) h[k] = (1 - g[k]) * g[2 * n + k] + g[k] * h[k];
}

static void rnn_step(const pi_rnn *s, const pi_call *call, int d, double *g, double *h)
{
    for (int64_t k = 0; k < s->hidden; k++) g[k] += recurrent(s, call, d, k, h) + bias(s, call, d, true, k);
    for (int64_t k = 0; k < s->hidden; k++) h[k] = apply(&s->f[d * s->n_functions], limit(s, g[k]));
}

static void store(const pi_tensor *t, int64_t at, const double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) pi_element_put(t->dtype, t->data, at + i, v ? v[i] : 0);
}

static void sequence(const pi_rnn *s, const pi_call *call, int d, int64_t b, double *x)
{
    const pi_tensor *in = call->in[PI_RNN_X], *lengths = pi_move_in(call->node, call->in, PI_RNN_LENGTHS);
    const pi_tensor *h0 = pi_move_in(call->node, call->in, PI_RNN_INITIAL_H),
                    *c0 = pi_move_in(call->node, call->in, PI_RNN_INITIAL_C);
    double *h = x + s->input, *c = h + s->hidden, *reset = c + s->hidden, *g = reset + s->hidden;
    int64_t length = lengths ? pi_max_i64(0, pi_min_i64(pi_tensor_int(lengths, b), s->steps)) : s->steps,
            rows = s->gates * s->hidden;
    float scale = 1, zero = 0;
    if (s->quantized) pi_rnn_bytes_range(in->data, pi_tensor_n(in), &scale, &zero);
    int64_t state = (s->batch_first ? b * s->directions + d : d * s->batch + b) * s->hidden;
    for (int64_t k = 0; k < s->hidden; k++) {
        h[k] = h0 ? pi_element_get(h0->dtype, h0->data, state + k) : 0;
        c[k] = c0 ? pi_element_get(c0->dtype, c0->data, state + k) : 0;
    }
    for (int64_t i = 0; i < s->steps && !pi_cancelled(call); i++) {
        int64_t t = i < length && (s->backward || d) ? length - 1 - i : i;
        int64_t y = (s->batch_first ? (b * s->steps + t) * s->directions + d : (t * s->directions + d) * s->batch + b) *
                    s->hidden;
        if (i < length) {
            int64_t at = (s->batch_first ? b * s->steps + t : t * s->batch + b) * s->input;
            for (int64_t k = 0; k < s->input; k++) x[k] = pi_element_get(in->dtype, in->data, at + k);
            if (s->quantized) round_to(x, s->input, scale, zero);
            for (int64_t k = 0; k < rows; k++)
                g[k] = weighted(s, call, PI_RNN_W, d, k, x, s->input) + bias(s, call, d, false, k);
            if (s->kind == 'L')
                lstm_step(s, call, d, g, h, c, reset);
            else if (s->kind == 'G')
                gru_step(s, call, d, g, h, reset);
            else
                rnn_step(s, call, d, g, h);
        }
        if (pi_move_wants(call, 0)) store(call->out[0], y, i < length ? h : NULL, s->hidden);
    }
    if (pi_move_wants(call, 1)) store(call->out[1], state, h, s->hidden);
    if (pi_move_wants(call, 2)) store(call->out[2], state, c, s->hidden);
}

static void rnn_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const pi_rnn *s = call->state;
    for (int64_t u = begin; u < end; u++)
        sequence(s, call, (int)(u / s->batch), u % s->batch, (double *)call->scratch + u * (s->input + 8 * s->hidden));
}

static pi_status rnn_run(const pi_call *call, pi_error *err)
{
    const pi_rnn *s = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->directions * s->batch, 1, rnn_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl rnn_impls[] = {
    {"fip", pi_rnn_fip_refuse, pi_rnn_fip_prepare, pi_rnn_fast_run, PI_INEXACT},
    {"fast", pi_rnn_fast_refuse, pi_rnn_fast_prepare, pi_rnn_fast_run, 0},
    {"ref", NULL, rnn_prepare, rnn_run, 0},
    {0}};
#define COMMON                                                                                                       \
    {.name = "activations", .kind = PI_ATTR_STRINGS}, {.name = "activation_alpha", .kind = PI_ATTR_FLOATS},          \
        {.name = "activation_beta", .kind = PI_ATTR_FLOATS}, {.name = "clip", .kind = PI_ATTR_FLOAT},                \
        {.name = "direction", .kind = PI_ATTR_STRING, .s = "forward"}, {.name = "hidden_size", .kind = PI_ATTR_INT}, \
        {.name = "output_sequence", .kind = PI_ATTR_INT},                                                            \
    {                                                                                                                \
        .name = "layout", .kind = PI_ATTR_INT                                                                        \
    }
static const pi_attr_def rnn_attrs[] = {COMMON, {0}};
static const pi_attr_def gru_attrs[] = {COMMON, {.name = "linear_before_reset", .kind = PI_ATTR_INT}, {0}};
static const pi_attr_def lstm_attrs[] = {COMMON, {.name = "input_forget", .kind = PI_ATTR_INT}, {0}};

#define INPUTS "X:T W:T R:T B?:T sequence_lens?:i32 initial_h?:T"
#define RECURRENT(op_name, version, attributes, more_in, more_out, y_h) \
    {.name = op_name,                                                   \
     .since = version,                                                  \
     .signature = INPUTS more_in " -> Y?:T " y_h more_out,              \
     .T = PI_FLOATS,                                                    \
     .attrs = attributes,                                               \
     .infer = rnn_infer,                                                \
     .impls = rnn_impls}
static const pi_op rows[] = {
    RECURRENT("LSTM", 1, lstm_attrs, " initial_c?:T P?:T", " Y_c?:T", "Y_h?:T"),
    RECURRENT("LSTM", 14, lstm_attrs, " initial_c?:T P?:T", " Y_c?:T", "Y_h?:T"),
    RECURRENT("GRU", 1, gru_attrs, "", "", "Y_h:T"),
    RECURRENT("GRU", 3, gru_attrs, "", "", "Y_h?:T"),
    RECURRENT("GRU", 14, gru_attrs, "", "", "Y_h?:T"),
    RECURRENT("RNN", 1, rnn_attrs, "", "", "Y_h?:T"),
    RECURRENT("RNN", 14, rnn_attrs, "", "", "Y_h?:T"),
    {.domain = "com.microsoft",
     .name = "DynamicQuantizeLSTM",
     .since = 1,
     .signature = "X:T W:U R:U B?:T sequence_lens?:i32 initial_h?:T initial_c?:T P?:T W_scale:T W_zero_point:U R_scale:T "
                  "R_zero_point:U -> Y?:T Y_h?:T Y_c?:T",
     .T = PI_BIT(F32),
     .U = PI_BIT(U8) | PI_BIT(I8),
     .attrs = lstm_attrs,
     .infer = rnn_infer,
     .impls = rnn_impls},
};
const pi_op_family pi_ops_rnn = {rows, PI_COUNT(rows)};
