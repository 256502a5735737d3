/* SPDX-License-Identifier: Apache-2.0 */
/* f32 kernels of recurrent layers: products of a few rows with a panel of packed weights, and the gates of a block of
 * units. Pointers need float alignment only. A block's numbers stand gate by gate, `units` of each: a multiple of 16.
 */
#ifndef PI_KERNELS_RECURRENT_H
#define PI_KERNELS_RECURRENT_H
#include <stdbool.h>
#include <stddef.h>
#include "base/cpu.h"

enum { PI_RECURRENT_LANES = 16, PI_RECURRENT_WIDEST = 4 };

typedef struct {
    /* y[i][j] = start[j] + the sum over l < k of x[i][l] * panel[l][j], for i < m and j < 16 * width; rows of x and y
     * are x_row and y_row floats apart. start NULL: 0. width is 1 to PI_RECURRENT_WIDEST. */
    void (*product_f32)(size_t m, size_t k, size_t width, const float *x, size_t x_row, const float *panel,
                        const float *start, float *y, size_t y_row);
    /* Gates i o f c are x + g. peep, NULL or those of i o f, times the old, new, old cell is added. c is replaced;
     * coupled: f is 1 - i. */
    void (*lstm_f32)(size_t units, bool coupled, const float *x, const float *g, const float *peep, float *c, float *h);
    /* Gates z r n: n = tanh(x + r * (g + late)); h = (1 - z) * n + z * old. */
    void (*gru_f32)(size_t units, const float *x, const float *g, const float *late, const float *old, float *h);
    /* The same where r scales the state before its product: z, in place of x's, and r * old; then g is that of n only.
     */
    void (*gru_reset_f32)(size_t units, float *x, const float *g, const float *old, float *scaled);
    void (*gru_candidate_f32)(size_t units, const float *x, const float *g, const float *old, float *h);
    /* h = tanh or relu of x + g. */
    void (*rnn_f32)(size_t units, bool relu, const float *x, const float *g, float *h);
} pi_recurrent_kernels;

#define X(isa, name) extern const pi_recurrent_kernels name;
#include "kernels/recurrent/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_recurrent_kernels *pi_recurrent(void);
#endif
