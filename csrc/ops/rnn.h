/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM, GRU, RNN: what a node asks for, and the fast implementation. */
#ifndef PI_OPS_RNN_H
#define PI_OPS_RNN_H
#include "ops/ops.h"

enum {
    PI_RNN_X,
    PI_RNN_W,
    PI_RNN_R,
    PI_RNN_B,
    PI_RNN_LENGTHS,
    PI_RNN_INITIAL_H,
    PI_RNN_INITIAL_C,
    PI_RNN_PEEPHOLES,
    PI_RNN_GRID, /* of a quantised LSTM: scale and zero point of W, then of R */
};
enum { PI_RNN_MOST_FUNCTIONS = 6 };

typedef enum {
    PI_RNN_AFFINE,
    PI_RNN_RELU,
    PI_RNN_LEAKY,
    PI_RNN_THRESHOLD,
    PI_RNN_TANH,
    PI_RNN_SCALED_TANH,
    PI_RNN_SIGMOID,
    PI_RNN_HARD_SIGMOID,
    PI_RNN_ELU,
    PI_RNN_SOFTSIGN,
    PI_RNN_SOFTPLUS,
} pi_rnn_function;

typedef struct {
    pi_rnn_function kind;
    double alpha, beta;
} pi_rnn_activation;

typedef struct {
    char kind; /* 'L', 'G', 'R' */
    int64_t steps, batch, input, hidden, gates;
    int directions;
    bool backward, batch_first, linear_before_reset, input_forget;
    bool quantized; /* W and R are bytes, [directions, input or hidden, gates] */
    double clip;                                /* INFINITY: none */
    pi_rnn_activation f[PI_RNN_MOST_FUNCTIONS]; /* those of the second direction after those of the first */
    int n_functions;                            /* of a direction */
} pi_rnn;

/* Shapes and attributes; MODEL if they do not fit each other. */
pi_status pi_rnn_init(pi_rnn *s, const pi_node *node, const pi_tensor *const *in, pi_error *err) PI_MUST_USE;

/* ---- weights of bytes (rnn_bytes.c) ---- */

typedef struct {
    const int16_t *panel; /* [directions * blocks] of them */
    const float *scale;   /* of their columns */
    int64_t blocks, pairs; /* blocks of a direction; a row of x has 2 * pairs numbers */
} pi_rnn_bytes;

/* The factor and zero point of gate `row` (of all gates * hidden) of W or R. */
void pi_rnn_grid(const pi_rnn *s, const pi_tensor *const *in, uint32_t which, int64_t d, int64_t row, float *scale, int32_t *zero);
/* Packs W or R; UNSUPPORTED if something of it is not constant. */
pi_status pi_rnn_bytes_init(pi_prep *prep, const pi_rnn *s, uint32_t which, int64_t blocks, pi_rnn_bytes *w,
                            pi_error *err) PI_MUST_USE;
/* The 255 steps that n numbers are rounded to. */
void pi_rnn_bytes_range(const float *x, int64_t n, float *scale, float *zero);
/* to[i] = how many steps x[i] is, one more number of 0 if n is odd. */
void pi_rnn_bytes_row(const float *x, int64_t n, float scale, float zero, int16_t *to);
/* y = start + m such rows times a block's panels; row i is in steps of scale[i * scale_step]. start NULL: 0. */
void pi_rnn_bytes_product(const pi_rnn_bytes *w, int64_t block, const int16_t *x, int64_t m, const float *scale, int64_t scale_step,
                          const float *start, float *y, int64_t y_row);

/* f32, constant W and R, the usual activations, no clip: packed weights, gates in vectors, steps shared by threads. */
const char *pi_rnn_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_rnn_fast_prepare(pi_prep *prep, pi_error *err);
pi_status pi_rnn_fast_run(const pi_call *call, pi_error *err);
/* The inputs of all steps by ops/fip_product.h; run is pi_rnn_fast_run. */
const char *pi_rnn_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_rnn_fip_prepare(pi_prep *prep, pi_error *err);
#endif
