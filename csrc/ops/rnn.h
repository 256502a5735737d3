/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM, GRU, RNN: what a node asks for, and the fast implementation. */
#ifndef PI_OPS_RNN_H
#define PI_OPS_RNN_H
#include "ops/ops.h"

enum { PI_RNN_X, PI_RNN_W, PI_RNN_R, PI_RNN_B, PI_RNN_LENGTHS, PI_RNN_INITIAL_H, PI_RNN_INITIAL_C, PI_RNN_PEEPHOLES };
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
    double clip;                                /* INFINITY: none */
    pi_rnn_activation f[PI_RNN_MOST_FUNCTIONS]; /* those of the second direction after those of the first */
    int n_functions;                            /* of a direction */
} pi_rnn;

/* Shapes and attributes; MODEL if they do not fit each other. */
pi_status pi_rnn_init(pi_rnn *s, const pi_node *node, const pi_tensor *const *in, pi_error *err) PI_MUST_USE;

/* f32, constant W and R, the usual activations, no clip: packed weights, gates in vectors, steps shared by threads. */
const char *pi_rnn_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_rnn_fast_prepare(pi_prep *prep, pi_error *err);
pi_status pi_rnn_fast_run(const pi_call *call, pi_error *err);
#endif
